"""`predict`: any folder of pictures, from marked examples to masks."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from pycocotools import mask as rle_codec

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.coco.annotations import CocoAnnotations, rasterise
from no_time_to_train.dataset.sam_bbox_to_segm_batch import main as draw_boxes
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.pl_wrapper.journal import unfinished_runs
from tests.cli.conftest import ROOT, Outcome, run_command
from tests.cli.test_resume import end_at_call

DEMO = ("configs/demo.yaml", "few.yaml")
SCENES = ROOT / "scenes"
PREDICTION = "no_time_to_train.pl_wrapper.prediction"
CLASSES = ("dotted_arrow", "zigzag_heart")


def write_scenes_dir(folder: Path) -> None:
    """References of two classes, a folder each, and settings with few prompts."""
    (folder / "configs").symlink_to(ROOT / "configs")
    (folder / "demo_models").symlink_to(ROOT / "demo_models")
    few = {"model_cfg": {"sam2_infer_cfgs": {"points_per_side": 6}}}
    (folder / "few.yaml").write_text(yaml.safe_dump({"model": {"init_args": few}}))
    annotations = CocoAnnotations.read(SCENES / "annotations/references.json")
    ids = {category.id: category.name for category in annotations.categories}
    for entry in annotations.annotations:
        place = folder / "refs" / ids[entry.category_id]
        if place.name in CLASSES and not place.exists():
            place.mkdir(parents=True)
            image = annotations.images[entry.image_id]
            shutil.copy(SCENES / "images" / image.file_name, place / "one.jpg")
            Image.fromarray(rasterise(entry, image)).save(place / "one.png")


def copy_pictures(folder: Path, count: int, first: int = 0) -> None:
    """Some scenes."""
    folder.mkdir(exist_ok=True, parents=True)
    for number in range(first, first + count):
        shutil.copy(SCENES / "images" / f"target_{number:02d}.jpg", folder)


def predict(*more: str, source: tuple[str, str] = ("--memory", "memory.pth")) -> Outcome:
    return run_command("predict", *arguments(*more, source=source))


def arguments(*more: str, source: tuple[str, str] = ("--memory", "memory.pth")) -> list[str]:
    configs = [word for name in DEMO for word in ("--config", name)]
    return [*source, "--images", "pics", *configs, "--threshold", "0.5", *more]


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def tables(folder: str) -> dict[str, bytes]:
    return {name: Path(folder, name).read_bytes() for name in ("results.json", "instances.csv")}


def files(folder: str) -> dict[str, bytes]:
    """Everything that does not tell of time."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    own = [path for path in paths if path.name not in ("run.json", "predict.log", "report.html")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in own}


@dataclass(frozen=True)
class Whole:
    """A run from references, which nothing has disturbed."""

    folder: Path
    outcome: Outcome


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Four scenes."""
    folder = tmp_path_factory.mktemp("predicted")
    write_scenes_dir(folder)
    copy_pictures(folder / "pics", 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        outcome = predict("--out", "out", source=("--references", "refs"))
    assert outcome.code == 0, outcome.err
    return Whole(folder, outcome)


@pytest.fixture
def scenes_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Whole) -> Path:
    """A working directory: settings, references, a memory of them, and four scenes."""
    write_scenes_dir(tmp_path)
    shutil.copytree(whole.folder / "pics", tmp_path / "pics")
    shutil.copy(whole.folder / "out" / "memory.pth", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_predict__writes_what_the_segmenter_finds(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole.folder)
    results = read("out/results.json")
    assert [image["file_name"] for image in results["images"]] == [
        f"target_{number:02d}.jpg" for number in range(4)
    ]
    assert [category["name"] for category in results["categories"]] == list(CLASSES)
    segmenter = FewShotSegmenter.from_config(*DEMO, device="cpu")
    for name in CLASSES:
        segmenter.remember(f"refs/{name}/one.jpg", f"refs/{name}/one.png", name)
    segmenter.finalise()
    for image in results["images"]:
        found = segmenter.segment(f"pics/{image['file_name']}")
        kept = [row for row, score in enumerate(found.scores.tolist()) if score >= 0.5]
        entries = [a for a in results["annotations"] if a["image_id"] == image["id"]]
        assert len(entries) == len(kept) > 0
        for row, entry in zip(kept, entries, strict=True):
            decoded = rle_codec.decode(entry["segmentation"])
            assert np.array_equal(decoded, found.masks[row].numpy())
            assert entry["score"] == pytest.approx(float(found.scores[row]), abs=1e-6)
            assert entry["category_id"] == int(found.labels[row]) + 1


def test_predict__writes_tables_masks_overlays_and_a_record(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole.folder)
    results, run = read("out/results.json"), read("out/run.json")
    with open("out/instances.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(results["annotations"]) == run["instances"]
    masks = {row["picture"]: row["mask"] for row in rows}
    for image in results["images"]:
        own = [a for a in results["annotations"] if a["image_id"] == image["id"]]
        covered = sum(rle_codec.decode(each["segmentation"]) for each in own) > 0
        labels = np.asarray(Image.open(Path("out", masks[image["file_name"]])))
        assert np.array_equal(labels > 0, covered)
    names = {path.name for path in Path("out").iterdir()}
    assert {"memory.pth", "predict.log", "pictures.jsonl", "masks", "overlays"} <= names
    assert "unfinished" not in names
    for number in range(4):
        size = Image.open(f"pics/target_{number:02d}.jpg").size
        assert Image.open(f"out/overlays/target_{number:02d}.jpg").size == size
        assert Image.open(f"out/masks/target_{number:02d}.png").size == size
    assert run["classes"][0]["name"] == CLASSES[0]
    assert [each["references"] for each in run["classes"]] == [1, 1]
    assert (run["pictures"], run["bad_pictures"], run["threshold"]) == (4, [], 0.5)
    assert len(run["files"]["--references"]) == 64
    assert "4 of 4 pictures" in Path("out/predict.log").read_text()


def test_predict__draws_by_instance_and_says_how_close_an_empty_picture_is(
    scenes_dir: Path,
) -> None:
    shutil.rmtree("pics")
    copy_pictures(Path("pics"), 1)
    outcome = predict("--out", "out", "--colour-by", "instance")
    assert outcome.code == 0, outcome.err
    picture = read("out/run.json")["settings"]["model_cfg.test.colour_by"]
    assert picture == "instance"
    outcome = predict("--out", "none", "--threshold", "1")
    assert outcome.code == 0, outcome.err
    corner = np.asarray(Image.open("none/overlays/target_00.jpg"))[:12, :60]
    assert corner.min() < 30 and corner.max() > 200 and np.median(corner) < 30  # white on black
    outcome = predict("--out", "other", "--colour-by", "score")
    assert outcome.code == 2 and "--colour-by" in outcome.err


def test_predict__exports_what_it_finds(scenes_dir: Path) -> None:
    outcome = predict("--out", "out", "--export", "yolo,labelme,coco", "--instances")
    assert outcome.code == 0, outcome.err
    found = read("out/results.json")["annotations"]
    assert len(list(Path("out/labelme").rglob("*.json"))) == 4
    assert len(list(Path("out/instances").rglob("*.png"))) == len(found)
    (data,) = Path("out/yolo").rglob("*.yaml")
    assert list(yaml.safe_load(data.read_text())["names"].values()) == list(CLASSES)
    (coco,) = Path("out/coco").rglob("*.json")
    assert len(read(str(coco))["annotations"]) == len(found)
    with open("out/instances.csv", newline="") as file:
        assert all(Path("out", row["mask"]).is_file() for row in csv.DictReader(file))


def test_predict__with_the_memory_of_a_run_finds_the_same(scenes_dir: Path, whole: Whole) -> None:
    outcome = predict("--out", "out")
    assert outcome.code == 0, outcome.err
    assert tables("out") == tables(str(whole.folder / "out"))


def test_predict__draws_masks_in_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the tool for boxes does, whose masks then give the same memory."""
    write_scenes_dir(tmp_path)
    monkeypatch.chdir(tmp_path)
    copy_pictures(Path("pics"), 1)
    shutil.copytree(ROOT / "photos/images", "boxes")
    annotations = ROOT / "photos/annotations/custom_references.json"
    shutil.copy(annotations, "boxes/references.json")
    outcome = predict("--out", "out", source=("--references", "boxes"))
    assert outcome.code == 0, outcome.err
    assert "SAM 2 draws the masks of 3 boxes" in outcome.out
    tool = ["--input_json", "boxes/references.json", "--image_dir", "boxes", "--device", "cpu"]
    draw_boxes([*tool, "--sam_checkpoint", "demo_models/sam2_hiera_demo.pt"])
    drawn = "boxes/references_with_segm.json"
    assert predict("--out", "drawn", source=("--references", drawn)).code == 0
    assert Path("out/memory.pth").read_bytes() == Path("drawn/memory.pth").read_bytes()


def test_predict__finalises_a_memory_that_is_only_filled(scenes_dir: Path, whole: Whole) -> None:
    segmenter = FewShotSegmenter.from_config(*DEMO, device="cpu")
    for name in CLASSES:
        segmenter.remember(f"refs/{name}/one.jpg", f"refs/{name}/one.png", name)
    segmenter.save("filled.pth")
    outcome = predict("--out", "out", source=("--memory", "filled.pth"))
    assert outcome.code == 0, outcome.err
    assert tables("out") == tables(str(whole.folder / "out"))


def break_picture() -> None:
    path = Path("pics/target_01.jpg")
    path.write_bytes(path.read_bytes()[:500])


def test_predict__leaves_out_a_bad_picture_and_says_so(scenes_dir: Path) -> None:
    break_picture()
    outcome = predict("--out", "out")
    assert outcome.code == 3
    assert outcome.err.startswith("1 of 4 pictures were left out: pics/target_01.jpg")
    assert "out/run.json" in outcome.err
    images = [image["file_name"] for image in read("out/results.json")["images"]]
    assert images == ["target_00.jpg", "target_02.jpg", "target_03.jpg"]
    (bad,) = read("out/run.json")["bad_pictures"]
    assert bad["file_name"] == "target_01.jpg"
    assert "cannot be decoded" in bad["reason"]
    assert not Path("out/masks/target_01.png").exists()


def test_predict__of_bad_pictures_alone_writes_no_tables(scenes_dir: Path) -> None:
    shutil.rmtree("pics")
    Path("pics").mkdir()
    Path("pics/a.jpg").write_bytes(b"no picture")
    outcome = predict("--out", "out")
    assert outcome.code == 3
    assert not Path("out/results.json").exists()
    assert not Path("out/instances.csv").exists()
    assert len(read("out/run.json")["bad_pictures"]) == 1


def interrupted(*more: str, call: int = 3) -> None:
    """A run that fails as it segments for the n-th time."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="power"):
        end_at_call(patch, "segment", call)
        predict("--out", "out", *more)


def test_predict__goes_on_and_does_no_finished_picture_again(
    scenes_dir: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted()
    refused = predict("--out", "out")
    assert refused.code == 2
    assert "--resume goes on with it" in refused.err
    end_at_call(monkeypatch, "segment", 3)  # that would be one too many
    outcome = predict("--out", "out", "--resume")
    assert outcome.code == 0, outcome.err
    assert "2 of 4 pictures are finished already" in outcome.out
    assert tables("out") == tables(str(whole.folder / "out"))
    assert not Path("out/unfinished").exists()


def test_predict__goes_on_where_only_the_tables_are_missing(
    scenes_dir: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(f"{PREDICTION}.tables.write_csv", lambda *_: 1 / 0)
        predict("--out", "out")
    end_at_call(monkeypatch, "segment", 1)
    assert predict("--out", "out", "--resume").code == 0
    assert tables("out") == tables(str(whole.folder / "out"))


def test_finished_run__takes_new_and_changed_pictures(
    scenes_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict("--out", "out").code == 0
    done = predict("--out", "out", "--resume")
    assert (done.code, "Nothing is left to do" in done.out) == (0, True)
    copy_pictures(Path("pics"), 1, first=4)
    shutil.copy("pics/target_03.jpg", "pics/target_00.jpg")
    Path("pics/target_01.jpg").unlink()
    with monkeypatch.context() as patch:
        end_at_call(patch, "segment", 3)
        outcome = predict("--out", "out", "--resume")
    assert outcome.code == 0, outcome.err
    assert predict("--out", "anew").code == 0
    assert tables("out") == tables("anew")
    assert read("out/run.json")["finished_before"] == 2


def test_finished_run__replaces_the_masks_of_a_changed_picture(scenes_dir: Path) -> None:
    Path(
        "pics/target_00"
    ).mkdir()  # with pictures of its own, and masks beside those of its namesake
    shutil.copy("pics/target_02.jpg", "pics/target_00/x.jpg")
    assert predict("--out", "out", "--instances").code == 0
    inner = sorted(Path("out/instances/target_00/x").iterdir())
    shutil.copy("pics/target_03.jpg", "pics/target_00.jpg")
    assert predict("--out", "out", "--instances", "--resume").code == 0
    names = [path.name for path in Path("out/instances/target_00").glob("*.png")]
    assert sorted(names) == sorted(p.name for p in Path("out/instances/target_03").iterdir())
    assert sorted(Path("out/instances/target_00/x").iterdir()) == inner != []


def test_finished_run__loses_what_became_a_bad_picture(scenes_dir: Path) -> None:
    assert predict("--out", "out").code == 0
    break_picture()
    assert predict("--out", "out", "--resume").code == 3
    images = [image["file_name"] for image in read("out/results.json")["images"]]
    assert images == ["target_00.jpg", "target_02.jpg", "target_03.jpg"]
    assert not Path("out/masks/target_01.png").exists()


def change_settings() -> list[str]:
    return ["--threshold", "0.6"]


def change_memory() -> list[str]:
    segmenter = FewShotSegmenter.from_config(*DEMO, device="cpu")
    segmenter.remember("refs/zigzag_heart/one.jpg", "refs/zigzag_heart/one.png", "heart")
    segmenter.finalise()
    segmenter.save("memory.pth")
    return []


def change_own_memory() -> list[str]:
    shutil.copy("few.yaml", "out/memory.pth")
    return []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_settings, ["--threshold (was 0.5, is 0.6)", "choose another folder"]),
        (change_memory, ["the memory (--memory)"]),
        (change_own_memory, ["out/memory.pth has changed"]),
    ],
)
def test_predict__does_not_go_on_with_something_else(
    scenes_dir: Path, change: Callable[[], list[str]], words: list[str]
) -> None:
    interrupted()
    more = change()
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    outcome = predict("--out", "out", "--resume", *more)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert all(word in line for word in words), line
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == before


def test_predict__that_still_runs_is_left_alone(scenes_dir: Path) -> None:
    interrupted()
    (run,) = unfinished_runs(Path("out/unfinished"))
    script = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); "
    script += "print('locked', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", script, str(run.folder / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        outcome = predict("--out", "out", "--resume")
        process.kill()
    assert outcome.code == 2
    assert "has not ended yet" in outcome.err


def fail_when_there(patch: pytest.MonkeyPatch, path: Path, call: int) -> None:
    """Let the segmenter wait for a file when it is called for the n-th time, and then fail."""
    segment, calls = Segmenter.segment, []

    def failing(self: Segmenter, batch: list[Any]) -> object:
        calls.append(batch)
        while len(calls) == call:
            if path.exists():
                raise TimeoutError
            time.sleep(0.01)
        return segment(self, batch)

    patch.setattr(Segmenter, "segment", failing)


def test_per_folder__has_tables_of_each_folder_as_soon_as_it_is_done(
    scenes_dir: Path, whole: Whole
) -> None:
    Path("pics/b/c").mkdir(parents=True)
    for number, folder in ((1, "b"), (2, "b/c"), (3, "b/c")):
        Path(f"pics/target_0{number}.jpg").rename(f"pics/{folder}/{number}.jpg")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TimeoutError):
        fail_when_there(patch, Path("out/tables/b/results.json"), call=4)
        predict("--out", "out", "--per-folder")
    early = {str(path.parent) for path in Path("out/tables").rglob("results.json")}
    assert early == {"out/tables", "out/tables/b"}
    before = Path("out/tables/b/results.json").stat().st_mtime_ns
    outcome = predict("--out", "out", "--per-folder", "--resume")
    assert outcome.code == 0, outcome.err
    assert Path("out/tables/b/results.json").stat().st_mtime_ns == before
    assert not Path("out/results.json").exists()
    names = [image["file_name"] for image in read("out/tables/b/c/results.json")["images"]]
    assert names == ["b/c/2.jpg", "b/c/3.jpg"]
    assert [each["id"] for each in read("out/tables/b/c/results.json")["images"]] == [1, 2]
    with open("out/tables/b/c/instances.csv", newline="") as file:
        masks = [row["mask"] for row in csv.DictReader(file)]
    assert masks and all(Path("out/tables/b/c", mask).is_file() for mask in masks)
    total = len(read(str(whole.folder / "out/results.json"))["annotations"])
    found = [len(read(str(p))["annotations"]) for p in Path("out").rglob("results.json")]
    assert sum(found) == total
    page = Path("out/report.html").read_text()
    assert all(name in page for name in names)


def test_two_ranks__find_what_one_finds(scenes_dir: Path, whole: Whole, warm_python: str) -> None:
    Path("pics/broken.jpg").write_bytes(b"no picture")
    script = [warm_python, str(ROOT / "run_lightening.py"), "predict"]
    done = subprocess.run(
        [*script, *arguments("--out", "out", "--device", "cpu", "--devices", "2")],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("pictures were left out") == 1
    assert predict("--out", "one").code == 3
    assert tables("out") == tables("one")
    assert "5 of 5 pictures" in done.stdout


def occupy() -> None:
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")


def as_file() -> None:
    Path("out").write_text("mine")


def test_walk_through__runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/custom_data.md").read_text()
    lines = re.findall(r"^```bash\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)[0].splitlines()
    assert len(lines) == 3
    for name in ("scenes", "configs", "demo_models"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "no-time-to-train"
        outcome = run_command(*(path for word in words for path in sorted(glob(word)) or [word]))
        assert outcome.code == 0, outcome.err
    found = centres(read("found/results.json"))
    truth = centres(read("scenes/annotations/targets.json"))
    right = [each for each in found if any(is_near(each, other) for other in truth)]
    assert len(found) >= 20
    assert len(right) >= 0.75 * len(found)
    assert read("another/results.json")["annotations"]
    for name in ("found/report.html", "found/memory.html", "found/instances.csv"):
        assert Path(name).stat().st_size > 1000, name
    assert Path("another/labelme/target_10.json").is_file()


def centres(document: dict[str, Any]) -> list[tuple[str, str, float, float]]:
    """Picture, class and the centre of the box of each annotation, in pixels."""
    files = {image["id"]: Path(image["file_name"]).name for image in document["images"]}
    names = {category["id"]: category["name"] for category in document["categories"]}
    return [
        (files[each["image_id"]], names[each["category_id"]], x + width / 2, y + height / 2)
        for each in document["annotations"]
        for x, y, width, height in [each["bbox"]]
    ]


def is_near(one: tuple[str, str, float, float], other: tuple[str, str, float, float]) -> bool:
    """Whether both are of one class in one picture, within 16 of its 256 pixels."""
    return one[:2] == other[:2] and max(abs(one[2] - other[2]), abs(one[3] - other[3])) < 16


REFUSED: dict[str, tuple[list[str], Callable[[], None], list[str]]] = {
    "no images": (["--images", "nothing"], lambda: None, ["--images nothing does not exist"]),
    "no picture": (["--images", "refs.txt"], lambda: None, ["refs.txt does not exist"]),
    "empty": (["--images", "configs"], lambda: None, ["no picture in configs", "other files"]),
    "out is full": ([], occupy, ["--out out is not empty", "another folder"]),
    "out is full, resumed": (["--resume"], occupy, ["--out out is not empty"]),
    "out is a file": ([], as_file, ["--out", "out"]),
    "out is images": (["--out", "pics"], lambda: None, ["--out pics is not empty"]),
    "threshold": (["--threshold", "1.5"], lambda: None, ["--threshold", "from 0 to 1", "1.5"]),
    "export": (["--export", "yolo,voc"], lambda: None, ["there is no format of --export 'voc'"]),
    "devices": (["--devices", "0"], lambda: None, ["--devices", "1 or more"]),
    "device": (["--device", "tpu"], lambda: None, ["'tpu'", "does not exist here"]),
    "memory": (["--memory", "no.pth"], lambda: None, ["no.pth does not exist"]),
    "weights": (["--sam2", "sam2_hiera_l"], lambda: None, ["weights sam2_hiera_l"]),
    "encoder": (["--encoder", "dinov2_smal"], lambda: None, ["did you mean dinov2_small?"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_predict__refuses_in_one_sentence_and_leaves_nothing(scenes_dir: Path, case: str) -> None:
    more, prepare, words = REFUSED[case]
    prepare()
    before = sorted(scenes_dir.rglob("*"))
    outcome = predict("--out", "out", *more)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    for word in words:
        assert word in line
    assert sorted(scenes_dir.rglob("*")) == before


def test_device__is_that_of_the_settings_unless_a_flag_names_one(scenes_dir: Path) -> None:
    Path("gpu.yaml").write_text("trainer: {accelerator: gpu}\n")
    outcome = predict("--out", "out", "--config", "gpu.yaml")
    if torch.cuda.is_available():
        assert read("out/run.json")["machine"]["device"] == "cuda:0"
    else:
        assert "device 'cuda' does not exist here" in outcome.err
    assert predict("--out", "cpu", "--config", "gpu.yaml", "--device", "cpu").code == 0


EARLY = """
import sys
from no_time_to_train.commands import main
for more in (["--images", "nothing"], ["--sam2", "sam2_hiera_l"], ["--threshold", "2"]):
    try:
        main(sys.argv[1:] + more)
    except SystemExit as stop:
        print(stop.code, sorted({"torch", "lightning", "cv2"} & set(sys.modules)))
"""


def test_predict__refuses_before_pytorch_is_imported(scenes_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY, "predict", *arguments("--out", "out")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["2 []"] * 3
