"""Read COCO json (also LVIS, Pascal VOC, CD-FSOD): images, instances, categories, and masks on request.

Strict about what would go wrong later, tolerant about what data sets really leave out: `file_name` (LVIS has
`coco_url`), `iscrowd`, `area`, `segmentation`, image sizes. Imports no network library, so that tools start at once.
"""

from __future__ import annotations

import gc
import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from no_time_to_train.dataset import segmentation as coco_segmentation
from no_time_to_train.errors import InputError

logger = logging.getLogger(__name__)

Id = int | str
Box = tuple[float, float, float, float]
Row = TypeVar("Row")


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


@dataclass(frozen=True, slots=True)
class Category:
    """One class of the json."""

    id: int
    name: str


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


@dataclass(frozen=True)
class CocoAnnotations:
    """What a COCO json says, in its own order."""

    path: Path
    images: dict[Id, ImageInfo]
    annotations: list[Annotation]
    categories: list[Category]

    @classmethod
    def read(cls, path: str | Path) -> CocoAnnotations:
        """Read and check a COCO json.

        Raises:
            InputError: The file is missing, is no json, or an entry contradicts itself or another; the
                sentence names the file, the entry and the repair.
        """
        path = Path(path)
        with _collector_paused():
            try:
                return _from_document(path, _load(path))
            except InputError as error:
                raise InputError(f"{path}: {error}") from None

    def of_image(self, image_id: Id) -> list[Annotation]:
        """The instances of one image, in file order."""
        return self._by_image.get(image_id, [])

    @cached_property
    def _by_image(self) -> dict[Id, list[Annotation]]:
        grouped: dict[Id, list[Annotation]] = {}
        for annotation in self.annotations:
            grouped.setdefault(annotation.image_id, []).append(annotation)
        return grouped


def run_lengths(annotation: Annotation, image: ImageInfo) -> dict[str, Any]:
    """The instance's mask as compressed run lengths, {"size": [H, W], "counts": bytes}.

    Raises:
        InputError: There is no segmentation, it is malformed, or the image's size is not known.
    """
    where = f"annotation {annotation.id!r} of image {image.file_name}"
    if annotation.segmentation is None:
        raise InputError(
            f"{where} has a box but no segmentation; make one with sam_bbox_to_segm_batch.py"
        )
    if image.height is None or image.width is None:
        raise InputError(
            f"{where}: the json gives the image no height and width; add them to draw its mask"
        )
    try:
        return coco_segmentation.encode(annotation.segmentation, image.height, image.width)
    except ValueError as error:
        raise InputError(
            f"{where}: its segmentation {error}; repair or remove that annotation"
        ) from None


def rasterise(annotation: Annotation, image: ImageInfo) -> npt.NDArray[np.bool_]:
    """The instance's mask at the image's size, (H, W).

    Raises:
        InputError: There is no segmentation, it is malformed, or the image's size is not known.
    """
    return coco_segmentation.decode(run_lengths(annotation, image))


def instance_area(annotation: Annotation, image: ImageInfo) -> float:
    """Square pixels as the json gives them; else those of the mask; without a mask those of the box."""
    if annotation.area is not None:
        return annotation.area
    if annotation.segmentation is None:
        return annotation.bbox[2] * annotation.bbox[3]
    return float(rasterise(annotation, image).sum())


def image_path(root: str | Path, file_name: str) -> Path:
    """Where an image lies, without leaving the data set's folder.

    Raises:
        InputError: The name is empty, absolute, or climbs with `..`.
    """
    name = PurePosixPath(file_name)
    if name.is_absolute() or ".." in name.parts or not name.parts or "\0" in file_name:
        raise InputError(
            f"file_name {file_name!r} does not stay inside {root}; write it relative to that folder, without '..'"
        )
    return Path(root) / name


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Millions of objects that all stay: letting the collector walk them doubles the time to read LVIS."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _load(path: Path) -> Any:
    """The parsed document, whatever it holds."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("there is no such file; check the path") from None
    except UnicodeDecodeError:
        raise InputError(
            "this is not a json file (it is not text); expected annotations in COCO format"
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror}); expected a COCO json file") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(_why_not_json(error)) from None
    except (RecursionError, ValueError):
        raise InputError(
            "this is not a COCO json: its values nest too deep or are too long"
        ) from None


def _why_not_json(error: json.JSONDecodeError) -> str:
    length = len(error.doc.rstrip())
    if length == 0:
        return "the file is empty; expected annotations in COCO format"
    # A literal such as `false` that is cut off is reported at its beginning.
    if error.msg.startswith("Unterminated string") or (
        error.pos > 0 and error.pos >= length - len("false")
    ):
        return f"the json is cut off after {length} characters; copy or download the file again"
    return f"not valid json at line {error.lineno}, column {error.colno} ({error.msg}); expected COCO annotations"


def _from_document(path: Path, document: Any) -> CocoAnnotations:
    if not isinstance(document, dict):
        raise InputError(
            f"expected an object with images, annotations and categories, got {_kind(document)}"
        )
    images = _rows(document, "images", _image)
    categories = _rows(document, "categories", _category)
    annotations = _rows(document, "annotations", _annotation)
    image_by_id = {image.id: image for image in images}
    _refuse_repeats("image", [image.id for image in images])
    _refuse_repeats("category", [category.id for category in categories])
    _refuse_strays(annotations, set(image_by_id), {category.id for category in categories})
    _warn_of_repeats(path, annotations)
    return CocoAnnotations(path, image_by_id, annotations, categories)


def _rows(document: dict[str, Any], key: str, parse: Callable[[dict[str, Any]], Row]) -> list[Row]:
    """Parse one of the three lists, releasing each entry as soon as it is read."""
    entries = document.pop(key, None)
    if entries is None:
        raise InputError(
            f'there is no "{key}" in it; a COCO json has "images", "annotations" and "categories"'
        )
    if not isinstance(entries, list):
        raise InputError(f'"{key}" must be a list, got {_kind(entries)}')
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(
                f'entry {position} of "{key}" must be an object {{...}}, got {_kind(entry)}'
            )
        try:
            entries[position] = parse(entry)
        except InputError as error:
            raise InputError(
                f'entry {position} of "{key}" (id {entry.get("id")!r}): {error}'
            ) from None
    return entries


def _image(entry: dict[str, Any]) -> ImageInfo:
    name = entry.get("file_name")
    if name is None and isinstance(entry.get("coco_url"), str):
        name = entry["coco_url"].rsplit("/", 1)[-1]
    if not isinstance(name, str) or not name:
        raise InputError(f'"file_name" must be the name of the image file, got {name!r}')
    return ImageInfo(_id(entry, "id"), name, _side(entry, "height"), _side(entry, "width"))


def _category(entry: dict[str, Any]) -> Category:
    if not isinstance(entry.get("name"), str):
        raise InputError(f'"name" must be the name of the class, got {entry.get("name")!r}')
    return Category(_whole(entry, "id"), entry["name"])


def _annotation(entry: dict[str, Any]) -> Annotation:
    return Annotation(
        id=_id(entry, "id"),
        image_id=_id(entry, "image_id"),
        category_id=_whole(entry, "category_id"),
        bbox=_bbox(entry),
        segmentation=_segmentation(entry),
        iscrowd=_flag(entry, "iscrowd"),
        area=_area(entry),
        isimpossible=_flag(entry, "isimpossible"),
    )


def _id(entry: dict[str, Any], key: str) -> Id:
    value = entry.get(key)
    if type(value) is int or type(value) is str:
        return value
    raise InputError(f'"{key}" must be a whole number or a string, got {value!r}')


def _whole(entry: dict[str, Any], key: str) -> int:
    value = entry.get(key)
    if type(value) is int:
        return value
    raise InputError(f'"{key}" must be a whole number, got {value!r}')


def _side(entry: dict[str, Any], key: str) -> int | None:
    value = entry.get(key)
    if value is None or (type(value) is int and value > 0):
        return value
    raise InputError(f'"{key}" must be a positive whole number of pixels, got {value!r}')


def _flag(entry: dict[str, Any], key: str) -> int:
    value = entry.get(key)
    if value is None or value == 0 or value == 1:
        return 1 if value else 0
    raise InputError(f'"{key}" must be 0 or 1, got {value!r}')


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _bbox(entry: dict[str, Any]) -> Box:
    box = entry.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(map(_finite, box)):
        return (box[0], box[1], box[2], box[3])
    raise InputError(f'"bbox" must be four finite numbers [x, y, width, height], got {box!r}')


def _area(entry: dict[str, Any]) -> float | None:
    value = entry.get("area")
    if value is None or _finite(value):
        return value
    raise InputError(f'"area" must be a number of square pixels, got {value!r}; it may be left out')


def _segmentation(entry: dict[str, Any]) -> list[Any] | dict[str, Any] | None:
    value = entry.get("segmentation")
    if value is None or isinstance(value, dict):
        return value or None
    if isinstance(value, list):
        return value if any(value) else None
    raise InputError(
        f'"segmentation" must be a list of polygons or an RLE object, got {_kind(value)}'
    )


def _refuse_repeats(what: str, ids: list[Id] | list[int]) -> None:
    if len(set(ids)) < len(ids):
        repeated, count = Counter(ids).most_common(1)[0]
        raise InputError(
            f"{what} id {repeated!r} is given to {count} entries; give each {what} an id of its own"
        )


def _refuse_strays(
    annotations: list[Annotation], image_ids: set[Id], category_ids: set[int]
) -> None:
    for annotation in annotations:
        if annotation.image_id not in image_ids:
            raise InputError(
                f'annotation {annotation.id!r} belongs to image {annotation.image_id!r}, which "images" does not list; '
                "add the image or remove the annotation"
            )
        if annotation.category_id not in category_ids:
            raise InputError(
                f'annotation {annotation.id!r} has category {annotation.category_id}, which "categories" does not '
                "list; add the category or remove the annotation"
            )


def _warn_of_repeats(path: Path, annotations: list[Annotation]) -> None:
    repeats = len(annotations) - len({annotation.id for annotation in annotations})
    if repeats:
        logger.warning("%s: %d annotations repeat an id that another one has", path, repeats)


def _kind(value: Any) -> str:
    """What a json value is, for messages."""
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "a number")
