"""`evaluate`: stored results by a benchmark's rules, or one line that says why not."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as rle_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from no_time_to_train.dataset.benchmarks import BENCHMARKS, Benchmark, Images
from no_time_to_train.dataset.class_splits import class_names
from no_time_to_train.evaluation import EVALUATORS, EvaluatorRow
from tests.cli.conftest import Outcome, run_command, segment
from tests.cli.test_wrong_settings import assert_one_line
from tests.unit.coco_files import annotation, document

BOX = [10, 10, 10, 10]
MASK = {"size": [40, 60], "counts": [10 * 40 + 10, *[10, 30] * 9, 10, 40 * 40 + 20]}
"""The polygon of `annotation`: columns and rows 10 to 19."""
TRUTH = Path("sets/coco/annotations/instances_val2017.json")
RESULTS = ("results.json", "--benchmark", "coco", "--split", "few_shot_classes")


def found(image_id: int = 7, category_id: int = 16, score: float = 0.9, **changes: Any) -> dict:
    entry = {"image_id": image_id, "category_id": category_id, "score": score, "bbox": BOX}
    return {**entry, "segmentation": MASK, **changes}


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """COCO with two birds, one in each image, and all novel classes by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATASETS_ROOT", "sets")
    names = [name for name in class_names("few_shot_classes") if name != "bird"]
    categories = [{"id": 100 + n, "name": name} for n, name in enumerate(names)]
    truth = document(
        annotations=[annotation(0, 7, 16), annotation(1, 3, 16)],
        categories=[{"id": 16, "name": "bird"}, {"id": 1, "name": "zebra"}, *categories],
    )
    TRUTH.parent.mkdir(parents=True)
    TRUTH.write_text(json.dumps(truth))
    return tmp_path


def evaluate(records: Any, *arguments: str) -> Outcome:
    """Write a list of results and measure it."""
    text = records if isinstance(records, str) else json.dumps(records)
    Path("results.json").write_text(text)
    return run_command("evaluate", *(arguments or RESULTS))


def written(path: str = "evaluation.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(path).read_text())
    return content


def checksum(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_evaluate__writes_numbers_by_the_names_of_the_paper(data_set: Path) -> None:
    other = found(category_id=1)
    outcome = evaluate([found(), other], *RESULTS, "--shots", "30", "--seed", "33")
    assert outcome.code == 0, outcome.err
    content = written()
    half = pytest.approx(51 / 101)  # one of two: precision 1 at 51 of 101 recall thresholds
    numbers = content["numbers"]
    assert list(numbers)[:3] == ["box nAP", "box nAP50", "box nAP75"]
    assert len(numbers) == 24
    assert numbers["box nAP"] == numbers["mask nAP50"] == half
    assert numbers["mask AR100"] == 0.5
    assert numbers["mask APl"] is None
    known = {key: content[key] for key in ("benchmark", "title", "split", "shots", "seed")}
    assert list(known.values()) == ["coco", "COCO", "few_shot_classes", 30, 33]
    assert (content["metrics"], content["images"], content["bad_images"]) == ("coco", 2, [])
    truth = str(TRUTH)
    assert content["files"] == {
        "results": {"path": "results.json", "sha256": checksum("results.json")},
        "truth": {"path": truth, "sha256": checksum(truth)},
    }
    (bird,) = [row for row in content["per_class"] if row["name"] == "bird"]
    assert (bird["instances"], bird["box_ap"]) == (2, half)
    assert "Results of classes outside of few_shot_classes that are left out: 1" in outcome.out
    assert "box nAP: 50.5" in outcome.out


def test_numbers__are_those_of_plain_pycocotools(data_set: Path) -> None:
    generator = random.Random(0)
    truth = json.loads(TRUTH.read_text())
    ids = [category["id"] for category in truth["categories"] if category["name"] != "zebra"]

    def box() -> list[int]:
        x, y = generator.randrange(40), generator.randrange(25)
        return [x, y, generator.randrange(5, 60 - x), generator.randrange(5, 40 - y)]

    def entry() -> dict[str, Any]:
        x, y, w, h = sides = box()
        outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        ids_of = {"image_id": generator.choice((7, 3)), "category_id": generator.choice(ids[:3])}
        return {**ids_of, "bbox": sides, "segmentation": outline, "area": w * h, "iscrowd": 0}

    truth["annotations"] = [{**entry(), "id": number} for number in range(1, 16)]
    nearby = [{**each, "score": generator.random()} for each in truth["annotations"][:9]]
    records = [*nearby, *({**entry(), "score": generator.random()} for _ in range(20))]
    records = [
        {key: value for key, value in record.items() if key not in ("id", "area", "iscrowd")}
        for record in records
    ]
    TRUTH.write_text(json.dumps(truth))
    assert evaluate(records).code == 0
    numbers = iter(written()["numbers"].values())
    for kind in ("bbox", "segm"):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(TRUTH)
            plain = COCOeval(coco, coco.loadRes("results.json"), kind)
            plain.params.catIds = ids
            for step in (plain.evaluate, plain.accumulate, plain.summarize):
                step()
        assert 0 < plain.stats[0] < 1
        expected = [None if value == -1 else pytest.approx(value) for value in plain.stats]
        assert [next(numbers) for _ in expected] == expected


def test_evaluate__boxes_alone_have_no_mask_numbers(data_set: Path) -> None:
    box = {key: value for key, value in found().items() if key != "segmentation"}
    outcome = evaluate([box | {"image_id": 3}, box], "results.json", "--benchmark", "coco")
    assert outcome.code == 0, outcome.err
    numbers = written()["numbers"]
    assert numbers["box nAP"] == pytest.approx(1)
    assert numbers["mask nAP"] is None
    assert "the results are boxes without masks" in outcome.out


def test_classes__of_a_data_set_of_ones_own_are_named(data_set: Path) -> None:
    arguments = ("--benchmark", "cdfsod", "--split", "savanna", "--cat-names", "zebra, bird")
    truth = ("--truth", str(TRUTH))
    outcome = evaluate([found()], "results.json", *arguments, *truth)
    assert outcome.code == 0, outcome.err
    content = written()
    assert (content["split"], content["metrics"]) == ("savanna", "cdfsod")
    assert [row["name"] for row in content["per_class"]] == ["zebra", "bird"]
    assert content["numbers"]["box mAP"] == pytest.approx(51 / 101)


def test_evaluate__masks_may_be_polygons_or_compressed(data_set: Path) -> None:
    compressed = rle_codec.frPyObjects(MASK, 40, 60)
    compressed["counts"] = compressed["counts"].decode()
    polygon = [[10, 10, 20, 10, 20, 20, 10, 20]]
    evaluate([found(segmentation=compressed), found(3, segmentation=polygon)])
    assert written()["numbers"]["mask nAP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ("[", ["cut off"]),
        ({}, ["expected a list of COCO results, got an object"]),
        ([3], ["entry 0 must be an object"]),
        ([found(), found(8)], ["entry 1 belongs to image 8", "instances_val2017.json"]),
        ([found(category_id=2)], ["entry 0 has the category 2"]),
        ([found(category_id="16")], ["entry 0 has the category '16'"]),
        ("[" + json.dumps(found()).replace("0.9", "NaN") + "]", ['"score" must be a finite']),
        ([found(bbox=None)], ["entry 0 has no box"]),
        ([found(bbox=[1, 1, -3, 4])], ["entry 0 has no box"]),
        ([found(segmentation={**MASK, "size": [60, 40]})], ["a.png", "[60, 40]", "[40, 60]"]),
        ([found(segmentation={"size": [40, 60], "counts": "0"})], ["RLE counts for 0 pixels"]),
        ([found(), found(segmentation=None)], ["1 of 2 results have a segmentation"]),
    ],
)
def test_results__that_would_give_a_wrong_number_are_one_line(
    data_set: Path, records: Any, words: list[str]
) -> None:
    assert_one_line(evaluate(records), "results.json", *words)
    assert not Path("evaluation.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--benchmark", "cocoa"], ["no benchmark 'cocoa'", "did you mean coco?"]),
        (["--benchmark", "voc"], ["voc has several splits", "--split pascal_voc_split_1|pasc"]),
        (
            ["--benchmark", "coco", "--split", "few_shot_clases"],
            ["no split of coco 'few_shot_clases'", "did you mean few_shot_classes?"],
        ),
        ([*RESULTS[1:], "--metrics", "cocos"], ["no row of metrics 'cocos'", "mean coco?"]),
        ([*RESULTS[1:], "--truth", "none.json"], ["none.json", "no such file"]),
        ([*RESULTS[1:], "--out", "results.json"], ["--out results.json", "RESULTS"]),
        ([*RESULTS[1:], "--seed", "-1"], ["--seed", "0 or more"]),
        ([*RESULTS[1:], "--run", "results.json"], ["is not the metrics.json of a `test` run"]),
        (["--split", "few_shot_classes"], ["evaluate: ", "--benchmark", "--help"]),
    ],
)
def test_arguments__that_do_not_fit_are_one_line(
    data_set: Path, arguments: list[str], words: list[str]
) -> None:
    assert_one_line(evaluate([found()], "results.json", *arguments), *words)
    assert not Path("evaluation.json").exists()


def test_evaluation__of_another_file_stays(data_set: Path) -> None:
    assert evaluate([found()]).code == evaluate([found()]).code == 0
    Path("results.json").rename("other.json")
    before = written()
    refused = run_command("evaluate", "other.json", *RESULTS[1:])
    assert_one_line(refused, "evaluation.json is the evaluation of results.json", "--out")
    assert written() == before


def test_made_up_benchmark__gives_what_the_run_itself_measured(
    memories_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of three images run, one of which cannot be read; stage 3, evaluation and table."""
    Path("classes.txt").write_text("coin\nmotorcycle\n")
    targets = Images("photos/annotations/{split}_targets.json", "photos/images")
    row = Benchmark("Photos", {"custom": Path("classes.txt")}, targets, targets, "", "mine", (), ())
    monkeypatch.setitem(BENCHMARKS, "photos", row)
    monkeypatch.setitem(EVALUATORS, "mine", EvaluatorRow("few_shot:evaluate_cdfsod", "Mine."))
    monkeypatch.setenv("DATASETS_ROOT", ".")
    Path("photos/images/motorcycle_right.jpg").unlink()
    Path("photos/images/motorcycle_right.jpg").write_text("<html>")
    limits = ("--trainer.limit_test_batches", "2", "--on_bad_image", "skip")
    run = segment("--export_result", "results.json", *limits)
    assert run.code == 0, run.err
    (metrics,) = memories_dir.rglob("metrics.json")
    arguments = ("results.json", "--benchmark", "photos", "--run", str(metrics), "--shots", "1")
    outcome = run_command("evaluate", *arguments)
    assert outcome.code == 0, outcome.err
    content, measured = written(), json.loads(metrics.read_text())
    numbers = content["numbers"]
    for kind in ("box", "mask"):
        assert numbers[f"{kind} mAP"] == measured[kind]["AP"]
        assert numbers[f"{kind} AR100"] == measured[kind]["AR100"] > 0
    assert (content["metrics"], content["images"]) == ("mine", 2)
    assert content["limited_by"] == measured["limited_by"]
    assert content["bad_images"] == measured["bad_images"]
    table = run_command("summary", ".").out
    assert table.startswith("Photos: box mAP by split and shots\n")
    assert (
        "photos, custom, 1 shot: a part of the images only (--trainer.limit_test_batches 2)\n"
        in table
    )
    assert "photos, custom, 1 shot: 1 image could not be read\n" in table


def test_results__of_another_run_than_its_metrics_are_one_line(data_set: Path) -> None:
    metrics = {"images": 1, "images_of_data_set": 2, "image_ids": [3]}
    metrics |= {"limited_by": "a limit", "bad_images": []}
    Path("metrics.json").write_text(json.dumps(metrics))
    arguments = (*RESULTS, "--run", "metrics.json")
    refused = evaluate([found(7)], *arguments)
    assert_one_line(refused, "results.json has results for images that metrics.json does not list")
    assert evaluate([found(3)], *arguments).code == 0
    assert written()["numbers"]["box nAP"] == pytest.approx(1)
    del metrics["image_ids"]
    Path("metrics.json").write_text(json.dumps(metrics))
    refused = evaluate([found(3)], *arguments)
    assert_one_line(refused, "metrics.json does not say which 1 of 2 images ran", "repeat the run")
    Path("metrics.json").write_text(json.dumps(metrics | {"bad_images": 3}))
    refused = evaluate([found(3)], *arguments)
    assert_one_line(refused, "metrics.json is not the metrics.json of a `test` run")
