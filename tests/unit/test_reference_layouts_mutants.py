"""Damaged and hostile folders of references: they are read, or refused in a sentence."""

from __future__ import annotations

import base64
import io
import json
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from no_time_to_train.dataset.reference_layouts import find_references
from no_time_to_train.dataset.reference_layouts.found_dataset import FoundDataset
from no_time_to_train.errors import InputError
from tests.unit.coco_files import annotation, document, image
from tests.unit.test_mutated_json import change, places, too_long
from tests.unit.test_reference_layouts import picture, square, write
from tests.unit.test_reference_layouts_annotated import labelme, shape

SECONDS = 20
YAML = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: kea\n  1: ara\n"
LABELS = "0 0.5 0.5 0.25 0.2\n1 0.25 0.1 0.75 0.1 0.75 0.5 0.25 0.5\n0 0.25 0.5 0.25 0.2\n"
WORDS = (
    "0",
    "1",
    "0.3",
    "0.7",
    "1.05",
    "1e-3",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1",
    "2",
    "0.5",
    "",
    "x",
    "1e-320",
    "9" * 5000,
    "½",
    "\0",
)
YAMLS = (
    "names: &a [*a]",
    "names: " + "[" * 2000,
    "names: {0: {1: 2}}",
    "names: {0: a, 0: b}",
    "names: [a, b]\npath: [1]\ntrain: {a: b}",
    "names: [a, b]\ntrain: ../../..",
    "names: [a, b]\ntrain: [images/train, 3, '', '/']\npath: '\\0'",
    "names: [!!python/object:os.system a, b]",
    "names:",
    "? [names]\n: x\nnames: [a, b]",
    "names: [a, a]",
    "\ufeffnames: [a, b]",
)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(square()).save(buffer, "PNG")
    return buffer.getvalue()


def damaged(data: bytes, generator: random.Random) -> bytes:
    """A few bytes changed, or cut off."""
    content = bytearray(data)
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(content) or 1)
        piece = generator.choice((b"", b",", b"]", b"\xff", b"[" * 2000, b"-", b'"', b"\0" * 9))
        content[at : at + generator.randint(0, 3)] = piece
    return bytes(content[: generator.choice((len(content), generator.randrange(len(content) + 1)))])


def changed(text: str, generator: random.Random) -> bytes:
    """A json with one or two values changed, or damaged as a file."""
    content = json.loads(text)
    for _ in range(generator.choice((1, 1, 2))):
        if any(True for _ in places(content)):
            change(content, generator)
    data = json.dumps(content).encode("utf-8", "replace")
    return damaged(data, generator) if generator.randrange(5) == 0 else data


def mutate_coco(folder: Path, generator: random.Random) -> None:
    content = document(
        images=[image(7, "a.png", 30, 40), image(3, "b.png", 30, 40)],
        annotations=[
            annotation(1, 7, 16),
            annotation(2, 3, 9),
            annotation(5, 3, 9, segmentation=[]),
        ],
    )
    write(folder, "images/a.png", picture())
    write(folder, "images/b.png", picture())
    write(folder, "references.json", changed(json.dumps(content), generator))


def mutate_labelme(folder: Path, generator: random.Random) -> None:
    encoded = base64.b64encode(png()).decode()
    content = labelme(
        shape(group_id=1),
        shape(group_id=1, points=[[20, 20], [30, 20], [30, 28]]),
        shape("ara", shape_type="rectangle", points=[[30, 20], [20, 10]]),
        shape("ara", shape_type="circle", points=[[20, 15], [30, 15]]),
        shape("ara", shape_type="mask", points=[[0, 0], [39, 29]], mask=encoded),
    )
    write(folder, "a.jpg", picture())
    write(folder, "b.jpg", picture())
    write(folder, "b.json", labelme(imagePath="b.jpg"))
    write(folder, "a.json", changed(content, generator))


def mutate_yolo(folder: Path, generator: random.Random) -> None:
    labels, settings = LABELS, YAML.encode()
    for _ in range(generator.choice((0, 1, 1, 2))):
        words = labels.split(" ")
        words[generator.randrange(len(words))] = generator.choice(WORDS)
        labels = " ".join(words)
    action = generator.randrange(6)
    if action == 0:
        settings = generator.choice(YAMLS).encode()
    elif action == 1:
        settings = damaged(settings, generator)
    data = damaged(labels.encode(), generator) if action == 2 else labels.encode()
    write(folder, "images/train/a.jpg", picture())
    write(folder, "data.yaml", settings)
    write(folder, "labels/train/a.txt", data)


def mutate_masks(folder: Path, generator: random.Random) -> None:
    write(folder, "kea/a.jpg", picture())
    write(folder, "kea/a.png", damaged(png(), generator))
    write(folder, "kea/b.jpg", picture())
    write(folder, "kea/b.png", png())


MUTATE: dict[str, Callable[[Path, random.Random], None]] = {
    "COCO json": mutate_coco,
    "Labelme": mutate_labelme,
    "YOLO": mutate_yolo,
    "class folders": mutate_masks,
}


def use(folder: Path) -> str:
    """Find and read references; what they are refused with, or nothing."""
    try:
        found = find_references(folder)
    except InputError as error:
        return str(error)
    dataset = FoundDataset(found, 0.2, 28)
    for index, example in enumerate(dataset.examples):
        if example.annotation.segmentation is not None:
            try:
                assert dataset[index].mask.any()
            except InputError as error:  # a box of the json that its mask does not lie in
                assert found.layout == "COCO json", error
                return str(error)
    return ""


def run(layout: str, folder: Path, numbers: range) -> Counter[bool]:
    """Use that many mutants; how many were refused, and how many were read."""
    signal.signal(signal.SIGALRM, too_long)
    refused: Counter[bool] = Counter()
    for number in numbers:
        MUTATE[layout](folder, random.Random(number))
        signal.alarm(SECONDS)
        try:
            sentence = use(folder)
        except BaseException as error:
            raise AssertionError(f"mutant {number}: {type(error).__name__}: {error}") from error
        finally:
            signal.alarm(0)
        assert "\n" not in sentence, f"mutant {number}: {sentence}"
        refused[bool(sentence)] += 1
    return refused


@pytest.mark.parametrize("layout", MUTATE)
def test_mutants__are_read_or_refused_in_a_sentence(tmp_path: Path, layout: str) -> None:
    refused = run(layout, tmp_path, range(100))
    assert refused[True] > 20
    assert refused[False] > 5


@pytest.mark.exhaustive
@pytest.mark.parametrize("layout", MUTATE)
def test_many_mutants__are_read_or_refused_in_a_sentence(tmp_path: Path, layout: str) -> None:
    run(layout, tmp_path, range(1000, 4000))
