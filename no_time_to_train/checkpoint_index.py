"""What a checkpoint file holds: names, shapes and plain values, read in bounds, without PyTorch.

The numbers of a tensor can be looked at where they lie in the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickletools
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file
from no_time_to_train.pickle_index import (
    MAX_INDEX_BYTES,
    IndexedTensor,
    PickleIndex,
    Unreadable,
    too_long,
)

ZIP_START = b"PK\x03\x04"
LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The number that files in the format of PyTorch before 1.6 begin with."""


NUMBERS = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
"""The types of numpy for kinds of storages; bfloat16 as its bits."""


@dataclass(frozen=True)
class CheckpointIndex:
    """What is in a file, with stand-ins in place of tensors."""

    path: Path
    content: Any
    """Plain containers and values, and `IndexedTensor` for each tensor."""
    places: Mapping[str, int]
    """Where the numbers of a storage begin, in bytes, by its key."""

    def array(self, tensor: IndexedTensor) -> NDArray[Any]:
        """The numbers of a tensor, mapped into memory; bfloat16 as float32."""
        storage = tensor.storage
        if not storage.numel:
            return np.empty(tensor.shape, NUMBERS[storage.kind])
        place = self.places[storage.key]
        numbers: NDArray[Any] = np.memmap(
            self.path, NUMBERS[storage.kind], "r", place, (storage.numel,)
        )
        if storage.kind == "BFloat16Storage":
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        strides = [step * numbers.itemsize for step in tensor.stride]
        begin = numbers[tensor.offset :]
        return np.lib.stride_tricks.as_strided(begin, tensor.shape, strides, writeable=False)


def shapes_digest(shapes: Mapping[str, Sequence[int]]) -> str:
    """What tells sets of tensors apart by their names and shapes, as presets of networks give it.

    Args:
        shapes: By name.
    """
    listed = json.dumps(sorted((name, list(shape)) for name, shape in shapes.items()))
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def check_checkpoint(path: Path, what: str, repair: str) -> None:
    """Refuse what is no checkpoint of tensors and plain values, in bounded time and memory.

    A file that does not exist passes: opening it says how to get it.

    Args:
        path: The file.
        what: What it should be, for the message, such as "the memory".
        repair: What to do where it cannot be read, the end of the message.

    Raises:
        InputError: It is no file, no checkpoint, cut off, damaged, or holds something else.
    """
    check_regular_file(path, what)
    if os.path.exists(path):
        read_index(path, what, repair)


def read_index(path: Path, what: str, repair: str) -> CheckpointIndex:
    """Read what a checkpoint holds, without its numbers, in bounded time and memory.

    Args:
        path: The file, which exists.
        what: What it should be, for the message, such as "the memory".
        repair: What to do where it cannot be read, the end of the message.

    Raises:
        InputError: It is no file, no checkpoint, cut off, damaged, or holds something else.
    """
    check_regular_file(path, what)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(len(LEGACY_START))
            file.seek(0)
            _check_start(start, size)
            read = _read_zip if start.startswith(ZIP_START) else _read_legacy
            return CheckpointIndex(path, *read(file, size))
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror or error}") from None
    except Unreadable as reason:
        advice = reason.repair or repair
        raise InputError(f"{what} {path} cannot be read: {reason}; {advice}") from None


def _check_start(start: bytes, size: int) -> None:
    if not size:
        raise Unreadable("it is empty")
    if not any(begin.startswith(start[: len(begin)]) for begin in (ZIP_START, LEGACY_START)):
        raise Unreadable(f"it is no PyTorch checkpoint (it begins with {start[:8]!r})")


def _read_zip(file: BinaryIO, size: int) -> tuple[Any, dict[str, int]]:
    records = _records(file)
    if sum(record.compress_size for record in records.values()) > size or any(
        record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size
        for record in records.values()
    ):
        raise Unreadable("its records are compressed or overlap, which torch.save never does")
    folder = next(iter(records)).partition("/")[0]
    if f"{folder}/constants.pkl" in records:
        raise Unreadable("it is a TorchScript program, no checkpoint")
    index = records.get(f"{folder}/data.pkl")
    if index is None:
        raise Unreadable("it is a zip file without data.pkl, no PyTorch checkpoint")
    if index.file_size > MAX_INDEX_BYTES:
        raise too_long()

    def stored(key: str) -> int:
        record = records.get(f"{folder}/data/{key}")
        return -1 if record is None else record.file_size

    content = PickleIndex(_content(file, index), stored).read()
    start = f"{folder}/data/"
    return content, {
        name.removeprefix(start): _place(file, record, size)
        for name, record in records.items()
        if name.startswith(start)
    }


def _records(file: BinaryIO) -> dict[str, zipfile.ZipInfo]:
    """Records by name, the one that `torch.load` takes for the first one first."""
    try:
        infos = zipfile.ZipFile(file).infolist()
    except Exception as error:  # zipfile raises whatever the damaged part makes it raise
        if "not a zip file" in str(error):
            raise Unreadable("its end is missing, it is cut off") from None
        raise Unreadable(f"damaged ({error})") from None
    records = {info.filename: info for info in infos}
    if not records or len(records) < len(infos):
        raise Unreadable("damaged (its records are not told apart)")
    return records


def _content(file: BinaryIO, record: zipfile.ZipInfo) -> bytes:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(record)
    except Exception as error:
        raise Unreadable(f"damaged ({error})") from None


def _place(file: BinaryIO, record: zipfile.ZipInfo, size: int) -> int:
    """Where the bytes of a record begin: after its own header, a name and what else is there."""
    file.seek(record.header_offset + 26)
    lengths = file.read(4)
    name, extra = struct.unpack("<2H", lengths.rjust(4, b"\0"))
    place = int(record.header_offset + 30 + name + extra)
    if place + record.file_size > size:
        raise Unreadable("damaged (a record lies beyond its end)")
    return place


def _read_legacy(file: BinaryIO, size: int) -> tuple[Any, dict[str, int]]:
    """Five pickles (magic number, version, platform, content, order of storages), then storages."""
    head = file.read(MAX_INDEX_BYTES)
    start, parts, contents = 0, [], []
    for _ in range(5):
        end = _end_of_pickle(head, start, whole=len(head) == size)
        parts.append(PickleIndex(head[start:end], lambda key: size))
        contents.append(parts[-1].read())
        start = end
    places, sizes, order = {}, parts[3].storages, contents[4]
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(sizes):
        raise Unreadable("damaged (its storages are not those that its tensors lie in)")
    for key in order:
        places[key] = start + 8  # after its length
        start = places[key] + sizes[key]
    if start > size:
        raise Unreadable(f"it has {size} of {start} bytes, it is cut off")
    return contents[3], places


def _end_of_pickle(head: bytes, start: int, whole: bool) -> int:
    stream = io.BytesIO(head)
    stream.seek(start)
    try:
        for _ in pickletools.genops(stream):
            pass
    except Exception as error:
        if len(head) - stream.tell() > 0:
            raise Unreadable(f"damaged ({' '.join(str(error).split())[:100]})") from None
        raise Unreadable("its end is missing, it is cut off") if whole else too_long() from None
    return stream.tell()
