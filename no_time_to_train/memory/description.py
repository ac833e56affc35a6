"""What a memory file is, told without PyTorch: its kind, its size, what filled it, its classes."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, TypeVar

from no_time_to_train.checkpoint_index import read_index
from no_time_to_train.config import MAX_NAME, MemoryBankConfig
from no_time_to_train.errors import InputError, listed
from no_time_to_train.memory.layout import (
    INFO_KEY,
    PREFIX,
    Kind,
    MemorySize,
    Tensors,
    check_layout,
    kind_of,
    numbers,
)
from no_time_to_train.memory.paths import check_memory_path
from no_time_to_train.memory.safetensors_file import is_safetensors, read_safetensors_index
from no_time_to_train.memory.thumbnails import split_thumbnails
from no_time_to_train.pickle_index import IndexedTensor

logger = logging.getLogger(__name__)

T = TypeVar("T")
MAX_PIXELS = 1 << 16
"""Largest input of an encoder, which messages repeat."""
UNFINISHED = (
    "filled but not post-processed; run test_mode postprocess_memory on it, or in Python call "
    "finalise() after the last remember()"
)


class EncoderSpec(NamedTuple):
    """What makes the features of a memory; those of another one cannot be compared with them."""

    name: str
    """As `encoder_cfg.name` gives it."""
    img_size: int | None
    """Side of its square input in pixels; None in memories that do not tell."""

    def __str__(self) -> str:
        size = f" at {self.img_size} x {self.img_size} pixels" if self.img_size else ""
        return f"{self.name}{size}"


@dataclass(frozen=True)
class MemoryDescription:
    """What is known of a memory file without its features."""

    path: Path
    encoder: EncoderSpec | None
    """What filled it; None in checkpoints of the published code."""
    class_names: list[str]
    """By class index; empty where they are not known."""
    kind: Kind
    size: MemorySize
    counts: list[int]
    """References of each class."""
    similarity: list[float]
    """How alike the references of each class are, in [0, 1]; empty before classes are made."""
    thumbnails: list[list[bytes | None]]
    """Pictures of the references of each class, as `thumbnails.encode_thumbnail` makes them."""

    @property
    def shown_names(self) -> list[str]:
        """Names by class index, also where it has none."""
        return self.class_names or default_names(self.size.classes)

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


def describe_memory(path: Path) -> MemoryDescription:
    """Read a memory checkpoint without PyTorch, and check all of it.

    Args:
        path: Of a file written by `write_memory` or by the published code.

    Raises:
        InputError: No such file, not a checkpoint, one without a memory, or with an unusable one.
    """
    check_memory_path(path)
    read = read_safetensors_index if is_safetensors(path) else read_index
    index = read(path, "the memory", "write it again")
    with naming_memory(path):
        found = memory_tensors(index.content, IndexedTensor)
        arrays = {name: index.array(tensor) for name, tensor in found.items()}
        return description(path, index.content, arrays)


def description(path: Path, content: Any, tensors: Tensors) -> MemoryDescription:
    """Describe and check what was read.

    Args:
        path: Of the file.
        content: Of the file.
        tensors: What `memory_tensors` has found in it.

    Raises:
        InputError: It is unusable; the message is for `naming_memory`.
    """
    size = check_layout(tensors)
    info = content.get(INFO_KEY)
    encoder, names = (None, []) if info is None else _check_info(info, size.classes)
    kind = kind_of(tensors)
    similarity = numbers(tensors["mem_ins_sim_avg"]) if kind is Kind.FINALISED else []
    return MemoryDescription(
        path=path,
        encoder=encoder,
        class_names=names,
        kind=kind,
        size=size,
        counts=[int(count) for count in numbers(tensors["mem_fill_counts"])],
        similarity=[1.0 if math.isnan(each) else float(each) for each in similarity],
        thumbnails=split_thumbnails(tensors),
    )


def memory_tensors(content: Any, kind: type[T]) -> dict[str, T]:
    """The tensors of a memory by name, `mem_...`.

    Args:
        content: Of a checkpoint.
        kind: What tensors are in it.

    Raises:
        InputError: There are none.
    """
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    tensors = {
        key.removeprefix(PREFIX): value
        for key, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(key, str) and key.startswith(PREFIX + "mem_") and isinstance(value, kind)
    }
    if not tensors:
        raise InputError("it holds no reference memory")
    return tensors


@contextmanager
def naming_memory(path: Path) -> Iterator[None]:
    """Say in an error about what is in a memory which file it is."""
    try:
        yield
    except InputError as reason:
        raise InputError(f"the memory in {path} cannot be used: {reason}; fill it again") from None


def default_names(count: int) -> list[str]:
    """What classes are called whose memory does not name them."""
    return [f"class {number}" for number in range(1, count + 1)]


def _check_info(info: Any, classes: int) -> tuple[EncoderSpec | None, list[str]]:
    """What filled a memory, and its class names; the encoder may be given as unknown."""
    given = info if isinstance(info, Mapping) else {}
    encoder, size, names = (given.get(key) for key in ("encoder", "img_size", "class_names"))
    known = "encoder" not in given or encoder is not None
    if known and not _is_name(encoder):
        raise InputError("it does not name the encoder that filled it")
    if size is not None and not (type(size) is int and 1 <= size <= MAX_PIXELS):
        raise InputError("the input size of the encoder that filled it is no number of pixels")
    if not isinstance(names, list | tuple) or not all(_is_text(name) for name in names):
        raise InputError("its class names are no list of texts")
    if names and len(names) != classes:
        raise InputError(f"it has {classes} classes and {len(names)} class names")
    return EncoderSpec(encoder, size) if encoder else None, list(names)


def _is_name(value: Any) -> bool:
    return _is_text(value) and value.isprintable() and len(value) <= MAX_NAME


def _is_text(value: Any) -> TypeGuard[str]:
    """Whether it is a text that can be printed: half a UTF-16 pair cannot."""
    return isinstance(value, str) and not any(0xD800 <= ord(letter) < 0xE000 for letter in value)
