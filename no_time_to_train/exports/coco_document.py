"""What was found in many pictures, as one COCO json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from no_time_to_train.exports.picture_results import FoundInstance, PictureResult
from no_time_to_train.files import atomic_write

Segmentation = Callable[[FoundInstance], Any]


def exact_rle(instance: FoundInstance) -> Any:
    """The mask as compressed run lengths, pixel for pixel."""
    return instance.segmentation


def write_coco(
    path: Path,
    results: Iterable[PictureResult],
    class_names: Sequence[str],
    segmentation: Segmentation = exact_rle,
) -> None:
    """Write info, licenses, images, categories and annotations; one entry is held at a time.

    The file appears whole or not at all, and the same results give the same bytes.

    Args:
        path: Of the json.
        results: Gone through twice, first for the images and then for the annotations: a list, or
            an object that reads them anew each time.
        class_names: By label; category ids count from 1.
        segmentation: How a mask is written.

    Raises:
        InputError: The file cannot be written.
    """
    assert iter(results) is not results, "results can be gone through only once"
    info = {"description": "instances found by no-time-to-train"}
    with atomic_write(path) as file:
        file.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n"categories": ')
        _write_list(file, category_entries(class_names))
        file.write(',\n"images": ')
        _write_list(file, map(image_entry, results))
        file.write(',\n"annotations": ')
        _write_list(file, _numbered(results, segmentation))
        file.write("}\n")


def category_entries(class_names: Sequence[str]) -> list[dict[str, Any]]:
    """The classes, with ids from 1."""
    return [{"id": number, "name": name} for number, name in enumerate(class_names, start=1)]


def image_entry(result: PictureResult) -> dict[str, Any]:
    """A picture."""
    return {
        "id": result.image_id,
        "file_name": result.file_name,
        "height": result.height,
        "width": result.width,
    }


def annotation_entry(
    instance: FoundInstance, number: int, image_id: int, segmentation: Segmentation = exact_rle
) -> dict[str, Any]:
    """An instance.

    Args:
        instance: What was found.
        number: Its id.
        image_id: Of its picture.
        segmentation: How its mask is written.
    """
    return {
        "id": number,
        "image_id": image_id,
        "category_id": instance.label + 1,
        "bbox": list(instance.bbox),
        "area": instance.area,
        "iscrowd": 0,
        "score": instance.score,
        "segmentation": segmentation(instance),
    }


def _numbered(
    results: Iterable[PictureResult], segmentation: Segmentation
) -> Iterator[dict[str, Any]]:
    number = 0
    for result in results:
        for instance in result.instances:
            number += 1
            yield annotation_entry(instance, number, result.image_id, segmentation)


def _write_list(file: IO[str], entries: Iterable[Any]) -> None:
    """One entry a line."""
    file.write("[")
    for number, entry in enumerate(entries):
        file.write(",\n" if number else "\n")
        file.write(json.dumps(entry))
    file.write("\n]")
