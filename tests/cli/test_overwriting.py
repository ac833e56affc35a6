"""Whatever output is pointed at whatever input: refused before any work, and the input stays."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from no_time_to_train.dataset import (
    coco_to_pkl,
    few_shot_sampling,
    sam_bbox_to_segm_batch,
)
from no_time_to_train.errors import InputError
from no_time_to_train.pl_wrapper.stages.stage import Command
from no_time_to_train.pl_wrapper.stages.test import Test as StageThatStores
from tests.cli.conftest import Outcome, fill, postprocess, segment, settings, vis
from tests.cli.test_wrong_settings import assert_one_line
from tests.unit.test_files import largest_file

LOG = "logs/run/first"
LOGGER = ("--trainer.logger.save_dir", "logs", "--trainer.logger.name", "run")
LOGGER += ("--trainer.logger.version", "first")
DRAW = tuple(settings({"model_cfg.test.online_vis": True}))
STAGES: dict[str, Callable[..., Outcome]] = {
    "fill": fill,
    "postprocess": postprocess,
    "vis": vis,
    "test": segment,
}
OUTPUTS = {  # stage, output -> where it is, the flags that make it
    ("fill", "--out_path"): ("out", ("--out_path", "out")),
    ("fill", "the log file config.yaml"): (f"{LOG}/config.yaml", LOGGER),
    ("postprocess", "--out_path"): ("out", ("--out_path", "out")),
    ("vis", "the picture"): ("results_analysis/memory_vis/photos/0_3.png", ()),
    ("test", "--export_result"): ("out", ("--export_result", "out")),
    ("test", "the results file"): (
        "inst_to_segm/coco_inst_1shot_results.json",
        ("--n_shot", "1"),
    ),
    ("test", "the picture"): ("results_analysis/photos/coins_bottom.png", DRAW),
    ("test", "the log file metrics.json"): (f"{LOG}/metrics.json", LOGGER),
    ("test", "the log file metrics.csv"): (f"{LOG}/metrics.csv", LOGGER),
}
REFERENCES = "photos/annotations/custom_references_with_segm.json"
TARGETS = "photos/annotations/custom_targets.json"
INPUTS = {  # input -> where it comes from, the flags that name it, the stages that have it
    "the references": (REFERENCES, "dataset_cfgs.fill_memory.json_file", "fill vis"),
    "the reference set": ("references.json", "dataset_cfgs.fill_memory.memory_pkl", "fill vis"),
    "the targets": (TARGETS, "dataset_cfgs.test.json_file", "fill postprocess vis test"),
    "the encoder": (
        "demo_models/dinov2_demo.pth",
        "model_cfg.encoder_ckpt_path",
        "fill postprocess vis test",
    ),
    "SAM 2": (
        "demo_models/sam2_hiera_demo.pt",
        "model_cfg.sam2_ckpt_path",
        "fill postprocess vis test",
    ),
    "the memory": ("memory.pth", "--ckpt_path", "postprocess vis test"),
    "a config": ("overlay.yaml", "--config", "fill postprocess vis test"),
    "an image": (None, None, "fill vis test"),
}


def pairs() -> list[Any]:
    """Every output of a stage and every input of it; two of each output in every run."""
    found = []
    for number, (stage, output) in enumerate(OUTPUTS):
        inputs = [given for given, (_, _, stages) in INPUTS.items() if stage in stages.split()]
        always = {inputs[number % len(inputs)], inputs[-1]}
        for given in inputs:
            marks = [] if given in always else [pytest.mark.exhaustive]
            name = f"{stage}: {output} x {given}"
            found.append(pytest.param(stage, output, given, id=name, marks=marks))
    return found


def put_input(stage: str, given: str, place: str) -> list[str]:
    """Copy an input to a place, and name it there."""
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path("overlay.yaml").write_text("trainer:\n  benchmark: true\n")
    source, name, _ = INPUTS[given]
    if source is None:
        return put_image(stage, place)
    if (stage, source) == ("postprocess", "memory.pth"):
        source = "filled.pth"
    shutil.copy(source, place)
    return [name, place] if name.startswith("--") else settings({name: place})


def put_image(stage: str, place: str) -> list[str]:
    """Make the place the first image of the stage, whatever its name."""
    if place.startswith("results_analysis/photos"):
        shutil.copytree("photos/images", Path(place).parent, dirs_exist_ok=True)
        return settings({"model_cfg.test.imgs_path": str(Path(place).parent)})
    group, source = ("test", TARGETS) if stage == "test" else ("fill_memory", REFERENCES)
    content = json.loads(Path(source).read_text())
    for image in content["images"]:
        image["file_name"] = f"photos/images/{image['file_name']}"
    shutil.copy(content["images"][0]["file_name"], place)
    content["images"][0]["file_name"] = place
    Path("moved.json").write_text(json.dumps(content))
    moved = {f"dataset_cfgs.{group}.root": ".", f"dataset_cfgs.{group}.json_file": "moved.json"}
    return settings(moved | ({"model_cfg.test.imgs_path": "."} if stage == "test" else {}))


def everything(folder: Path = Path()) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("stage", "output", "given"), pairs())
def test_output__that_is_an_input_is_refused(
    memories_dir: Path, stage: str, output: str, given: str
) -> None:
    place, flags = OUTPUTS[stage, output]
    named = put_input(stage, given, place)
    before = everything()
    outcome = STAGES[stage](*flags, *named)
    assert_one_line(outcome, f"{output} {place} would replace", "choose another place")
    assert everything() == before


def respelt(place: str) -> str:
    return f"photos/../{place}"


def linked(place: str) -> str:
    Path("link").symlink_to(place)
    return "link"


def hard_linked(place: str) -> str:
    os.link(place, "hard")
    return "hard"


def below_a_link(place: str) -> str:
    Path("elsewhere").symlink_to(".")
    return f"elsewhere/{place}"


@pytest.mark.parametrize("alias", [respelt, linked, hard_linked, below_a_link])
def test_output__that_is_an_input_under_another_name_is_refused(
    memories_dir: Path, alias: Callable[[str], str]
) -> None:
    shutil.copy("references.json", "mine.json")
    other = alias("mine.json")
    for output, given in (("mine.json", other), (other, "mine.json")):
        before = everything()
        outcome = fill(*settings({"dataset_cfgs.fill_memory.memory_pkl": given}), out_path=output)
        assert_one_line(outcome, f"--out_path {output} would replace", given)
        assert everything() == before


def test_config__beside_no_logger_is_not_replaced_by_the_saved_settings(memories_dir: Path) -> None:
    Path("config.yaml").write_text("trainer:\n  benchmark: true\n")
    outcome = segment("--config", "config.yaml", "--trainer.logger", "false")
    assert_one_line(outcome, "config.yaml", "would replace --config")
    assert Path("config.yaml").read_text() == "trainer:\n  benchmark: true\n"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ("--export_result", "inst_to_segm/coco_inst_1shot_results.json", "--n_shot", "1"),
            ["the results file", "are one file"],
        ),
        (("--export_result", f"{LOG}/metrics.json", *LOGGER), ["metrics.json", "are one file"]),
        (
            ("--export_result", "results_analysis/photos/chelsea.jpg", *DRAW),
            ["the picture", "one file"],
        ),
        (("--export_result", "results_analysis", *DRAW), ["results_analysis", "need a folder"]),
        (("--export_result", ""), ["--export_result", "is a folder"]),
    ],
)
def test_outputs__in_one_place_are_refused(
    memories_dir: Path, flags: tuple[str, ...], words: list[str]
) -> None:
    before = everything()
    assert_one_line(segment(*flags), *words)
    assert everything() == before


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices are made by root")


def make_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("flag", "make", "words"),
    [
        ("--out_path", make_pipe, "a named pipe"),
        ("--export_result", make_pipe, "a named pipe"),
        ("--out_path", make_device, "a device"),
        ("--export_result", make_device, "a device"),
        ("--out_path", make_loop, "symbolic links"),
        ("--export_result", Path.mkdir, "a folder"),
    ],
)
def test_output__that_is_no_regular_file_is_refused(
    memories_dir: Path, flag: str, make: Callable[[Path], None], words: str
) -> None:
    make(Path("out"))
    before = os.lstat("out")
    stage = fill if flag == "--out_path" else segment
    assert_one_line(stage(flag, "out"), flag, "out", words)
    assert (os.lstat("out").st_ino, os.lstat("out").st_mode) == (before.st_ino, before.st_mode)


def test_output__a_symbolic_link_is_followed(memories_dir: Path) -> None:
    Path("store").mkdir()
    Path("store/old.pth").write_text("old")
    Path("old.pth").symlink_to("store/old.pth")
    Path("new.pth").symlink_to("store/new/new.pth")  # leads nowhere yet
    for name in ("old.pth", "new.pth"):
        assert postprocess("--out_path", name).code == 0
        assert Path(name).is_symlink()
    assert Path("store/old.pth").read_bytes()[:2] == b"PK"
    assert Path("store/new/new.pth").is_file()
    assert sorted(path.name for path in Path("store").rglob("*.*")) == ["new.pth", "old.pth"]


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("--out_path", "n" * 256),
        ("--export_result", "é" * 128),
        ("--out_path", "d" * 300 + "/out"),
        ("--export_result", "x/" * 3000),
        ("--out_path", "a\0b"),
    ],
)
def test_output__whose_name_no_file_can_have_is_refused(
    memories_dir: Path, flag: str, name: str
) -> None:
    before = everything()
    stage = fill if flag == "--out_path" else segment
    assert_one_line(stage(flag, name), flag)
    assert everything() == before


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("save_dir", "file", "not a folder"),
        ("name", "n" * 300, "300 bytes"),
        ("version", "n" * 300, "300 bytes"),
    ],
)
def test_log_folder__that_cannot_be_is_refused(
    memories_dir: Path, flag: str, value: str, words: str
) -> None:
    Path("file").write_text("mine")
    before = everything()
    assert_one_line(segment(f"--trainer.logger.{flag}", value), "log file", words)
    assert everything() == before


@pytest.mark.parametrize(
    ("stage", "flags", "largest", "word"),
    [
        ("fill", (), 1_000, "config.yaml"),  # of 3 kB
        ("fill", (), 6_000, "filled.pth"),  # of 12 kB
        ("vis", (), 6_000, "0_3.png"),
        ("test", ("--export_result", "out"), 6_000, "out"),
        ("test", DRAW, 20_000, "coins_bottom.png"),  # metrics.json has 7 kB
        ("test", LOGGER, 4_000, "metrics.json"),  # of 6 kB
    ],
)
def test_output__beyond_the_size_limit_is_one_sentence_and_keeps_the_old_file(
    memories_dir: Path, stage: str, flags: tuple[str, ...], largest: int, word: str
) -> None:
    Path("out").write_text("old")
    before = everything()
    store = StageThatStores.store

    def store_limited(self: StageThatStores, command: Command) -> None:
        with largest_file(largest):
            store(self, command)

    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        if stage == "test":  # what is kept of the images until then is as large as the results
            patch.setattr(StageThatStores, "store", store_limited)
        else:
            stack.enter_context(largest_file(largest))
        outcome = STAGES[stage](*flags)
    assert_one_line(outcome, word, "File too large")
    after = everything()
    assert {path: after[path] for path in before} == before
    logs = {"config.yaml", "metrics.json"}
    new = [path for path in after.keys() - before.keys() if "unfinished" not in path.parts]
    assert {path.name for path in new} <= logs - {word}


def test_test__beyond_the_size_limit_keeps_the_images_before(memories_dir: Path) -> None:
    with largest_file(4_000):
        outcome = segment("--export_result", "out")
    assert_one_line(outcome, "unfinished/", "File too large", "--resume")
    assert "1 of 3 images are kept" in outcome.out
    assert not Path("out").exists()
    outcome = segment("--export_result", "out", "--resume")
    assert outcome.code == 0, outcome.err
    assert "1 of 3 images are there already" in outcome.out


# The tools


def tool_folder(folder: Path) -> None:
    """Annotations of one boat in two images, and something to serve as weights."""
    box = {"bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0, "category_id": 9}
    outline = {"segmentation": [[10, 10, 50, 10, 50, 50, 10, 50]]}
    names = {1: "a.jpg", 2: "b.jpg"}
    document = {
        "images": [
            {"id": key, "file_name": name, "height": 100, "width": 100}
            for key, name in names.items()
        ],
        "annotations": [{"id": key, "image_id": key, **box, **outline} for key in names],
        "categories": [{"id": 9, "name": "boat"}],
    }
    (folder / "boxes.json").write_text(json.dumps(document))
    (folder / "images").mkdir()
    for name in names.values():
        Image.new("RGB", (100, 100), "grey").save(folder / "images" / name)
    (folder / "sam.pt").write_bytes(b"weights")


def few_shot(*more: str) -> None:
    few_shot_sampling.main(
        [
            *("--n-shot", "2", "--seed", "1", "--dataset", "few_shot_classes"),
            *("--json-file", "boxes.json", "--img-dir", "images", *more),
        ]
    )


def plot(*more: str) -> None:
    few_shot("--out-path", "set.pkl", "--plot", *more)


def box_to_mask(*more: str) -> None:
    arguments = ["--input_json", "boxes.json", "--image_dir", "images", "--sam_checkpoint"]
    sam_bbox_to_segm_batch.main([*arguments, "sam.pt", "--device", "cpu", "--visualize", *more])


TOOLS: list[tuple[Callable[..., None], tuple[str, ...], str, str]] = [
    (coco_to_pkl.main, (), "out", "boxes.json"),
    (few_shot, ("--out-path", "out"), "out", "boxes.json"),
    (plot, ("--out-path", "images/a.jpg"), "images/a.jpg", "images/a.jpg"),
    (plot, (), "set_pictures/9_boat_0.jpg", "images/a.jpg"),
    (plot, (), "set_pictures/9_boat_1.jpg", "boxes.json"),
    (box_to_mask, (), "boxes_with_segm.json", "boxes.json"),
    (box_to_mask, (), "boxes_with_segm.json", "sam.pt"),
    (box_to_mask, (), "boxes_with_segm.json", "images/b.jpg"),
    (box_to_mask, (), "boxes_with_SAM_segm/a.jpg", "images/a.jpg"),
    (box_to_mask, (), "boxes_with_SAM_segm/a.jpg", "images/b.jpg"),
    (box_to_mask, (), "boxes_with_SAM_segm/b.jpg", "boxes.json"),
    (box_to_mask, (), "boxes_with_SAM_segm/b.jpg", "sam.pt"),
]


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
@pytest.mark.parametrize(("tool", "flags", "output", "given"), TOOLS)
def test_tool__an_output_that_is_an_input_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tool: Callable[..., None],
    flags: tuple[str, ...],
    output: str,
    given: str,
    link: Any,
) -> None:
    tool_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sam_bbox_to_segm_batch, "load_segmenter", lambda *_: pytest.fail("built"))
    if output != given:
        Path(output).parent.mkdir(exist_ok=True)
        link(Path(output), Path(given).absolute())
    before = everything()
    with pytest.raises(InputError, match="would replace"):
        tool([given, output, "1"]) if tool is coco_to_pkl.main else tool(*flags)
    assert everything() == before


def test_tool__the_same_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = everything()
    with pytest.raises(InputError, match=r"OUT.pkl boxes.json would replace IN.json boxes.json"):
        coco_to_pkl.main(["boxes.json", "boxes.json", "1"])
    with pytest.raises(InputError, match=r"--out-path \S+ would replace --json-file boxes.json"):
        few_shot("--out-path", "images/../boxes.json")
    assert everything() == before
