"""Files of masks: one instance, or a label map with one instance per value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.run_lengths import encode
from no_time_to_train.dataset.instance_masks import as_shown, mask_values, read_mask_picture
from no_time_to_train.errors import InputError

MAX_INSTANCES = 5_000
"""Most values of a label map; a photograph in place of one has more."""
MAX_SPECKLED = 16
"""Values up to which instances may be scattered over the picture, pixel by pixel."""
MIN_SOFT_VALUES = 3
"""Values beside 255 from which on a mask may have soft edges."""
REPAIR = "save 0 and 255 alone, or number its instances from 1 on"

Positions = npt.NDArray[np.int32]  # of pixels, row by row


@dataclass(frozen=True)
class MaskFile:
    """What a file of masks holds."""

    size: tuple[int, int]
    """(height, width) in pixels."""
    instances: list[dict[str, Any]]
    """As run lengths, {"size", "counts"}."""
    covers_all: bool
    """Whether one instance covers the whole picture."""
    colours: int
    """Different colours other than black where the file is in colour; else 0."""


def read_mask_file(path: Path, what: str) -> MaskFile:
    """Read one instance, or one per value that is not zero.

    Grey values and palette indices are values; of colours any that is not black is the instance.

    Raises:
        InputError: It cannot be read, is a JPEG, has an alpha channel, marks nothing, or looks like
            a photograph or a mask with soft edges.
    """
    picture = as_shown(read_mask_picture(path, what, "save it as PNG again"))
    values: npt.NDArray[Any] = mask_values(picture, f"{what} {path}")
    colours = 0
    if values.ndim == 3:
        colours = _count_colours(values, f"{what} {path}")
        values = (values != 0).any(axis=2)
    size = (values.shape[0], values.shape[1])
    instances = _by_value(values, f"{what} {path}")
    covers_all = len(instances) == 1 and len(instances[0]) == values.size
    return MaskFile(size, [_encoded(each, size) for each in instances], covers_all, colours)


def _count_colours(values: npt.NDArray[Any], what: str) -> int:
    """Different colours (H, W, bands) that are not black."""
    present = values.reshape(-1, values.shape[2])
    present = present[present.any(axis=1)].astype(np.int64)  # (P, bands)
    count = len(np.unique(present @ (256 ** np.arange(values.shape[2]))))
    if count > MAX_INSTANCES:
        raise InputError(f"{what} has {count} colours, like a photograph; {REPAIR}")
    return count


def _by_value(values: npt.NDArray[Any], what: str) -> list[Positions]:
    """The pixels of each value that is not zero, in the order of the values."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{what} holds values that are not finite; save it as PNG")
    positions = np.flatnonzero(values).astype(np.int32)
    if not len(positions):
        raise InputError(f"{what} has no pixel that is not zero; mark the instance")
    labels = values.ravel()[positions]
    order = np.argsort(labels, kind="stable")
    labels = labels[order]
    starts = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    unique = labels[np.append(0, starts)]
    counts = np.diff(starts, prepend=0, append=len(labels))
    if (
        len(unique) > MAX_INSTANCES
        or _has_soft_edges(unique, counts)
        or (len(unique) > MAX_SPECKLED and _is_speckled(values, len(labels)))
    ):
        raise InputError(
            f"{what} has {len(unique)} values from {unique[0]:g} to {unique[-1]:g}, like a "
            f"photograph or a mask with soft edges; {REPAIR}"
        )
    return np.split(positions[order], starts)


def _encoded(positions: Positions, size: tuple[int, int]) -> dict[str, Any]:
    rows, columns = np.divmod(positions, size[1])
    x1, y1 = int(columns.min()), int(rows.min())
    x2, y2 = int(columns.max()), int(rows.max())
    inside = np.zeros((y2 + 1 - y1, x2 + 1 - x1), dtype=bool)
    inside[rows - y1, columns - x1] = True
    return dict(encode(inside, (x1, y1, x2, y2), size))


def _is_speckled(values: npt.NDArray[Any], count: int) -> bool:
    """Whether most pixels have another value than their neighbours to the left.

    Args:
        values: (H, W).
        count: Of those that are not zero.
    """
    differs = (values[:, 1:] != values[:, :-1]) & (values[:, 1:] != 0)
    return bool(2 * differs.sum() > count)


def _has_soft_edges(values: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> bool:
    """Whether most of it has the largest value of 8 bits, with a few pixels of many others."""
    return (
        values[-1] == 255 and len(values) > MIN_SOFT_VALUES and bool(counts[:-1].sum() < counts[-1])
    )
