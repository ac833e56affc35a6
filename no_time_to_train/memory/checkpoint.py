"""Memory checkpoints on disk: ours, and those that the published code wrote.

Both are Lightning checkpoints whose `state_dict` holds the memory under `seg_model.`. The
published ones keep dense feature maps and all network weights beside it; ours keep what later
stages read, and no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from no_time_to_train.checkpoint_files import load_checkpoint
from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write, check_regular_file
from no_time_to_train.memory.layout import Kind, MemorySize, check_layout, kind_of

PREFIX = "seg_model."
INFO_KEY = "no_time_to_train"
MAX_NAME = 100
"""Longest name of an encoder, which messages repeat."""


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
    """By name, `mem_...`, as `memory_layout` describes them; memory-mapped where the file allows
    it."""
    info: MemoryInfo | None
    kind: Kind
    size: MemorySize

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Name the file where something in it turns out to be unusable."""
        with _naming(self.path):
            yield


def read_memory(path: Path) -> MemoryFile:
    """Read a memory checkpoint without running anything in it, and check all of it.

    Args:
        path: Of a file written by `write_memory` or by the published code.

    Raises:
        InputError: No such file, not a checkpoint, one without a memory, or with an unusable one.
    """
    if "://" in str(path):
        raise InputError(f"{path} is an address; download it and pass the file")
    check_regular_file(path, "the memory")
    if not path.is_file():
        raise InputError(
            f"the memory {path} does not exist; fill_memory and postprocess_memory write one, and "
            "save() in Python"
        )
    content = load_checkpoint(path, "the memory", "write it again")
    with _naming(path):
        tensors = _tensors(content)
        size = check_layout(tensors)
        return MemoryFile(path, tensors, _info(content, size.classes), kind_of(tensors), size)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError as reason:
        raise InputError(f"the memory in {path} cannot be used: {reason}; fill it again") from None


def _tensors(content: Any) -> dict[str, Tensor]:
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    tensors = {
        key.removeprefix(PREFIX): value.detach()
        for key, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(key, str) and key.startswith(PREFIX + "mem_") and isinstance(value, Tensor)
    }
    if not tensors:
        raise InputError("it holds no reference memory")
    return tensors


def _info(content: Mapping[str, Any], classes: int) -> MemoryInfo | None:
    info = content.get(INFO_KEY)
    if info is None:
        return None
    encoder, names = (
        (info.get("encoder"), info.get("class_names"))
        if isinstance(info, Mapping)
        else (None, None)
    )
    if not _is_text(encoder) or not encoder.isprintable() or len(encoder) > MAX_NAME:
        raise InputError("it does not name the encoder that filled it")
    if not isinstance(names, list | tuple) or not all(_is_text(name) for name in names):
        raise InputError("its class names are no list of texts")
    if names and len(names) != classes:
        raise InputError(f"it has {classes} classes and {len(names)} class names")
    return MemoryInfo(encoder, list(names))


def _is_text(value: Any) -> TypeGuard[str]:
    """Whether it is a text that can be printed: half a UTF-16 pair cannot."""
    return isinstance(value, str) and not any(0xD800 <= ord(letter) < 0xE000 for letter in value)


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
    with atomic_write(path, "wb") as file:
        torch.save(content, file)
