"""Memories in the safetensors format, which other programs read: tensors and a header of json.

The names of the tensors are those of a checkpoint without their prefix; what is known of the memory
is json text in the metadata. The library checks that the header describes the file; here its length
is bounded before, and everything it names is a number of a kind that memories have.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from no_time_to_train.checkpoint_index import LEGACY_START, ZIP_START, CheckpointIndex
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file
from no_time_to_train.memory.layout import INFO_KEY, PREFIX
from no_time_to_train.pickle_index import (
    MAX_INDEX_BYTES,
    IndexedTensor,
    Storage,
    Unreadable,
    too_long,
)

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
METADATA = "__metadata__"
LENGTH_BYTES = 8
"""Of the number that a file begins with, the length of its header."""
MAX_LENGTH = 1 << 31
"""Of a dimension of a tensor."""
KINDS = {
    "F64": "DoubleStorage",
    "F32": "FloatStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "I64": "LongStorage",
    "I32": "IntStorage",
    "I16": "ShortStorage",
    "I8": "CharStorage",
    "U8": "ByteStorage",
    "BOOL": "BoolStorage",
}
"""Kinds of storages of a checkpoint, by the name of the same type of numbers."""


def is_safetensors(path: Path) -> bool:
    """Whether a file is in this format, or claims to be and is in no other.

    Args:
        path: A regular file, or none.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(LEGACY_START))
    except OSError:
        return False  # opening it again says why
    if start.startswith((ZIP_START, LEGACY_START)):
        return False
    return start[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{" or path.suffix.lower() == SUFFIX


def read_safetensors_index(path: Path, what: str, repair: str) -> CheckpointIndex:
    """Read what a file holds, without its numbers and without PyTorch, as if from a checkpoint.

    Args:
        path: The file, which exists.
        what: What it should be, for the message, such as "the memory".
        repair: What to do where it cannot be read, the end of the message.

    Raises:
        InputError: It is in another format, cut off, damaged, or holds something else.
    """
    check_regular_file(path, what)
    try:
        start, header = _header(path)
        tensors = {name: each for name, each in header.items() if name != METADATA}
        state = {PREFIX + name: _indexed(name, each) for name, each in tensors.items()}
        content = {"state_dict": state, **_info(header.get(METADATA, {}))}
        places = {name: start + each["data_offsets"][0] for name, each in tensors.items()}
        return CheckpointIndex(path, content, places)
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror or error}") from None
    except Unreadable as reason:
        raise InputError(f"{what} {path} cannot be read: {reason}; {repair}") from None


def load_safetensors(path: Path, what: str, repair: str) -> Any:
    """Read all of a file, as if from a checkpoint.

    Args:
        path: As for `read_safetensors_index`, and so is the rest.
        what: What it should be.
        repair: What to do where it cannot be read.

    Raises:
        InputError: As by `read_safetensors_index`.
    """
    from safetensors import safe_open

    content = read_safetensors_index(path, what, repair).content
    try:
        with safe_open(path, "pt") as file:
            names = [name.removeprefix(PREFIX) for name in content["state_dict"]]
            return content | {
                "state_dict": {PREFIX + name: file.get_tensor(name) for name in names}
            }
    except Exception as error:
        raise InputError(f"{what} {path} cannot be read: {_damaged(error)}; {repair}") from None


def to_safetensors(tensors: Mapping[str, Tensor], info: Mapping[str, Any] | None) -> bytes:
    """The content of a file.

    Args:
        tensors: By name, `mem_...`.
        info: What is known of the memory, in plain values.
    """
    from safetensors.torch import save

    metadata = {"format": "pt"} | ({} if info is None else {INFO_KEY: json.dumps(info)})
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata)


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Where the tensors begin, and the header, which the library has compared with the file."""
    from safetensors import safe_open

    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise Unreadable("it is empty")
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        start = LENGTH_BYTES + length
        if start > size:
            raise Unreadable("it is cut off within its header, or in no format of memories")
        if length > MAX_INDEX_BYTES:
            raise too_long()
        text = file.read(length)
    try:
        with safe_open(path, "numpy"):
            pass
        return start, json.loads(text, object_pairs_hook=_without_repetition)
    except Unreadable:
        raise
    except Exception as error:  # the library has an error of its own, and json has several
        raise _damaged(error) from None


def _damaged(error: Exception) -> Unreadable:
    return Unreadable(f"damaged ({' '.join(str(error).split())[:100]})")


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of json, of which the library and Python would read different parts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("damaged (a name in its header is there twice)")
    return found


def _indexed(name: str, tensor: Mapping[str, Any]) -> IndexedTensor:
    kind, shape = KINDS.get(tensor["dtype"]), tensor["shape"]
    if kind is None:
        raise Unreadable(f"it holds numbers of type {tensor['dtype'][:20]}, which no memory has")
    if any(length > MAX_LENGTH for length in shape):
        raise Unreadable(f"damaged (a dimension of {max(shape)})")
    stride = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return IndexedTensor(Storage(kind, name, math.prod(shape)), 0, tuple(shape), tuple(stride))


def _info(metadata: Mapping[str, str]) -> dict[str, Any]:
    if INFO_KEY not in metadata:
        return {}
    try:
        return {INFO_KEY: json.loads(metadata[INFO_KEY])}
    except (ValueError, RecursionError):
        raise Unreadable(f"damaged (its metadata {INFO_KEY} are no json)") from None
