"""Damaged and hostile COCO json: it works or is refused in a sentence, within bounds."""

from __future__ import annotations

import copy
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from no_time_to_train.coco.annotations import (
    CocoAnnotations,
    check_truths,
    rasterise,
    run_lengths,
)
from no_time_to_train.coco.segmentation import to_rle
from no_time_to_train.dataset.class_splits import wanted_categories
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.coco import evaluate

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(ROOT.glob("photos/annotations/*.json")) + sorted(
    ROOT.glob("scenes/annotations/*.json")
)
SECONDS = 20
MEMORY = 2 * 2**30

NUMBERS = (float("nan"), float("inf"), 1e308, -1, 0, 0.5, 60_000, 10**6, 10**9, 2**63, 10**30)
OTHERS = (None, True, "", "x" * 5000, "\ud800", "\0", [], {}, [[]], [None], {"size": [1, 1]})
SEGMENTATIONS = (
    [[0, 0, 60_000, 60_000]],
    [[0, 0, 1, 1]],
    [[-1e5, -1e5, 1e5, 1e5, -1e5, 1e5] * 50],
    [[0, 0, 9, 0, 9, 9, 0]],
    [[1e5 + 1, 0, 9, 0, 9, 9]],
    [[True, 0, 9, 0, 9, 9]],
    [[[0, 0], [9, 0], [9, 9]]],
    {"size": [60_000, 60_000], "counts": [3_600_000_000]},
    {"size": [10**9, 10**9], "counts": [10**18]},
    {"size": [10, 10], "counts": "PPYo1"},
    {"size": [-1, -1], "counts": [1]},
    {"size": [True, True], "counts": [1]},
    {"size": "ab", "counts": "o" * 50},
    {"counts": []},
    {"size": [480, 640], "counts": [0] * 1000 + [480 * 640]},
)


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a document with every key of it."""
    keys = node.keys() if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from places(node[key])


def entries(document: Any, key: str) -> list[dict[str, Any]]:
    """The objects of one of the three lists, as far as they still are."""
    listed = document.get(key)
    return [entry for entry in listed if isinstance(entry, dict)] if type(listed) is list else []


def change(document: Any, generator: random.Random) -> None:
    """Replace, delete, repeat, nest or swap one value."""
    everywhere = list(places(document))
    holder, key = generator.choice(everywhere)
    action = generator.randrange(8)
    if action == 0 and isinstance(holder, dict):
        del holder[key]
    elif action == 1 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif action == 2:
        for _ in range(generator.choice((1, 20, 100))):
            holder[key] = [holder[key]]
    elif action == 3:
        other, its_key = generator.choice(everywhere)
        holder[key] = copy.deepcopy(other[its_key])
    elif action == 4 and entries(document, "annotations"):
        chosen = generator.choice(entries(document, "annotations"))
        chosen["segmentation"] = generator.choice(SEGMENTATIONS)
    elif action == 5:
        for image in entries(document, "images"):
            sides = generator.choices((None, None, 1, 999, 60_000, 10**9), k=2)
            image.update(zip(("height", "width"), sides, strict=True))
    else:
        holder[key] = generator.choice(NUMBERS + OTHERS)


def mutant(number: int) -> bytes:
    """A json with a few values changed, in every fifth one also a few bytes."""
    generator = random.Random(number)
    document = json.loads(SOURCES[number % len(SOURCES)].read_bytes())
    for _ in range(generator.choice((1, 1, 2))):
        if any(True for _ in places(document)):
            change(document, generator)
    data = bytearray(json.dumps(document).encode("utf-8", "replace"))
    for _ in range(generator.randint(1, 4) if number % 5 == 0 else 0):
        at = generator.randrange(len(data))
        piece = generator.choice((b"", b",", b"]", b"9" * 5000, b"\xff", b"[" * 2000, b"-", b'"'))
        data[at : at + generator.randint(0, 3)] = piece
    return bytes(data)


def results(coco: CocoAnnotations, ids: list[int]) -> list[Any]:
    """A detection in each image, of a quarter of its size."""
    found = []
    for image in coco.images.values():
        height, width = image.height or 40, image.width or 60
        right, bottom = min(width, 999) / 2, min(height, 999) / 2
        rle = to_rle([[0, 0, right, 0, right, bottom, 0, bottom]], height, width)
        box = [0, 0, right, bottom]
        for category_id in ids[:2]:
            record = {"image_id": image.id, "category_id": category_id, "score": 0.5, "bbox": box}
            found.append({**record, "segmentation": {**rle, "counts": rle["counts"].decode()}})
    return found


def use(path: Path) -> str:
    """Read and evaluate a json; what it is refused with, or nothing.

    Raises:
        AssertionError: It passed the check before a run, and failed after it.
    """
    try:
        coco = CocoAnnotations.read(path)
        names = list(dict.fromkeys(category.name for category in coco.categories))
        ids = [category.id for category in wanted_categories(coco, None, names)]
        check_truths(coco, ids)
    except InputError as error:
        return str(error)
    try:
        for annotation in coco.annotations:
            image = coco.images[annotation.image_id]
            if annotation.segmentation is not None and image.height and image.width:
                run_lengths(annotation, image)
                rasterise(annotation, image)
        evaluate(coco, ids, results(coco, ids))
    except InputError as error:
        # Without a size in the json, that of the image is known when it is read.
        assert any(None in (image.height, image.width) for image in coco.images.values()), error
        return str(error)
    return ""


def too_long(*_: Any) -> None:
    raise AssertionError(f"longer than {SECONDS} s")


def run(numbers: range) -> int:
    """Use that many mutants; how many were refused."""
    signal.signal(signal.SIGALRM, too_long)
    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mutant.json")
        for number in numbers:
            path.write_bytes(mutant(number))
            signal.alarm(SECONDS)
            try:
                sentence = use(path)
            except BaseException as error:
                raise AssertionError(f"mutant {number}: {type(error).__name__}") from error
            finally:
                signal.alarm(0)
            assert "\n" not in sentence, f"mutant {number}: {sentence}"
            refused += bool(sentence)
    return refused


def run_in_little_memory(count: int) -> None:
    """For the subprocess below."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print(run(range(count)))


def test_mutants__work_or_are_refused_in_a_sentence() -> None:
    assert 75 < run(range(150)) < 150


@pytest.mark.exhaustive
def test_mutants__in_little_memory() -> None:
    code = "from tests.unit.test_mutated_json import run_in_little_memory as run; run(2000)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    outcome = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr
    assert 1000 < int(outcome.stdout) < 2000
