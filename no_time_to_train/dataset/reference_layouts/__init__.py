"""References found by looking: how they may be laid out in a folder, and how each is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from no_time_to_train.dataset.reference_layouts import class_folders, coco_json, labelme, yolo
from no_time_to_train.dataset.reference_layouts.box_masks import with_masks
from no_time_to_train.dataset.reference_layouts.folder import Folder
from no_time_to_train.dataset.reference_layouts.found import FoundReferences
from no_time_to_train.errors import InputError

__all__ = ["LAYOUTS", "FoundReferences", "Layout", "find_references", "with_masks"]


@dataclass(frozen=True)
class Layout:
    """A way in which references are laid out."""

    evidence: Callable[[Folder], PurePosixPath | None]
    """A file that a folder is recognised by; None where it is laid out otherwise."""
    read: Callable[[Folder], FoundReferences]
    """Raises an InputError where it cannot be."""
    expected: str
    """What is looked for, for messages."""


LAYOUTS: dict[str, Layout] = {
    class_folders.NAME: Layout(
        class_folders.evidence,
        class_folders.read,
        "a folder per class with NAME.jpg beside NAME.png or NAME_mask.png",
    ),
    labelme.NAME: Layout(
        labelme.evidence,
        labelme.read,
        "pictures and the json that Labelme writes for each",
    ),
    yolo.NAME: Layout(
        yolo.evidence,
        yolo.read,
        "YOLO's data.yaml with images/NAME.jpg and labels/NAME.txt",
    ),
    coco_json.NAME: Layout(
        coco_json.evidence,
        coco_json.read,
        "a COCO json and its images",
    ),
}


def find_references(folder: Path) -> FoundReferences:
    """Find out how references are laid out, and read them; no image is decoded, only masks.

    Args:
        folder: That they lie in.

    Raises:
        InputError: There is no such folder, none of the layouts or several fit, or one that fits
            cannot be read; the sentence says what was looked for and what was seen.
    """
    listing = Folder.read(folder)
    found = {name: layout.evidence(listing) for name, layout in LAYOUTS.items()}
    fitting = {name: file for name, file in found.items() if file is not None}
    if len(fitting) > 1:
        shown = " and ".join(f"{name} ({file})" for name, file in fitting.items())
        raise InputError(
            f"{folder} holds references in more than one layout, {shown}; keep those of one there"
        )
    if not fitting:
        raise _not_recognised(folder, listing)
    return LAYOUTS[next(iter(fitting))].read(listing)


def _not_recognised(folder: Path, listing: Folder) -> InputError:
    if listing.chosen is not None:
        return InputError(
            f"{folder} is neither a COCO json nor one of Labelme nor YOLO's data.yaml; name one of "
            "these, or the folder of the references"
        )
    mask = class_folders.misplaced(listing)
    if mask is not None:
        return InputError(
            f"{folder} holds masks such as {mask}, but not in a folder per class; name the folder "
            "that holds those of the classes, such as bird/park.jpg and bird/park.png"
        )
    expected = "; or ".join(layout.expected for layout in LAYOUTS.values())
    return InputError(
        f"{folder} holds {listing.describe()} and no references that are recognised; lay them out "
        f"as {expected}"
    )
