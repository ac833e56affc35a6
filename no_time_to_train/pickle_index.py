"""The list of contents of a checkpoint file, a pickle, gone through without any tensor.

`torch.load(weights_only=True)` runs no foreign code, but what a pickle may ask of it (a bytearray
of 10 GB, a loop over a tensor that repeats one number 10^12 times) is without bounds. Here
stand-ins take the place of tensors, and nothing else is made.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MAX_INDEX_BYTES = 2 << 20
"""Longest pickle that is read; the official files have up to 0.12 MB, with a memory 0.15 MB."""
MAX_TUPLES = 40_000
"""Most tuples in it (four a tensor); nested more deeply than that, one could not be hashed."""

ITEM_BYTES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
"""Kinds of numbers that tensors may consist of; no complex and no quantised ones."""

OPERATIONS = frozenset(
    """PROTO GLOBAL REDUCE BUILD APPEND APPENDS SETITEM SETITEMS MARK TUPLE TUPLE1 TUPLE2 TUPLE3
    NONE NEWFALSE NEWTRUE EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET BINPERSID BININT BININT1
    BININT2 BINFLOAT BINUNICODE SHORT_BINSTRING LONG1 BINGET LONG_BINGET BINPUT LONG_BINPUT
    STOP""".split()
)
"""What `torch.save` writes, under the names of `pickletools`."""


class Unreadable(Exception):
    """Why a file is not read, the rest of a sentence that begins with its name."""

    repair: str | None = None
    """What to do about it, where that is not to get the same file again."""


class ForeignContentError(Unreadable):
    """It holds what could be code."""

    repair = "take a file of tensors only, from a source that you trust"


class Storage(NamedTuple):
    """Stand-in for a storage."""

    kind: str
    """A key of ITEM_BYTES."""
    key: str
    """By which the file finds its numbers."""
    numel: int
    """How many numbers it holds."""


class IndexedTensor(NamedTuple):
    """Stand-in for a tensor that lies within its storage."""

    storage: Storage
    offset: int
    """Of its first number in the storage."""
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    """Numbers from one to the next, by dimension."""


def too_long() -> Unreadable:
    """The reason for a list of contents that is longer than any checkpoint's."""
    return Unreadable(
        f"its list of contents is longer than {MAX_INDEX_BYTES >> 20} MB, which holds no weights "
        "and no memory"
    )


class PickleIndex(pickle.Unpickler):
    """The pickle of a checkpoint, with stand-ins in place of tensors.

    Args:
        content: Its bytes.
        stored: Gives the number of bytes that the file has for a key of a storage, or -1.
    """

    def __init__(self, content: bytes, stored: Callable[[str], int]) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self.content = content
        self.stored = stored
        self.storages: dict[str, int] = {}

    def read(self) -> Any:
        """Go through all of it.

        Returns:
            What it holds, with stand-ins for tensors.

        Raises:
            Unreadable: It holds what a checkpoint does not hold.
        """
        try:
            self._scan()
            content = self.load()
            _check_containers(content)
            return content
        except Unreadable:
            raise
        except Exception as error:  # a damaged pickle may raise anything
            raise Unreadable(f"damaged ({' '.join(str(error).split())[:100]})") from None

    def _scan(self) -> None:
        tuples = 0
        for operation, argument, _ in pickletools.genops(self.content):
            if operation.name not in OPERATIONS:
                raise Unreadable(
                    f"it holds {operation.name}, an operation that torch.save does not use"
                )
            if operation.name.endswith("BINPUT") and int(argument or 0) > len(self.content):
                raise Unreadable("damaged (more numbered parts than bytes)")
            tuples += operation.name.startswith("TUPLE")
        if tuples > MAX_TUPLES:
            raise too_long()

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for what a checkpoint may refer to; `pickle` calls this."""
        full = f"{module}.{name}"
        if full in STAND_INS:
            return STAND_INS[full]
        if module == "torch" and name in ITEM_BYTES:
            return name
        raise ForeignContentError(
            f"it holds {full.replace('__builtin__', 'builtins')}, no plain value and no tensor of "
            "real numbers, so it is not opened (opening such things can run code)"
        )

    def persistent_load(self, pid: Any) -> Storage:
        """The stand-in for a storage; `pickle` calls this."""
        kind, number_type, key, _, numel, *view = pid
        if kind != "storage" or any(each is not None for each in view):
            raise ValueError(f"an unknown reference to {kind}")
        wanted = _count(numel) * ITEM_BYTES[number_type]
        if not isinstance(key, str) or wanted > self.stored(key):
            raise ValueError(f"the numbers of part {key!r} are not all there")
        self.storages[key] = max(wanted, self.storages.get(key, 0))
        return Storage(number_type, key, numel)


def _rebuilt_tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> IndexedTensor:
    if not isinstance(storage, Storage) or hooks or metadata or len(shape) != len(stride):
        raise ValueError("a tensor in an unknown form")
    numbers = math.prod(_count(length) for length in shape)
    reach = sum((length - 1) * _count(step) for length, step in zip(shape, stride, strict=True))
    if numbers and (_count(offset) + reach >= storage.numel or numbers > storage.numel):
        raise ValueError(f"a tensor of shape {tuple(shape)} over {storage.numel} stored numbers")
    return IndexedTensor(storage, offset, tuple(shape), tuple(stride))


def _rebuilt_parameter(data: Any, requires_grad: Any, hooks: Any) -> IndexedTensor:
    if not isinstance(data, IndexedTensor) or hooks:
        raise ValueError("a parameter in an unknown form")
    return data


def _ordered_dict() -> OrderedDict[Any, Any]:
    return OrderedDict()


STAND_INS: Mapping[str, Any] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _rebuilt_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuilt_tensor,
    "torch._utils._rebuild_parameter": _rebuilt_parameter,
}


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise ValueError(f"{value!r} where there should be a count")
    return value


def _check_containers(content: Any) -> None:
    """Refuse dictionaries whose own methods are covered up, as a pickle can arrange."""
    seen, waiting = set(), [content]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or not isinstance(value, dict | list | tuple):
            continue
        seen.add(id(value))
        if isinstance(value, OrderedDict) and vars(value).keys() - {"_metadata"}:
            raise ValueError("a dictionary with attributes")
        waiting.extend(value.values() if isinstance(value, dict) else value)
