"""Memory checkpoints on disk: ours, and those that the published code wrote.

Both are Lightning checkpoints whose `state_dict` holds the memory under `seg_model.`. The
published ones keep dense feature maps and all network weights beside it; ours keep what later
stages read, and no network.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from no_time_to_train.dataset.whole_files import replacing
from no_time_to_train.errors import InputError

PREFIX = "seg_model."
INFO_KEY = "no_time_to_train"


@dataclass(frozen=True)
class MemoryInfo:
    """Where a memory comes from; absent in checkpoints of the published code."""

    encoder: str
    """Name of the encoder whose features these are."""
    class_names: list[str]
    """Names by class index; empty where they are not known."""


@dataclass(frozen=True)
class MemoryFile:
    """A memory checkpoint as read."""

    path: Path
    tensors: dict[str, Tensor]
    """By name, `mem_...`; memory-mapped where the file allows it."""
    info: MemoryInfo | None


def read_memory(path: Path) -> MemoryFile:
    """Read a memory checkpoint without running anything in it.

    Args:
        path: Of a file written by `write_memory` or by the published code.

    Raises:
        InputError: No such file, not a checkpoint, or one without a memory.
    """
    if "://" in str(path):
        raise InputError(f"--ckpt_path {path} is an address; download it and pass the file")
    if not path.is_file():
        raise InputError(
            f"memory checkpoint {path} does not exist; it is the --out_path of an earlier stage "
            "(fill_memory, then postprocess_memory)"
        )
    content = _load(path)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    tensors = {
        key.removeprefix(PREFIX): value
        for key, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(key, str) and key.startswith(PREFIX + "mem_") and isinstance(value, Tensor)
    }
    if not tensors:
        raise InputError(
            f"{path} holds no reference memory; pass a file that --model.test_mode fill_memory or "
            "postprocess_memory wrote"
        )
    return MemoryFile(path, tensors, _info(content))


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds something other than tensors and plain values, so it is not opened; "
            "write it again with fill_memory"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} cannot be read as a checkpoint: it is cut off or another kind of file; write "
            "it again with fill_memory or postprocess_memory"
        ) from error


def _info(content: Mapping[str, Any]) -> MemoryInfo | None:
    info = content.get(INFO_KEY)
    if not isinstance(info, Mapping):
        return None
    return MemoryInfo(str(info["encoder"]), [str(name) for name in info["class_names"]])


def write_memory(path: Path, tensors: Mapping[str, Tensor], info: MemoryInfo) -> None:
    """Write a memory checkpoint: whole, or not at all.

    Args:
        path: Where to; its folder is created.
        tensors: By name, `mem_...`.
        info: Where the memory comes from.
    """
    content = {
        "state_dict": {PREFIX + name: tensor.contiguous() for name, tensor in tensors.items()},
        "pytorch-lightning_version": version("lightning"),
        INFO_KEY: asdict(info),
    }
    with replacing(path, "wb") as file:
        torch.save(content, file)
