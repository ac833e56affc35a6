"""Read COCO json (also LVIS, Pascal VOC, CD-FSOD): images, instances, categories; masks on request.

Strict about what would go wrong later, tolerant about what data sets leave out: `file_name` (LVIS
has `coco_url`), `iscrowd`, `area`, `segmentation`, image sizes. No network library is imported, so
that tools start at once.
"""

from __future__ import annotations

import gc
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from no_time_to_train.coco import segmentation as coco_segmentation
from no_time_to_train.coco.entries import (
    Annotation,
    Category,
    Id,
    ImageInfo,
    kind,
    parse_annotation,
    parse_category,
    parse_image,
)
from no_time_to_train.coco.json_text import load_json
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file

__all__ = [
    "Annotation",
    "Category",
    "CocoAnnotations",
    "Id",
    "ImageInfo",
    "check_truths",
    "image_path",
    "instance_area",
    "rasterise",
    "run_lengths",
]

logger = logging.getLogger(__name__)

Record = TypeVar("Record")


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
            InputError: The file is missing, is no json, or an entry contradicts itself or another;
                the sentence names the file, the entry and the repair.
        """
        path = Path(path)
        check_regular_file(path, "the COCO json")
        with collector_paused():
            try:
                return _from_document(path, load_json(path))
            except InputError as error:
                raise InputError(f"{path}: {error}") from None

    def of_image(self, image_id: Id) -> list[Annotation]:
        """The instances of one image, in file order."""
        return self._by_image.get(image_id, [])

    def restricted_to(self, image_ids: Collection[Id]) -> CocoAnnotations:
        """The same without all other images and their instances."""
        wanted = set(image_ids)
        images = {key: image for key, image in self.images.items() if key in wanted}
        annotations = [each for each in self.annotations if each.image_id in images]
        return replace(self, images=images, annotations=annotations)

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
        raise InputError(f"{where} has no segmentation; make one with sam_bbox_to_segm_batch.py")
    if image.height is None or image.width is None:
        raise InputError(f"{where}: the json gives the image no height and width; add them")
    try:
        return coco_segmentation.to_rle(annotation.segmentation, image.height, image.width)
    except ValueError as error:
        raise InputError(f"{where}: its segmentation {error}; repair or remove it") from None


def rasterise(annotation: Annotation, image: ImageInfo) -> npt.NDArray[np.bool_]:
    """The instance's mask at the image's size, (H, W).

    Raises:
        InputError: There is no segmentation, it is malformed, or the image's size is not known.
    """
    return coco_segmentation.from_rle(run_lengths(annotation, image))


def instance_area(annotation: Annotation, image: ImageInfo) -> float:
    """Square pixels as the json gives them; else those of the mask; without one, of the box."""
    if annotation.area is not None:
        return annotation.area
    if annotation.segmentation is None:
        return annotation.bbox[2] * annotation.bbox[3]
    return float(coco_segmentation.area(run_lengths(annotation, image)))


def check_truths(annotations: CocoAnnotations, category_ids: Sequence[int]) -> None:
    """See before any work whether images and masks of these classes can be evaluated.

    Raises:
        InputError: An image is too large, or a segmentation malformed; the sentence names it.
    """
    for image in annotations.images.values():
        pixels = (image.height or 0) * (image.width or 0)
        if pixels > coco_segmentation.MAX_MASK_PIXELS:
            raise InputError(
                f"{annotations.path}: image {image.file_name} (id {image.id!r}) has "
                f"{image.height} x {image.width} pixels, more than can be read; scale it down"
            )
    wanted = set(category_ids)
    for annotation in annotations.annotations:
        if annotation.category_id in wanted and annotation.segmentation is not None:
            image = annotations.images[annotation.image_id]
            try:
                coco_segmentation.check(annotation.segmentation, image.height, image.width)
            except ValueError as error:
                where = f"{annotations.path}: annotation {annotation.id!r} of {image.file_name}"
                raise InputError(
                    f"{where}: its segmentation {error}; repair or remove it"
                ) from None


def image_path(root: str | Path, file_name: str) -> Path:
    """Where an image lies, without leaving the data set's folder.

    Raises:
        InputError: The name is empty, absolute, or climbs with `..`.
    """
    name = PurePosixPath(file_name)
    climbs = name.is_absolute() or ".." in name.parts
    if climbs or not name.parts or "\0" in file_name or not _encodable(file_name):
        raise InputError(
            f"file_name {file_name!r} does not stay inside the data set's folder {root}; write it "
            "relative to that folder, without '..'"
        )
    return Path(root) / name


def _encodable(file_name: str) -> bool:
    try:
        return bool(os.fsencode(file_name))
    except UnicodeEncodeError:
        return False


@contextmanager
def collector_paused() -> Iterator[None]:
    """Spare the garbage collector passes over millions of new objects that all stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _from_document(path: Path, document: Any) -> CocoAnnotations:
    if not isinstance(document, dict):
        raise InputError(
            f'expected an object with "images", "annotations", "categories", got {kind(document)}'
        )
    images = _records(document, "images", parse_image)
    categories = _records(document, "categories", parse_category)
    annotations = _records(document, "annotations", parse_annotation)
    image_by_id = {image.id: image for image in images}
    category_ids = {category.id for category in categories}
    _refuse_repeats("image", [image.id for image in images])
    _refuse_repeats("category", [category.id for category in categories])
    _refuse_strays(annotations, image_by_id.keys(), category_ids)
    _warn_of_repeats(path, annotations)
    return CocoAnnotations(path, image_by_id, annotations, categories)


def _records(
    document: dict[str, Any], key: str, parse: Callable[[dict[str, Any]], Record]
) -> list[Record]:
    """Parse one of the three lists, releasing each entry as soon as it is read."""
    entries = document.pop(key, None)
    if entries is None:
        raise InputError(
            f'there is no "{key}"; a COCO json has "images", "annotations" and "categories"'
        )
    if not isinstance(entries, list):
        raise InputError(f'"{key}" must be a list, got {kind(entries)}')
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(f'entry {position} of "{key}" must be an object, got {kind(entry)}')
        try:
            entries[position] = parse(entry)
        except InputError as error:
            name = f'entry {position} of "{key}" (id {entry.get("id")!r})'
            raise InputError(f"{name}: {error}") from None
    return entries


def _refuse_repeats(what: str, ids: Sequence[Id]) -> None:
    if len(set(ids)) < len(ids):
        repeated, count = Counter(ids).most_common(1)[0]
        raise InputError(
            f"{what} id {repeated!r} is given to {count} entries; give each {what} its own id"
        )


def _refuse_strays(
    annotations: list[Annotation], image_ids: Set[Id], category_ids: Set[int]
) -> None:
    for annotation in annotations:
        if annotation.image_id not in image_ids:
            raise InputError(
                f"annotation {annotation.id!r} belongs to image {annotation.image_id!r}, which "
                '"images" does not list; add the image or remove the annotation'
            )
        if annotation.category_id not in category_ids:
            raise InputError(
                f"annotation {annotation.id!r} has category {annotation.category_id}, which "
                '"categories" does not list; add the category or remove the annotation'
            )


def _warn_of_repeats(path: Path, annotations: list[Annotation]) -> None:
    repeats = len(annotations) - len({annotation.id for annotation in annotations})
    if repeats:
        logger.warning("%s: %d annotations repeat the id of another one", path, repeats)
