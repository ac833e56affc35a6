"""Checkpoint files: tensors and plain values are read from them, in bounds, and nothing is run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from no_time_to_train.checkpoint_index import ZIP_START, check_checkpoint
from no_time_to_train.errors import InputError


def load_checkpoint(path: Path, what: str, repair: str) -> Any:
    """Read what is in a checkpoint.

    Args:
        path: The file, which exists.
        what: What it should be, for the message, such as "the memory".
        repair: What to do where it cannot be read, the end of the message.

    Returns:
        Tensors on the CPU in plain containers; memory-mapped where the format allows.

    Raises:
        InputError: It is no file, no checkpoint, cut off, damaged, or holds something else.
    """
    check_checkpoint(path, what, repair)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except Exception as error:  # what is left of the damages may raise anything
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{what} {path} cannot be read: damaged ({reason}); {repair}") from None


def check_finite(tensors: Iterable[tuple[str, Tensor]], path: str | Path) -> None:
    """Refuse tensors that hold NaN or infinity; 0.1 s for the 300 million numbers of DINOv2 large.

    Args:
        tensors: With their names.
        path: Where they come from, for the message.

    Raises:
        InputError: One is not finite; it is named.
    """
    for name, tensor in tensors:
        # A sum is four times as fast as looking at each number; it may itself overflow.
        if tensor.is_floating_point() and not tensor.sum(dtype=torch.float32).isfinite():
            if not tensor.isfinite().all():
                raise InputError(
                    f"{path}: the tensor {name} holds NaN or infinite values, with which every "
                    "result is void; get the file again from its source"
                )


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(ZIP_START)) == ZIP_START
