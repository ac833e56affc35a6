"""`episodes` on a miniature COCO with the demo networks: stopped, gone on, and refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO

from no_time_to_train.api import FewShotSegmenter
from tests.cli.conftest import CONFIGS, ROOT, Outcome, run_command
from tests.cli.test_wrong_settings import assert_one_line
from tests.miniatures import coco

FOLD_1 = coco.NAMES[0::4]
THRESHOLD = "0.9"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory with the train images of a fold in the place of COCO 2014."""
    folder = tmp_path_factory.mktemp("episodes")
    coco.write(folder / "data", shots=2, references=FOLD_1)
    miniature = folder / "data" / "coco"
    (miniature / "train2017").rename(miniature / "val2014")
    annotations = miniature / "annotations"
    (annotations / "instances_train2017.json").rename(annotations / "instances_val2014.json")
    (folder / "demo_models").symlink_to(ROOT / "demo_models")
    few = {"model_cfg": {"sam2_infer_cfgs": {"points_per_side": 6}}}
    (folder / "few.yaml").write_text(yaml.safe_dump({"model": {"init_args": few}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DATASETS_ROOT", raising=False)
        yield folder


def episodes(*arguments: str, out: str = "out", count: int = 3) -> Outcome:
    configs = [word for name in CONFIGS for word in ("--config", str(ROOT / name))]
    fixed = ("--fold", "1", "--shots", "2", "--score-thr", THRESHOLD, "--out", out)
    given = [*configs, "--config", "few.yaml", "--seed", "5", "--episodes", str(count)]
    return run_command("episodes", *fixed, *given, *arguments)


def lines(out: str = "out") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(out, "episodes.jsonl").read_text().splitlines()]


def by_hand(entries: list[dict[str, Any]]) -> dict[str, float]:
    """The two numbers, with masks of pycocotools and a fresh segmenter for each episode."""
    truth = COCO("data/coco/annotations/instances_val2014.json")
    classes: dict[int, list[int]] = {}
    every = []

    def mask(image_id: int, category_id: int) -> np.ndarray:
        found = truth.loadAnns(truth.getAnnIds([image_id], [category_id]))
        return sum(truth.annToMask(each) for each in found) > 0

    def path(image_id: int) -> str:
        return f"data/coco/val2014/{truth.imgs[image_id]['file_name']}"

    for entry in entries:
        configs = [*(ROOT / name for name in CONFIGS), "few.yaml"]
        segmenter = FewShotSegmenter.from_config(*configs)
        for support in entry["supports"]:
            segmenter.remember(path(support), mask(support, entry["category_id"]), "it")
        segmenter.finalise()
        found = segmenter.segment(path(entry["query"]))
        union = found.masks[found.scores >= float(THRESHOLD)].numpy().any(axis=0)
        there = mask(entry["query"], entry["category_id"])
        sums = [(there & union).sum(), (there | union).sum()]
        total = classes.setdefault(entry["category_id"], [0, 0])
        classes[entry["category_id"]] = [total[0] + sums[0], total[1] + sums[1]]
        every.append([*sums, (~there & ~union).sum(), (~there | ~union).sum()])
    both, either, neither, outside = np.sum(every, axis=0)
    return {
        "mIoU": np.mean([a / b for a, b in classes.values()]),
        "FB-IoU": (both / either + neither / outside) / 2,
    }


def test_episodes__stopped_and_gone_on(data_dir: Path) -> None:
    outcome = episodes(out="whole")
    assert outcome.code == 0, outcome.err
    whole = lines("whole")
    assert [entry["episode"] for entry in whole[1:]] == [0, 1, 2]

    # The last query cannot be read; and as a kill leaves it, with a part of an episode.
    last = Path(f"data/coco/val2014/{whole[3]['query']:012d}.jpg")
    last.rename("aside.jpg")
    assert_one_line(episodes(), f"there is no image {last}")
    Path("aside.jpg").rename(last)
    assert lines() == whole[:3]
    assert not Path("out/evaluation.json").exists()
    with Path("out/episodes.jsonl").open("a") as file:
        file.write('{"episode": 2, "qu')
    outcome = episodes()
    assert outcome.code == 0, outcome.err
    assert "2 of 3 episodes are there" in outcome.out
    assert lines() == whole

    content = json.loads(Path("out/evaluation.json").read_text())
    assert content["numbers"] == pytest.approx(by_hand(whole[1:]))
    assert 0 < content["numbers"]["mIoU"] < 1
    known = {key: content[key] for key in ("benchmark", "split", "shots", "seed", "metrics")}
    assert list(known.values()) == ["coco20i", "coco_semantic_split_1", 2, 5, "coco20i_episodes"]
    assert content["files"].keys() == {"json_file"}


def test_episodes__more_of_them_begin_with_those_that_are_there(data_dir: Path) -> None:
    assert episodes(out="few", count=1).code == 0
    outcome = episodes(out="few", count=2)
    assert "1 of 2 episodes are there" in outcome.out
    assert len(lines("few")) == 1 + 2
    assert episodes(out="few", count=1).code == 0
    assert json.loads(Path("few/evaluation.json").read_text())["episodes"] == 1


def test_episodes__of_another_run_stay(data_dir: Path) -> None:
    assert episodes(out="kept", count=1).code == 0
    before = Path("kept/episodes.jsonl").read_bytes()
    refused = episodes("--seed", "6", out="kept", count=1)
    assert_one_line(
        refused, "kept/episodes.jsonl holds episodes of another run", "--seed was 5, is 6"
    )
    shutil.copy("kept/evaluation.json", "kept/episodes.jsonl")
    assert_one_line(episodes(out="kept"), "kept/episodes.jsonl holds something else than episodes")
    Path("kept/episodes.jsonl").write_bytes(before)
    assert episodes(out="kept", count=1).code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fold", "5"], ["--fold", "invalid choice"]),
        (["--seed", "4294967296"], ["--seed", "at most 4294967295"]),
        (["--fold", "3"], ["fewer than two of the", "images show"]),
        (["--json-file", "none.json"], ["none.json"]),
        (["--split-list", "none.txt"], ["none.txt", "cannot be read"]),
        (["--out", "few.yaml/x"], ["--out", "few.yaml is a file"]),
        (["--device", "abacus"], ["abacus"]),
    ],
)
def test_episodes__arguments_that_do_not_fit(
    data_dir: Path, arguments: list[str], words: list[str]
) -> None:
    assert_one_line(episodes(*arguments, out="refused"), *words)
    assert not Path("refused").exists()
