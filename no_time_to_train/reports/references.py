"""The references of a memory, with their pictures where the file keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from no_time_to_train.errors import InputError
from no_time_to_train.reports.content import ReferenceClass
from no_time_to_train.reports.pictures import jpeg_uri

MAX_THUMBNAILS = 200
"""On a page: those of the first classes, and of each class the first."""
MAX_PER_CLASS = 10
SIDE = 96
"""Pixels of a picture."""
MAX_BYTES = 6_000
"""Of a picture."""
BACKDROP = 0.5
"""Brightness around the instance."""
OUTLINE = (255, 221, 51)
"""RGB."""


def memory_references(
    path: Path, classes: Any = None
) -> tuple[list[ReferenceClass], int, str | None]:
    """Read a memory file.

    Args:
        path: Of it.
        classes: `name` and number of `references` of each, where the run has kept them.

    Returns:
        The classes, how many pictures are beyond the limit, and a sentence where the file cannot
        be read.
    """
    from no_time_to_train.memory.bank import Memory  # seconds, where PyTorch is not loaded yet
    from no_time_to_train.memory.checkpoint import read_memory

    try:
        file = read_memory(path)
        memory = file.load(Memory())
    except InputError as error:
        return _named(classes), 0, f"The references are without pictures: {error}."
    pictures = memory.thumbnails
    names = file.shown_names
    counts = dict(zip(names, map(len, pictures), strict=False))
    counts |= {each.name: each.count for each in _named(classes) if each.count is not None}
    return _with_pictures(names, counts, pictures)


def _named(classes: Any) -> list[ReferenceClass]:
    if not isinstance(classes, list):
        return []
    entries = [each for each in classes if isinstance(each, Mapping)]
    return [ReferenceClass(str(each.get("name")), _count(each), ()) for each in entries]


def _count(entry: Mapping[str, Any]) -> int | None:
    references = entry.get("references")
    if isinstance(references, list):
        return len(references)
    return references if isinstance(references, int) else None


def _with_pictures(
    names: Sequence[str],
    counts: Mapping[str, int],
    pictures: Sequence[Sequence[NDArray[np.uint8] | None]],
) -> tuple[list[ReferenceClass], int, str | None]:
    left = MAX_THUMBNAILS
    classes, left_out = [], 0
    for row, name in enumerate(names):
        own = [each for each in (pictures[row] if row < len(pictures) else []) if each is not None]
        shown = own[: min(left, MAX_PER_CLASS)]
        left -= len(shown)
        left_out += len(own) - len(shown)
        classes.append(ReferenceClass(name, counts.get(name), [_uri(each) for each in shown]))
    has_pictures = any(each.thumbnails for each in classes)
    note = None if has_pictures else "The memory file holds no pictures of its references."
    return classes, left_out, note


def _uri(thumbnail: NDArray[np.uint8]) -> str:
    """A thumbnail (T, T, 4), the instance outlined and the rest darker."""
    # Apart: PIL makes pixels black that a mask leaves out.
    pixels, mask = (
        np.asarray(Image.fromarray(part).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for part in (np.ascontiguousarray(thumbnail[..., :3]), thumbnail[..., 3].copy())
    )  # (SIDE, SIDE, 3), (SIDE, SIDE)
    inside = mask >= 128
    drawn = np.where(inside[..., None], pixels, pixels * BACKDROP)
    drawn[inside ^ _eroded(inside)] = OUTLINE
    return jpeg_uri(Image.fromarray(drawn.astype(np.uint8)), MAX_BYTES)


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask (H, W) without its outermost pixels."""
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
