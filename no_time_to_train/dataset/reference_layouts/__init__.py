"""References found by looking: how they may be laid out in a folder, and how each is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from no_time_to_train.dataset.reference_layouts import class_folders
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
        expected = "; or ".join(layout.expected for layout in LAYOUTS.values())
        raise InputError(
            f"{folder} holds {listing.describe()} and no references that are recognised; lay them "
            f"out as {expected}"
        )
    return LAYOUTS[next(iter(fitting))].read(listing)
