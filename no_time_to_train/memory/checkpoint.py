"""Memory checkpoints on disk: ours, and those that the published code wrote.

Both are Lightning checkpoints whose `state_dict` holds the memory under `seg_model.`. The
published ones keep dense feature maps and all network weights beside it; ours keep what later
stages read, and no network. Names of tensors that both have mean the same. Ours may also be in the
format of `safetensors_file`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from no_time_to_train.checkpoint_files import load_checkpoint
from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.description import (
    MemoryDescription,
    description,
    memory_tensors,
    naming_memory,
)
from no_time_to_train.memory.layout import INFO_KEY, PREFIX, Kind
from no_time_to_train.memory.paths import check_memory_path
from no_time_to_train.memory.safetensors_file import (
    SUFFIX,
    is_safetensors,
    load_safetensors,
    to_safetensors,
)
from no_time_to_train.memory.statistics import ClassStatistics
from no_time_to_train.memory.stored_references import (
    classes_to_tensors,
    condensed_references,
    dense_references,
    filled_references,
    references_to_tensors,
)


@dataclass(frozen=True)
class MemoryFile(MemoryDescription):
    """A memory checkpoint as read; `load` makes a memory of it."""

    tensors: dict[str, Tensor]
    """By name, `mem_...`, as `layout` describes them; memory-mapped where the file allows it."""

    def load(self, memory: Memory) -> Memory:
        """Put what it holds into a memory.

        Args:
            memory: An empty one, of the encoder that it will be used with, if that is known.

        Returns:
            That memory.

        Raises:
            InputError: Another encoder filled it, or features of a dense memory are not finite.
        """
        self.check_encoder(memory.encoder)
        if self.encoder and not (memory.encoder and memory.encoder.img_size):
            memory.encoder = self.encoder
        memory.class_names = list(self.class_names)
        memory.shots = self.size.shots
        if self.kind is Kind.FINALISED:
            statistics = ClassStatistics.from_tensors(self.tensors)
            memory.set_references(condensed_references(self.tensors, statistics), statistics)
        elif self.kind is Kind.FILLED:
            memory.set_references(filled_references(self.tensors))
        else:
            with naming_memory(self.path):
                for place, summary in dense_references(self.tensors, memory.max_patches):
                    memory.add(*place, summary)
        return memory


def read_memory(path: Path) -> MemoryFile:
    """Read a memory checkpoint without running anything in it, and check all of it.

    Args:
        path: Of a file written by `write_memory` or by the published code.

    Raises:
        InputError: No such file, not a checkpoint, one without a memory, or with an unusable one.
    """
    check_memory_path(path)
    load = load_safetensors if is_safetensors(path) else load_checkpoint
    content = load(path, "the memory", "write it again")
    with naming_memory(path):
        found = memory_tensors(content, Tensor)
        tensors = {name: tensor.detach() for name, tensor in found.items()}
        return MemoryFile(**vars(description(path, content, tensors)), tensors=tensors)


def write_memory(path: Path, memory: Memory) -> None:
    """Write a memory: whole, or not at all; of its classes where it is finalised.

    Args:
        path: Where to, a checkpoint or, where it ends in `.safetensors`, in that format; its folder
            is created.
        memory: With references or classes.

    Raises:
        InputError: It has neither, or the place cannot be written to.
    """
    if not memory.references:
        raise InputError("there is no memory to save; call remember(image, mask, name) first")
    if memory.is_finalised:
        tensors = classes_to_tensors(memory)
    else:
        tensors = references_to_tensors(memory)
    info = _info(memory)
    with atomic_write(path, "wb") as file:
        if path.suffix.lower() == SUFFIX:
            file.write(to_safetensors(tensors, info))
        else:
            torch.save(_to_checkpoint(tensors, info), file)


def _info(memory: Memory) -> dict[str, Any] | None:
    """What filled a memory, and its class names, as far as they are known."""
    if memory.encoder is None:
        return {"encoder": None, "class_names": memory.class_names} if memory.class_names else None
    name, img_size = memory.encoder
    size = {"img_size": img_size} if img_size else {}
    return {"encoder": name, "class_names": memory.class_names} | size


def _to_checkpoint(tensors: Mapping[str, Tensor], info: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "state_dict": {PREFIX + name: tensor.contiguous() for name, tensor in tensors.items()},
        "pytorch-lightning_version": version("lightning"),
    } | ({} if info is None else {INFO_KEY: info})
