"""Several processes on one machine give what one gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import (
    ROOT,
    base,
    fill,
    references,
    run_test,
    segment,
    settings,
    targets,
)

TWO = ("--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp")
ONE = ("--trainer.accelerator", "cpu", "--trainer.devices", "1")


def start(*arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(ROOT / "run_lightening.py"), "test", *base(), *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def assert_one_message(done: subprocess.CompletedProcess[str], word: str) -> None:
    assert done.returncode == 2, done.stderr[-3000:]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert word in line
    assert "Traceback" not in done.stderr


def run(python: str, *arguments: str) -> str:
    done = start(*arguments, python=python)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_two_processes__bad_data_of_one_stops_both_with_its_sentence(memories_dir: Path) -> None:
    motorcycle = Path("photos/images/motorcycle_right.jpg")  # the second image: that of rank 1
    content = motorcycle.read_bytes()[:9000]
    motorcycle.unlink()
    motorcycle.write_bytes(content)
    done = start(*targets(), "--ckpt_path", "memory.pth", "--export_result", "out.json", *TWO)
    assert_one_message(done, "motorcycle_right.jpg cannot be decoded")
    assert not Path("out.json").exists()


@pytest.mark.exhaustive
def test_two_processes__bad_data_of_the_first_stops_both_with_its_sentence(
    memories_dir: Path,
) -> None:
    coins = Path("photos/images/coins_bottom.png")  # the first image
    content = coins.read_bytes()[:9000]
    coins.unlink()
    coins.write_bytes(content)
    done = start(*targets(), "--ckpt_path", "memory.pth", "--export_result", "out.json", *TWO)
    assert_one_message(done, "coins_bottom.png")
    assert not Path("out.json").exists()


@pytest.mark.exhaustive
def test_two_processes__a_failure_of_both_is_one_message(memories_dir: Path) -> None:
    content = torch.load("memory.pth", weights_only=True)
    del content["no_time_to_train"]  # so that the width is compared where networks are built
    state = content["state_dict"]
    state["seg_model.mem_feats_ins_avg"] = torch.ones(2, 1, 384)
    torch.save(content, "wide.pth")
    done = start(*targets(), "--ckpt_path", "wide.pth", "--export_result", "out.json", *TWO)
    assert_one_message(done, "384")


@pytest.mark.exhaustive
def test_two_processes__a_failure_after_the_last_image_stops_both(memories_dir: Path) -> None:
    shutil.copytree("photos/images", "pictures")  # read when results are drawn, by rank 0
    broken = Path("pictures/chelsea.jpg")
    broken.write_bytes(broken.read_bytes()[:9000])
    drawn = settings({"model_cfg.test.online_vis": True, "model_cfg.test.imgs_path": "pictures"})
    done = start(*targets(), *drawn, "--ckpt_path", "memory.pth", *TWO)
    assert_one_message(done, "pictures/chelsea.jpg")


def test_two_processes__odd_numbers_of_references_and_images(
    photos_dir: Path, warm_python: str
) -> None:
    first, second = {"img_id": 1, "ann_ids": [1]}, {"img_id": 1, "ann_ids": [2]}
    Path("references.json").write_text(json.dumps({"11": [first, second, first]}))
    shots = settings(
        {"model_cfg.memory_bank_cfg.length": 3, "model_cfg.memory_bank_cfg.category_num": 1},
    )
    data = (
        *references(),
        *settings(
            {
                "dataset_cfgs.fill_memory.memory_length": 3,
                "dataset_cfgs.fill_memory.cat_names": "coin",
            }
        ),
        *shots,
    )
    for name, devices in (("one", ONE), ("two", TWO)):
        run(
            warm_python,
            *data,
            "--model.test_mode",
            "fill_memory",
            "--out_path",
            f"{name}.pth",
            *devices,
        )
    one, two = (
        torch.load(f"{name}.pth", weights_only=True)["state_dict"] for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    assert one["seg_model.mem_fill_counts"].tolist() == [3]
    assert all(torch.equal(one[name], two[name]) for name in one)

    run(warm_python, *shots, "--model.test_mode", "postprocess_memory", "--ckpt_path", "two.pth",
        "--out_path", "memory.pth", *ONE)  # fmt: skip
    printed = {}
    coins = (*targets(), *settings({"dataset_cfgs.test.cat_names": "coin"}), *shots)
    for name, devices in (("one", ONE), ("two", TWO)):
        printed[name] = run(
            warm_python, *coins, "--ckpt_path", "memory.pth",
            "--export_result", f"{name}.json", *devices,
        )  # fmt: skip
    results = [json.loads(Path(f"{name}.json").read_text()) for name in ("one", "two")]
    assert results[0] == results[1]
    assert {record["image_id"] for record in results[0]} >= {2, 4}
    tables = [
        text[text.index("BBOX RESULTS:") :].partition("class  ")[0] for text in printed.values()
    ]
    assert tables[0] == tables[1]
    assert printed["two"].count("BBOX RESULTS:") == 1


def flags_of_world(processes: int) -> tuple[str, ...]:
    return (*ONE[:2], "--trainer.devices", str(processes), "--trainer.strategy", "ddp")


def write_targets(images: int) -> None:
    """So many targets: the photographs, again and again under further names."""
    path = Path("photos/annotations/custom_targets.json")
    content = json.loads(path.read_text())
    photos, truth = content["images"], content["annotations"]
    content["images"], content["annotations"] = [], []
    for number in range(images):
        photo = photos[number % len(photos)]
        name = f"{number}{Path(photo['file_name']).suffix}"
        Path("photos/images", name).symlink_to(photo["file_name"])
        content["images"].append(photo | {"id": 10 + number, "file_name": name})
        content["annotations"] += [
            annotation | {"id": 100 * number + place, "image_id": 10 + number}
            for place, annotation in enumerate(truth, start=1)
            if annotation["image_id"] == photo["id"]
        ]
    path.unlink()
    path.write_text(json.dumps(content))


@pytest.mark.exhaustive
@pytest.mark.parametrize("images", [1, 5, 8])
@pytest.mark.parametrize("processes", [2, 3])
def test_world__any_number_of_references_and_images(
    photos_dir: Path, warm_python: str, processes: int, images: int
) -> None:
    picks = [{"img_id": 1, "ann_ids": [1 + number % 2]} for number in range(images)]
    Path("references.json").write_text(json.dumps({"11": picks}))
    write_targets(images)
    shots = settings(
        {
            "model_cfg.memory_bank_cfg.length": images,
            "model_cfg.memory_bank_cfg.category_num": 1,
            "dataset_cfgs.fill_memory.memory_length": images,
            "dataset_cfgs.fill_memory.cat_names": "coin",
            "dataset_cfgs.test.cat_names": "coin",
        }
    )
    several = flags_of_world(processes)
    assert fill(*shots, out_path="one.pth").code == 0
    fill_mode = ("--model.test_mode", "fill_memory", "--out_path", "several.pth")
    run(warm_python, *references(), *shots, *fill_mode, *several)
    assert Path("one.pth").read_bytes() == Path("several.pth").read_bytes()

    paths = ("--ckpt_path", "one.pth", "--out_path", "memory.pth")
    assert run_test(*base(), *shots, "--model.test_mode", "postprocess_memory", *paths).code == 0
    one = segment(*shots, "--export_result", "one.json")
    assert one.code == 0, one.err
    paths = ("--ckpt_path", "memory.pth", "--export_result", "several.json")
    printed = run(warm_python, *targets(), *shots, *paths, *several)
    assert Path("one.json").read_bytes() == Path("several.json").read_bytes()
    assert {record["image_id"] for record in json.loads(Path("one.json").read_text())} == {
        10 + number for number in range(images)
    }
    table = one.out[one.out.index("BBOX RESULTS:") :].partition("class  ")[0]
    assert printed.count(table) == printed.count("BBOX RESULTS:") == 1
