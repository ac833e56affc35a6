"""Files of masks: one instance, or a label map with one instance per value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.segmentation import mask_to_rle
from no_time_to_train.dataset.instance_masks import as_shown, mask_values, read_mask_picture
from no_time_to_train.errors import InputError

MAX_INSTANCES = 5_000
"""Most values of a label map; a photograph in place of one has more."""
MIN_SOFT_VALUES = 3
"""Values beside 255 from which on a mask may have soft edges."""

Mask = npt.NDArray[np.bool_]  # (H, W)


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
        flat = values.reshape(-1, values.shape[2])
        colours = len(np.unique(flat[flat.any(axis=1)], axis=0))
        values = (values != 0).any(axis=2)
    present = _instance_values(values, f"{what} {path}")
    instances = [mask_to_rle(values == value) for value in present]
    size = (values.shape[0], values.shape[1])
    return MaskFile(size, instances, len(present) == 1 and bool(values.all()), colours)


def _instance_values(values: npt.NDArray[Any], what: str) -> list[Any]:
    """The values that are not zero."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{what} holds values that are not finite; save it as PNG")
    unique, counts = np.unique(values, return_counts=True)
    present = unique != 0
    unique, counts = unique[present], counts[present]
    if not len(unique):
        raise InputError(f"{what} has no pixel that is not zero; mark the instance")
    if len(unique) > MAX_INSTANCES or _has_soft_edges(unique, counts):
        raise InputError(
            f"{what} has {len(unique)} values from {unique[0]:g} to {unique[-1]:g}, like a "
            "photograph or a mask with soft edges; save 0 and 255 alone, or number its instances "
            "from 1 on"
        )
    return list(unique)


def _has_soft_edges(values: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> bool:
    """Whether most of it has the largest value of 8 bits, with a few pixels of many others."""
    return (
        values[-1] == 255 and len(values) > MIN_SOFT_VALUES and bool(counts[:-1].sum() < counts[-1])
    )
