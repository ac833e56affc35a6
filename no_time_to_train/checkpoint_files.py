"""Checkpoint files: tensors and plain values are read from them, in bounds, and nothing is run."""

from __future__ import annotations

import io
import os
import pickletools
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file
from no_time_to_train.pickle_index import MAX_INDEX_BYTES, PickleIndex, Unreadable, too_long

ZIP_START = b"PK\x03\x04"
LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The number that files in the format of PyTorch before 1.6 begin with."""


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
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(len(LEGACY_START))
            file.seek(0)
            _check_start(start, size)
            check = _check_zip if start.startswith(ZIP_START) else _check_legacy
            check(file, size)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror or error}") from None
    except Unreadable as reason:
        advice = reason.repair or repair
        raise InputError(f"{what} {path} cannot be read: {reason}; {advice}") from None


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


def _check_start(start: bytes, size: int) -> None:
    if not size:
        raise Unreadable("it is empty")
    if not any(begin.startswith(start[: len(begin)]) for begin in (ZIP_START, LEGACY_START)):
        raise Unreadable(f"it is no PyTorch checkpoint (it begins with {start[:8]!r})")


def _check_zip(file: BinaryIO, size: int) -> None:
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

    PickleIndex(_content(file, index), stored).check()


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


def _check_legacy(file: BinaryIO, size: int) -> None:
    """Five pickles (magic number, version, platform, content, order of storages), then storages."""
    head = file.read(MAX_INDEX_BYTES)
    start, parts = 0, []
    for _ in range(5):
        end = _end_of_pickle(head, start, whole=len(head) == size)
        parts.append(PickleIndex(head[start:end], lambda key: size))
        parts[-1].check()
        start = end
    needed = start + sum(8 + stored for stored in parts[3].storages.values())
    if needed > size:
        raise Unreadable(f"it has {size} of {needed} bytes, it is cut off")


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
