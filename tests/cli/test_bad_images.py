"""Targets that cannot be read: --on_bad_image says whether they end a run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.conftest import ROOT, base, segment, settings, targets
from tests.cli.test_bad_data import everything
from tests.cli.test_two_processes import ONE, TWO
from tests.cli.test_wrong_settings import assert_one_line
from tests.unit.bad_images import BREAK, give_up_rights, modes_respected, write_frames

SKIP = ("--on_bad_image", "skip", "--export_result", "out.json")
ONE_WORKER = {"data_load_cfgs.workers": 1}


def metrics() -> Any:
    (path,) = Path("work_dirs").rglob("metrics.json")
    return json.loads(path.read_text())


def break_target(name: str, way: str) -> None:
    path = Path("photos/images", name)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    BREAK[way][0](path)


def test_skip__leaves_a_bad_image_of_a_batch_without_detections(memories_dir: Path) -> None:
    undisturbed = segment("--export_result", "undisturbed.json")
    assert undisturbed.code == 0, undisturbed.err
    assert metrics()["bad_images"] == []
    break_target("coins_bottom.png", "truncated")
    batches = ONE_WORKER | {"data_load_cfgs.batch_size": 2, "model_cfg.test.online_vis": True}
    outcome = segment(*SKIP, *settings(batches))
    assert outcome.code == 0, outcome.err
    written = max(Path("work_dirs").rglob("metrics.json"), key=lambda path: path.stat().st_mtime)
    found = json.loads(written.read_text())
    (bad,) = found["bad_images"]
    reason = bad["reason"]
    assert bad["file_name"] == "coins_bottom.png"
    assert reason.startswith("photos/images/coins_bottom.png cannot be decoded (image file is trun")
    assert outcome.out.count("coins_bottom.png") == 1
    assert f"Counts as without detections: {reason}\n" in outcome.out
    assert "\n1 of 3 images could not be read and count as without detections\n" in outcome.out
    assert found["images"] == found["images_of_data_set"] == 3
    pictures = sorted(path.name for path in Path("results_analysis/photos").iterdir())
    assert pictures == ["chelsea.jpg", "motorcycle_right.jpg"]
    before, after = (json.loads(Path(f).read_text()) for f in ("undisturbed.json", "out.json"))
    assert [record for record in before if record["image_id"] != 2] == after


def test_fail__names_the_flag_and_every_image_bad_is_refused(memories_dir: Path) -> None:
    for name in ("coins_bottom.png", "motorcycle_right.jpg", "chelsea.jpg"):
        break_target(name, "html")
    before = everything(memories_dir)
    outcome = segment("--export_result", "out.json")
    assert_one_line(outcome, "coins_bottom.png is no image", "--on_bad_image skip")
    outcome = segment(*SKIP)
    words = ("none of 3 images could be read", "coins_bottom.png is no image")
    assert_one_line(outcome, *words)
    assert everything(memories_dir) == before


COUNT, FRAMES = 200, 60
PLACES = dict(zip((5, 40, 41, 99, 100, 150, 199), BREAK, strict=True))
"""Position in the data set, and what is wrong there."""


def write_two_hundred() -> list[str]:
    """Squares on grey, seven of which cannot be read, and a GIF; settings for them."""
    Path("many").mkdir()
    images, truths = [], []
    for number in range(COUNT):
        left, top = 5 + number % 40, 10 + number % 30
        picture = Image.new("RGB", (96, 96), "#808080")
        picture.paste((number, 255 - number, 90), (left, top, left + 40, top + 40))
        picture.save(Path("many", f"{number}.png"))
        if number in PLACES:
            BREAK[PLACES[number]][0](Path("many", f"{number}.png"))
        box = [left, top, 40, 40]
        images.append({"id": number, "file_name": f"{number}.png", "height": 96, "width": 96})
        truths.append({"id": number, "image_id": number, "category_id": 11, "bbox": box})
    write_frames(Path("many", f"{FRAMES}.png"), (96, 96))
    kinds = [{"id": 4, "name": "motorcycle"}, {"id": 11, "name": "coin"}]
    content = {"images": images, "annotations": truths, "categories": kinds}
    Path("many.json").write_text(json.dumps(content))
    return settings(
        {
            "dataset_cfgs.test.root": "many",
            "dataset_cfgs.test.json_file": "many.json",
            "model_cfg.sam2_infer_cfgs.points_per_side": 2,
            "model_cfg.sam2_infer_cfgs.iou_thr": 0,
            "data_load_cfgs.batch_size": 3,
        }
    )


def assert_seven_bad(out: str, found: Any) -> None:
    assert "\n7 of 200 images could not be read and count as without detections\n" in out
    assert out.count("Counts as without detections: ") == 7
    assert out.count(f"{FRAMES}.png has several frames, of which the first is taken") == 1
    assert [image["file_name"] for image in found["bad_images"]] == [f"{n}.png" for n in PLACES]
    for image, way in zip(found["bad_images"], PLACES.values(), strict=True):
        assert BREAK[way][1] in image["reason"]
        assert image["reason"] in out
    assert found["images"] == COUNT


@pytest.mark.exhaustive
def test_two_hundred_images__of_which_seven_cannot_be_read(memories_dir: Path) -> None:
    many = write_two_hundred()
    with modes_respected():
        outcome = segment(*many, *SKIP)
    assert outcome.code == 0, outcome.err
    found = metrics()
    assert_seven_bad(outcome.out, found)
    seen = {record["image_id"] for record in json.loads(Path("out.json").read_text())}
    assert seen == set(range(COUNT)) - set(PLACES)
    (coins,) = [row for row in found["per_class"] if row["name"] == "coin"]
    assert coins["instances"] == COUNT  # those in bad images are there to be missed


@pytest.mark.exhaustive
def test_two_hundred_images__end_at_the_first_that_cannot_be_read(memories_dir: Path) -> None:
    many = write_two_hundred()
    with modes_respected():
        # What is no file is seen before any image is read.
        stopped = segment(*many, "--export_result", "out.json")
        assert_one_line(stopped, "2 of 200 images", "many/99.png", "--on_bad_image skip")
        for place, way in PLACES.items():
            if way in ("folder", "missing"):
                repair(place)
        for place, way in PLACES.items():
            if way not in ("folder", "missing"):
                stopped = segment(*many, "--export_result", "out.json")
                assert_one_line(stopped, f"many/{place}.png", BREAK[way][1], "--on_bad_image skip")
                repair(place)
    assert not Path("out.json").exists()


def repair(place: int) -> None:
    path = Path("many", f"{place}.png")
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    shutil.copy("many/0.png", path)


@pytest.mark.exhaustive
def test_two_hundred_images__on_two_ranks_are_those_of_one(memories_dir: Path) -> None:
    many = write_two_hundred()
    arguments = *base(), *targets(), *many, "--ckpt_path", "memory.pth", *SKIP
    found = []
    for devices in (ONE, TWO):
        done = subprocess.run(
            [sys.executable, str(ROOT / "run_lightening.py"), "test", *arguments, *devices],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            preexec_fn=give_up_rights,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found.append((metrics(), Path("out.json").read_bytes()))
        assert_seven_bad(done.stdout, found[-1][0])
        shutil.rmtree("work_dirs")
    (one, records_of_one), (two, records_of_two) = found
    assert records_of_one == records_of_two
    assert (one["box"], one["bad_images"]) == (two["box"], two["bad_images"])
