"""References as they were found: COCO annotations, whatever they were written in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from no_time_to_train.coco import segmentation as coco_segmentation
from no_time_to_train.coco.annotations import (
    Annotation,
    Category,
    CocoAnnotations,
    Id,
    ImageInfo,
)
from no_time_to_train.coco.entries import Box
from no_time_to_train.dataset.images import picture_sizes
from no_time_to_train.dataset.reference_files import Example
from no_time_to_train.errors import InputError, listed

Size = tuple[int, int]  # (height, width) in pixels


@dataclass(frozen=True)
class FoundReferences:
    """The references in a folder."""

    layout: str
    """What it is laid out as, a name in `LAYOUTS`."""
    root: Path
    """The folder that the images' names start from."""
    annotations: CocoAnnotations
    """One annotation per reference; categories in the order of class indices, with ids from 1."""
    notes: list[str]
    """What should be said of them, a line each."""

    @property
    def class_names(self) -> list[str]:
        """By class index."""
        return [category.name for category in self.annotations.categories]

    @cached_property
    def by_class(self) -> list[list[Annotation]]:
        """The references by class index, in the order of the annotations."""
        grouped: dict[int, list[Annotation]] = {
            category.id: [] for category in self.annotations.categories
        }
        for annotation in self.annotations.annotations:
            grouped[annotation.category_id].append(annotation)
        return list(grouped.values())

    @property
    def counts(self) -> list[int]:
        """References by class index."""
        return [len(references) for references in self.by_class]

    @property
    def shots(self) -> int:
        """References of the class that has most: the memory length."""
        return max(self.counts)

    @property
    def boxes(self) -> list[Annotation]:
        """Those that have no mask, but a box that one can be drawn in."""
        return [each for each in self.annotations.annotations if each.segmentation is None]

    @property
    def examples(self) -> list[Example]:
        """What there is to encode, class by class."""
        return [
            Example(self.annotations.images[annotation.image_id], annotation, index, slot)
            for index, references in enumerate(self.by_class)
            for slot, annotation in enumerate(references)
        ]

    def path(self, image_id: Id) -> Path:
        """The file of an image."""
        return self.root / self.annotations.images[image_id].file_name


@dataclass(frozen=True)
class Labelled:
    """One instance in one image, as a layout gives it."""

    file_name: str
    """Of the image, relative to the folder of references."""
    size: Size
    """That its annotations are drawn on."""
    class_name: str
    bbox: Box
    """[x, y, w, h] in pixels."""
    segmentation: list[Any] | dict[str, Any] | None
    """Polygons or RLE; None where there is only the box."""


def with_mask(
    file_name: str, size: Size, class_name: str, segmentation: list[Any] | dict[str, Any], what: str
) -> Labelled:
    """An instance that has a mask; its box is that of the mask's pixels, as pycocotools gives it.

    Args:
        file_name: Of the image, relative to the folder of references.
        size: Of the image.
        class_name: Of the instance.
        segmentation: Polygons in pixels, or RLE.
        what: Where it is written, for messages.

    Raises:
        InputError: It is malformed, or has no pixel in the image.
    """
    try:
        rle = coco_segmentation.to_rle(segmentation, *size)
    except ValueError as error:
        raise InputError(f"{what}: its segmentation {error}; repair or remove it") from None
    if not coco_segmentation.area(rle):
        raise InputError(
            f"{what} has no pixel in the picture of {size[0]} x {size[1]} (height x width); "
            "repair or remove it"
        )
    box = coco_segmentation.bounding_box(rle)
    return Labelled(file_name, size, class_name, box, segmentation)


def with_box(file_name: str, size: Size, class_name: str, corners: Box, what: str) -> Labelled:
    """An instance that has only a box, which is clipped to the image.

    Args:
        file_name: Of the image, relative to the folder of references.
        size: Of the image.
        class_name: Of the instance.
        corners: Left, top, right, bottom in pixels.
        what: Where it is written, for messages.

    Raises:
        InputError: It has no pixel in the image.
    """
    height, width = size
    left, right = (min(max(value, 0.0), float(width)) for value in corners[::2])
    top, bottom = (min(max(value, 0.0), float(height)) for value in corners[1::2])
    longer = max(int(right) - int(left), int(bottom) - int(top))
    if right <= left or bottom <= top or longer < 1:
        raise InputError(
            f"{what}: the box from ({corners[0]:g}, {corners[1]:g}) to ({corners[2]:g}, "
            f"{corners[3]:g}) has no pixel in the picture of {height} x {width} (height x width); "
            "repair or remove it"
        )
    box = (left, top, right - left, bottom - top)
    return Labelled(file_name, size, class_name, box, None)


def size_on_picture(root: Path, file_name: str, given: Size | None, what: str) -> Size:
    """The size that annotations are drawn on; only the header of the image is read.

    Args:
        root: The folder of references.
        file_name: Of the image, relative to it.
        given: What the annotations say it is.
        what: What says so, for messages.

    Raises:
        InputError: The image has another size, whether as shown or as stored.
    """
    shown, stored = picture_sizes(root / file_name)
    if given is None or given in (shown, stored):
        return given or shown
    turned = "" if shown == stored else f" as shown and {stored[0]} x {stored[1]} as stored"
    raise InputError(
        f"{what} is {given[0]} x {given[1]} pixels (height x width), but its picture "
        f"{root / file_name} is {shown[0]} x {shown[1]}{turned}; give both the same size"
    )


def collect(
    layout: str,
    root: Path,
    class_names: Sequence[str],
    instances: Iterable[Labelled],
    notes: Sequence[str] = (),
) -> FoundReferences:
    """Make COCO annotations of what a layout gives.

    Args:
        layout: Its name.
        root: The folder of references.
        class_names: In their order; those without a reference are left out, with a note.
        instances: In their order.
        notes: What is to be said.

    Raises:
        InputError: There is no instance.
    """
    found = list(instances)
    used = {each.class_name for each in found}
    names = [name for name in dict.fromkeys(class_names) if name in used]
    category_ids = {name: number for number, name in enumerate(names, start=1)}
    sizes = {each.file_name: each.size for each in found}
    image_ids = {name: number for number, name in enumerate(sizes, start=1)}
    images: dict[Id, ImageInfo] = {
        number: ImageInfo(number, name, *sizes[name]) for name, number in image_ids.items()
    }
    annotations = [
        reference(number, image_ids[each.file_name], category_ids[each.class_name], each)
        for number, each in enumerate(found, start=1)
    ]
    categories = [Category(number, name) for name, number in category_ids.items()]
    document = CocoAnnotations(root, images, annotations, categories)
    return finished(layout, root, document, class_names, notes)


def reference(annotation_id: Id, image_id: Id, category_id: int, found: Labelled) -> Annotation:
    """The COCO annotation of an instance."""
    return Annotation(
        annotation_id, image_id, category_id, found.bbox, found.segmentation, 0, None, 0
    )


def finished(
    layout: str,
    root: Path,
    annotations: CocoAnnotations,
    class_names: Sequence[str],
    notes: Sequence[str],
) -> FoundReferences:
    """Put the parts together, and say which classes have no reference.

    Raises:
        InputError: There is no reference at all.
    """
    if not annotations.annotations:
        raise InputError(f"{root} is laid out as {layout}, but marks no instance; mark one")
    present = {category.name for category in annotations.categories}
    missing = [name for name in dict.fromkeys(class_names) if name not in present]
    said = list(notes)
    if missing:
        said.append(f"classes without a reference, left out: {listed(missing)}")
    return FoundReferences(layout, root, annotations, said)
