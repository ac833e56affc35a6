"""The three kinds of entries in a COCO json, and what each must hold to be read.

A parse function takes one json object and returns its record, or raises an InputError that is the
second half of a sentence: the caller knows the file and the entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any

from no_time_to_train.errors import InputError

Id = int | str
Box = tuple[float, float, float, float]

MAX_AREA = 1e300
"""Beyond it sums of numbers are not finite."""
MAX_POSITION = 1e6
"""Largest number of a box in pixels; products of such numbers are exact."""
MAX_SIDE = 1_000_000
"""Largest side of an image in pixels."""
FREQUENCIES = ("r", "c", "f")
"""How LVIS groups its classes."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """One image of the json."""

    id: Id
    file_name: str
    """Relative to the data set's root folder, with forward slashes."""
    height: int | None
    """Pixels, where the json says so."""
    width: int | None
    """Pixels, where the json says so."""
    neg_category_ids: tuple[int, ...] | None = None
    """Classes that are known not to be in it, where the json says so (LVIS)."""
    not_exhaustive_category_ids: tuple[int, ...] | None = None
    """Classes of which it may show more instances than are annotated (LVIS)."""


@dataclass(frozen=True, slots=True)
class Category:
    """One class of the json."""

    id: int
    name: str
    frequency: str | None = None
    """LVIS's r, c or f (rare, common, frequent in its training set); None for anything else."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One instance."""

    id: Id
    image_id: Id
    category_id: int
    bbox: Box
    """[x, y, w, h] in pixels, (x, y) the upper left corner."""
    segmentation: list[Any] | dict[str, Any] | None
    """As in the json (polygons or RLE); None where there is nothing but the box."""
    iscrowd: int
    """1 for a region of many instances."""
    area: float | None
    """Square pixels, where the json says so; `instance_area` fills the gap."""
    isimpossible: int
    """1 for an instance that Pascal VOC does not count."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One entry of a COCO results list, whatever its category."""

    image_id: Id
    bbox: Box | None
    """[x, y, w, h] in pixels, (x, y) the upper left corner; None where there is a mask alone."""
    segmentation: list[Any] | dict[str, Any] | None
    """As in the json (polygons or RLE); None where there is nothing but the box."""
    score: float
    """The higher the better."""


def parse_image(entry: dict[str, Any]) -> ImageInfo:
    """Read an entry of "images"; LVIS names the file in `coco_url` alone."""
    name = entry.get("file_name")
    if name is None and isinstance(entry.get("coco_url"), str):
        name = entry["coco_url"].rsplit("/", 1)[-1]
    if not isinstance(name, str) or not name:
        raise InputError(f'"file_name" must be the name of the image file, got {brief(name)}')
    return ImageInfo(
        _id(entry, "id"),
        name,
        _side(entry, "height"),
        _side(entry, "width"),
        _category_ids(entry, "neg_category_ids"),
        _category_ids(entry, "not_exhaustive_category_ids"),
    )


def parse_category(entry: dict[str, Any]) -> Category:
    """Read an entry of "categories"."""
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise InputError(f'"name" must be the name of the class, got {brief(name)}')
    frequency = entry.get("frequency")
    return Category(_whole(entry, "id"), name, frequency if frequency in FREQUENCIES else None)


def parse_annotation(entry: dict[str, Any]) -> Annotation:
    """Read an entry of "annotations"; all but the ids and the box may be missing."""
    return Annotation(
        _id(entry, "id"),
        _id(entry, "image_id"),
        _whole(entry, "category_id"),
        _bbox(entry.get("bbox")),
        _segmentation(entry.get("segmentation")),
        _flag(entry, "iscrowd"),
        _area(entry.get("area")),
        _flag(entry, "isimpossible"),
    )


def parse_detection(entry: dict[str, Any]) -> Detection:
    """Read an entry of a results list: it has a box or a segmentation, and a score."""
    box: Any = entry.get("bbox")
    score: Any = entry.get("score")
    segmentation = _segmentation(entry.get("segmentation"))
    if box is None and segmentation is None:
        raise InputError('it has neither a "bbox" nor a "segmentation"')
    if not _is_within(MAX_AREA, score):
        raise InputError(f'"score" must be a finite number, got {brief(score)}')
    box = None if box is None else _bbox(box)
    return Detection(_id(entry, "image_id"), box, segmentation, float(score))


def kind(value: Any) -> str:
    """What a json value is, for messages."""
    if isinstance(value, dict):
        return "an object"
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _id(entry: dict[str, Any], key: str) -> Id:
    value = entry.get(key)
    if type(value) is int or type(value) is str:
        return value
    raise InputError(f'"{key}" must be a whole number or a string, got {brief(value)}')


def _whole(entry: dict[str, Any], key: str) -> int:
    value = entry.get(key)
    if type(value) is int:
        return value
    raise InputError(f'"{key}" must be a whole number, got {brief(value)}')


def _side(entry: dict[str, Any], key: str) -> int | None:
    value = entry.get(key)
    if value is None or (type(value) is int and 0 < value <= MAX_SIDE):
        return value
    limit = f" up to {MAX_SIDE}" if type(value) is int and value > MAX_SIDE else ""
    raise InputError(
        f'"{key}" must be a positive whole number of pixels{limit}, got {brief(value)}'
    )


def _category_ids(entry: dict[str, Any], key: str) -> tuple[int, ...] | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, list) and all(type(each) is int for each in value):
        return tuple(value)
    raise InputError(f'"{key}" must be a list of category ids, got {brief(value)}')


def _flag(entry: dict[str, Any], key: str) -> int:
    value = entry.get(key)
    if value is None or value == 0 or value == 1:
        return 1 if value else 0
    raise InputError(f'"{key}" must be 0 or 1, got {brief(value)}')


def _is_within(limit: float, value: Any) -> bool:
    """Whether it is a number of that size at most, which infinities and NaN are not."""
    return type(value) in (int, float) and -limit <= value <= limit


def _bbox(box: Any) -> Box:
    if isinstance(box, list) and len(box) == 4:
        if all(_is_within(MAX_POSITION, value) for value in box):
            return (box[0], box[1], box[2], box[3])
        if all(_is_within(MAX_AREA, value) for value in box):
            raise InputError(f'"bbox" holds more than {MAX_POSITION:.0f} px, got {brief(box)}')
    raise InputError(f'"bbox" must be four finite numbers [x, y, width, height], got {brief(box)}')


def _area(area: Any) -> float | None:
    if area is None:
        return None
    if _is_within(MAX_AREA, area):
        return float(area)
    raise InputError(f'"area" must be a number of square pixels or left out, got {brief(area)}')


def _segmentation(value: Any) -> list[Any] | dict[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value or None
    if isinstance(value, list):
        return value if any(value) else None
    raise InputError(f'"segmentation" must be a list of polygons or an RLE, got {kind(value)}')
