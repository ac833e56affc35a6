"""Pixel values that are not 8 bits: scaled by a fixed rule with a line that says so, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from no_time_to_train.dataset.image_log import logger
from no_time_to_train.errors import InputError

WORDS = 65_535
"""Largest value of 16 bits."""
REPAIR = "give 0 to 255 in 8 bits, 0 to 65535 in 16 bits, or floats from 0 to 1"


def eight_bits(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    """Bring pixel values to 0 to 255.

    Integers up to 255 stay. Those up to 65535 are divided by 257, the full range of 16 bits
    whatever the picture holds, so that pictures remain comparable. Floats in [0, 1] are multiplied
    by 255, booleans too.

    Args:
        values: Of any shape, not empty.
        name: Of the picture, for messages.

    Raises:
        InputError: Negative or larger values, NaN, or no real numbers.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return np.where(values, 255, 0).astype(np.uint8)
    if values.dtype.kind not in "uif":
        raise InputError(f"{name} holds values of type {values.dtype}; {REPAIR}")
    low, high = values.min(), values.max()
    largest = 1 if values.dtype.kind == "f" else WORDS
    if not 0 <= low <= high <= largest:  # not either where one is NaN
        raise InputError(f"{name} holds {values.dtype} values from {low:g} to {high:g}; {REPAIR}")
    if values.dtype.kind == "f":
        logger.warning("%s holds floats: 0 to 1 becomes 0 to 255", name)
        return np.rint(values.astype(np.float32) * 255).astype(np.uint8)
    return _from_integers(values, int(high), name)


def _from_integers(values: npt.NDArray[Any], high: int, name: str) -> npt.NDArray[np.uint8]:
    if high <= 255:
        logger.warning("%s holds %s values up to %d, taken as 8 bits", name, values.dtype, high)
        return values.astype(np.uint8)
    logger.warning(
        "%s holds %s values up to %d: 0 to 65535 becomes 0 to 255, so that fewer than 16 bits look "
        "dark; stretch such pictures beforehand",
        name,
        values.dtype,
        high,
    )
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
