"""Memory checkpoints on disk: ours, and those that the published code wrote.

Both are Lightning checkpoints whose `state_dict` holds the memory under `seg_model.`. The
published ones keep dense feature maps and all network weights beside it; ours keep what later
stages read, and no network. Names of tensors that both have mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from no_time_to_train.checkpoint_files import load_checkpoint
from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.description import (
    INFO_KEY,
    PREFIX,
    MemoryDescription,
    description,
    memory_tensors,
    naming_memory,
)
from no_time_to_train.memory.layout import Kind, places_of
from no_time_to_train.memory.paths import check_memory_path
from no_time_to_train.memory.statistics import (
    ClassStatistics,
    ReferenceSummary,
    padded,
    summarise,
)


@dataclass(frozen=True)
class MemoryFile(MemoryDescription):
    """A memory checkpoint as read; `load` makes a memory of it."""

    tensors: dict[str, Tensor]
    """By name, `mem_...`, as `layout` describes them; memory-mapped where the file allows it."""

    def load(self, memory: Memory) -> Memory:
        """Put what it holds into a memory.

        Args:
            memory: An empty one, of the encoder that it will be used with.

        Returns:
            That memory.

        Raises:
            InputError: Another encoder filled it, or features of a dense memory are not finite.
        """
        self.check_encoder(memory.encoder)
        if self.encoder and memory.encoder and memory.encoder.img_size is None:
            memory.encoder = self.encoder
        memory.class_names = list(self.class_names)
        memory.shots = self.size.shots
        if self.kind is Kind.FINALISED:
            memory.set_statistics(ClassStatistics.from_tensors(self.tensors))
        elif self.kind is Kind.FILLED:
            memory.set_references(_read_references(self.tensors))
        else:
            with naming_memory(self.path):
                for place, summary in _summarised(self.tensors, memory.max_patches):
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
    content = load_checkpoint(path, "the memory", "write it again")
    with naming_memory(path):
        found = memory_tensors(content, Tensor)
        tensors = {name: tensor.detach() for name, tensor in found.items()}
        return MemoryFile(**vars(description(path, content, tensors)), tensors=tensors)


def write_memory(path: Path, memory: Memory) -> None:
    """Write a memory checkpoint: whole, or not at all; of its classes where it is finalised.

    Args:
        path: Where to; its folder is created.
        memory: With references or classes.

    Raises:
        InputError: It has neither, or the place cannot be written to.
    """
    if not memory.is_finalised and not memory.references:
        raise InputError("there is no memory to save; call remember(image, mask, name) first")
    if memory.is_finalised:
        tensors = memory.statistics.to_tensors()
    else:
        tensors = references_to_tensors(memory)
    content: dict[str, Any] = {
        "state_dict": {PREFIX + name: tensor.contiguous() for name, tensor in tensors.items()},
        "pytorch-lightning_version": version("lightning"),
    }
    if memory.encoder:
        name, img_size = memory.encoder
        content[INFO_KEY] = {"encoder": name, "class_names": memory.class_names}
        content[INFO_KEY] |= {"img_size": img_size} if img_size else {}
    with atomic_write(path, "wb") as file:
        torch.save(content, file)


def references_to_tensors(memory: Memory) -> dict[str, Tensor]:
    """The references of a memory (stage 1).

    Returns:
        mem_fill_counts (K,), mem_feats_ins_avg and mem_feats_fg_avg (K, S, C), mem_mask_sums and
        mem_fg_counts and mem_patch_counts (K, S), mem_patches (sum of mem_patch_counts, C) float16.
    """
    classes = memory.by_class()

    def table(value: Callable[[ReferenceSummary], Tensor | float]) -> Tensor:
        return padded(classes, value, memory.shots)

    return {
        "mem_fill_counts": torch.tensor([len(references) for references in classes]),
        "mem_feats_ins_avg": table(lambda each: each.mean),
        "mem_mask_sums": table(lambda each: each.weight),
        "mem_feats_fg_avg": table(lambda each: each.foreground_mean),
        "mem_fg_counts": table(lambda each: each.foreground_count),
        "mem_patch_counts": table(lambda each: len(each.patches)),
        "mem_patches": torch.cat([each.patches for own in classes for each in own]),
        "mem_postprocessed": torch.tensor(False),
    }


def _read_references(tensors: Mapping[str, Tensor]) -> dict[tuple[int, int], ReferenceSummary]:
    places = [(int(index), int(slot)) for index, slot in np.argwhere(places_of(tensors))]
    sizes = [int(tensors["mem_patch_counts"][place]) for place in places]
    patches = tensors["mem_patches"].split(sizes)
    return {
        place: ReferenceSummary(
            mean=tensors["mem_feats_ins_avg"][place].float(),
            weight=float(tensors["mem_mask_sums"][place]),
            foreground_mean=tensors["mem_feats_fg_avg"][place].float(),
            foreground_count=int(tensors["mem_fg_counts"][place]),
            patches=own.half(),
        )
        for place, own in zip(places, patches, strict=True)
    }


def _summarised(
    tensors: Mapping[str, Tensor], max_patches: int
) -> Iterator[tuple[tuple[int, int], ReferenceSummary]]:
    """Summaries of dense feature maps, mem_feats (K, S, N, C) under mem_masks (K, S, N)."""
    for index, slot in np.argwhere(places_of(tensors)).tolist():
        features = tensors["mem_feats"][index, slot].float()  # (N, C)
        weights = tensors["mem_masks"][index, slot].float()  # (N,)
        summary = summarise(features, weights, max_patches)
        if not summary.is_finite():
            raise InputError(f"mem_feats of reference {slot} of class {index} is not finite")
        yield (index, slot), summary
