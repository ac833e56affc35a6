"""Which instances of a prediction are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from no_time_to_train.api.arguments import shown
from no_time_to_train.errors import InputError


def is_number(chosen: Any) -> bool:
    """Whether it asks for one instance: an integer of Python, NumPy or PyTorch, and no boolean."""
    dtype = getattr(chosen, "dtype", type(chosen))
    if dtype in (bool, np.bool_, torch.bool) or np.ndim(chosen):
        return False
    return hasattr(chosen, "__index__")


def chosen_rows(chosen: Any, count: int) -> list[int]:
    """Numbers of instances, from a mask or from numbers.

    Args:
        chosen: A mask (M,) or numbers, of which negative ones count from the end.
        count: M.

    Raises:
        IndexError: There is no such instance.
        InputError: It is of another kind, or the mask of another length.
    """
    try:
        values = np.asarray(chosen)
    except Exception:  # ragged lists, tensors of a GPU
        values = np.asarray(None)
    if values.ndim == 1 and not values.size and values.dtype.kind != "b":
        return []
    if values.ndim != 1 or values.dtype.kind not in "biu":
        raise InputError(
            f"the index is {shown(chosen)}; give a number, a slice, a mask, or numbers of instances"
        )
    if values.dtype.kind == "b":
        if len(values) != count:
            raise InputError(
                f"the index is a mask of {len(values)}, but there are {count} instances"
            )
        return [int(row) for row in values.nonzero()[0]]
    missing = values[(values >= count) | (values < -count)]
    if missing.size:
        raise IndexError(f"there is no instance {missing[0]}: there are {count}")
    return [int(row) % count for row in values]
