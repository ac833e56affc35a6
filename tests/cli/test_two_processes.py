"""Two processes on one machine give what one gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import ROOT, base, references, settings, targets

TWO = ("--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp")
ONE = ("--trainer.accelerator", "cpu", "--trainer.devices", "1")


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run_lightening.py"), "test", *base(), *arguments],
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


def run(*arguments: str) -> str:
    done = start(*arguments)
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


def test_two_processes__odd_numbers_of_references_and_images(photos_dir: Path) -> None:
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
        run(*data, "--model.test_mode", "fill_memory", "--out_path", f"{name}.pth", *devices)
    one, two = (
        torch.load(f"{name}.pth", weights_only=True)["state_dict"] for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    assert one["seg_model.mem_fill_counts"].tolist() == [3]
    assert all(torch.equal(one[name], two[name]) for name in one)

    run(*shots, "--model.test_mode", "postprocess_memory", "--ckpt_path", "two.pth",
        "--out_path", "memory.pth", *ONE)  # fmt: skip
    printed = {}
    coins = (*targets(), *settings({"dataset_cfgs.test.cat_names": "coin"}), *shots)
    for name, devices in (("one", ONE), ("two", TWO)):
        printed[name] = run(
            *coins, "--ckpt_path", "memory.pth",
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
