"""Memory checkpoints on disk: ours, and those that the published code wrote.

Both are Lightning checkpoints whose `state_dict` holds the memory under `seg_model.`. The
published ones keep dense feature maps and all network weights beside it; ours keep what later
stages read, and no network. Names of tensors that both have mean the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from no_time_to_train.checkpoint_files import load_checkpoint
from no_time_to_train.config import MAX_NAME, MemoryBankConfig
from no_time_to_train.errors import InputError, listed
from no_time_to_train.files import atomic_write
from no_time_to_train.memory.bank import UNFINISHED, EncoderSpec, Memory
from no_time_to_train.memory.layout import Kind, MemorySize, check_layout, kind_of, places_of
from no_time_to_train.memory.paths import check_memory_path
from no_time_to_train.memory.statistics import (
    ClassStatistics,
    ReferenceSummary,
    padded,
    summarise,
)

logger = logging.getLogger(__name__)

PREFIX = "seg_model."
INFO_KEY = "no_time_to_train"
MAX_PIXELS = 1 << 16
"""Largest input of an encoder, which messages repeat."""


@dataclass(frozen=True)
class MemoryFile:
    """A memory checkpoint as read; `load` makes a memory of it."""

    path: Path
    tensors: dict[str, Tensor]
    """By name, `mem_...`, as `layout` describes them; memory-mapped where the file allows it."""
    encoder: EncoderSpec | None
    """What filled it; None in checkpoints of the published code."""
    class_names: list[str]
    """By class index; empty where they are not known."""
    kind: Kind
    size: MemorySize

    def check_size(self, bank: MemoryBankConfig) -> None:
        """Refuse settings that name another number of classes or references (InputError)."""
        classes, shots, _ = self.size
        for setting, wanted, found in (
            ("category_num", bank.category_num, classes),
            ("length", bank.length, shots),
        ):
            if wanted != found:
                raise InputError(
                    f"{self.path} holds {classes} classes with up to {shots} references each, but "
                    f"model_cfg.memory_bank_cfg.{setting} is {wanted}; set it to {found} or pass "
                    "another checkpoint"
                )

    def check_encoder(self, encoder: EncoderSpec | None) -> None:
        """Refuse another encoder or input size than filled it (InputError), as far as known."""
        if not self.encoder or not encoder:
            return
        own, other = self.encoder.img_size, encoder.img_size
        if self.encoder.name != encoder.name or (own and other and own != other):
            raise InputError(
                f"{self.path} was filled with {self.encoder}, but the encoder is {encoder}; use "
                "the same, or fill the memory again"
            )

    def check_width(self, encoder_name: str, width: int) -> None:
        """Refuse an encoder whose features have another number of channels (InputError)."""
        if self.size.channels != width:
            raise InputError(
                f"{self.path} holds features of {self.size.channels} channels, but {encoder_name} "
                f"makes {width}; use the encoder that filled it"
            )

    def check_kind(self, finalised: bool) -> None:
        """Refuse a memory without classes, or else one whose references are gone (InputError)."""
        done = self.kind is Kind.FINALISED
        if finalised and not done:
            raise InputError(f"the memory in {self.path} is {UNFINISHED}")
        if done and not finalised:
            raise InputError(
                f"the memory in {self.path} is post-processed already; use it as it is, or pass "
                "the file that fill_memory wrote"
            )

    def check_class_names(self, names: Sequence[str]) -> None:
        """Refuse the same names in another order, which would mix up all labels (InputError)."""
        pairs = zip(self.class_names, names, strict=False)
        differing = [(own, other) for own, other in pairs if own != other]
        if not differing:
            return
        if sorted(self.class_names) == sorted(names):
            raise InputError(
                f"{self.path} was filled with classes in the order {listed(self.class_names)}, but "
                f"the targets have them in the order {listed(names)}; category ids must order them "
                "alike"
            )
        logger.warning(
            "%d class names differ between memory and targets, such as %r and %r; they are taken "
            "to mean the same",
            len(differing),
            *(name[:60] for name in differing[0]),
        )

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
            with _naming(self.path):
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
    with _naming(path):
        tensors = _tensors(content)
        size = check_layout(tensors)
        info = content.get(INFO_KEY)
        encoder, names = (None, []) if info is None else _check_info(info, size.classes)
        return MemoryFile(path, tensors, encoder, names, kind_of(tensors), size)


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
    places = [(int(index), int(slot)) for index, slot in places_of(tensors).nonzero().tolist()]
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
    for index, slot in places_of(tensors).nonzero().tolist():
        features = tensors["mem_feats"][index, slot].float()  # (N, C)
        weights = tensors["mem_masks"][index, slot].float()  # (N,)
        summary = summarise(features, weights, max_patches)
        if not summary.is_finite():
            raise InputError(f"mem_feats of reference {slot} of class {index} is not finite")
        yield (index, slot), summary


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


def _check_info(info: Any, classes: int) -> tuple[EncoderSpec, list[str]]:
    """What filled a memory, and its class names."""
    given = info if isinstance(info, Mapping) else {}
    encoder, size, names = (given.get(key) for key in ("encoder", "img_size", "class_names"))
    if not _is_text(encoder) or not encoder.isprintable() or len(encoder) > MAX_NAME:
        raise InputError("it does not name the encoder that filled it")
    if size is not None and not (type(size) is int and 1 <= size <= MAX_PIXELS):
        raise InputError("the input size of the encoder that filled it is no number of pixels")
    if not isinstance(names, list | tuple) or not all(_is_text(name) for name in names):
        raise InputError("its class names are no list of texts")
    if names and len(names) != classes:
        raise InputError(f"it has {classes} classes and {len(names)} class names")
    return EncoderSpec(encoder, size), list(names)


def _is_text(value: Any) -> TypeGuard[str]:
    """Whether it is a text that can be printed: half a UTF-16 pair cannot."""
    return isinstance(value, str) and not any(0xD800 <= ord(letter) < 0xE000 for letter in value)
