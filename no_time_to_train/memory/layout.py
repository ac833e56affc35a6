"""What a memory consists of: the tensors of each kind, their shapes, types and values.

There are three kinds: filled by this code (one summary per reference), filled by the published
code (dense feature maps), and finalised (post-processed), which both codes store alike.

No PyTorch is imported: tensors are looked at as arrays of numpy, of which a reader of files without
PyTorch has nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from no_time_to_train.errors import InputError, listed

PREFIX = "seg_model."
"""Of the names of tensors in a checkpoint."""
INFO_KEY = "no_time_to_train"
"""Of what is known of a memory beside its tensors."""
MAX_FEATURE = float(np.finfo(np.float16).max)
"""As patches are kept in float16; far above every feature that leaves a layer norm."""
MAX_COUNT = 1 << 31
"""Far above the patches of any image."""
MAX_THUMBNAIL_BYTES = 1 << 16
"""Of one; far above those that are written."""

FLOATS = ("float32", "float16", "bfloat16", "float64")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")


class ArrayLike(Protocol):
    """A tensor of PyTorch, or an array of numpy."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths."""

    @property
    def dtype(self) -> Any:
        """Its type of numbers; the last part of the name is the same in both libraries."""


Tensors = Mapping[str, ArrayLike]
"""Those of a memory by name, `mem_...`."""


class Kind(Enum):
    """What stage wrote a memory, and whose."""

    FILLED = "filled"
    DENSE = "filled by the published code"
    FINALISED = "finalised"


class MemorySize(NamedTuple):
    """Classes, references per class, channels of a feature."""

    classes: int
    shots: int
    channels: int


@dataclass(frozen=True)
class Entry:
    """One tensor of a memory."""

    shape: str
    """Lengths by letter: K classes, S shots, C channels, N patches of an image, Q patches kept of
    all references, k cluster centres, n principal components, T bytes of all thumbnails."""
    types: tuple[str, ...] = FLOATS
    min_value: float = -MAX_FEATURE
    max_value: float = MAX_FEATURE
    used: bool = False
    """Whether only the places of references count, of all (K, S)."""
    nan: bool = False
    """Whether NaN may stand for a value that does not exist."""
    read: bool = True
    """Whether the values are looked at here; dense maps are, where they are summarised."""


MASK_SUMS = Entry("KS", min_value=1e-38, max_value=MAX_COUNT, used=True, nan=True)
THUMBNAILS = {
    "mem_thumbnail_sizes": Entry(
        "KS", INTEGERS, min_value=0, max_value=MAX_THUMBNAIL_BYTES, used=True
    ),
    "mem_thumbnails": Entry("T", ("uint8",), min_value=0, max_value=255),
}
"""Bytes of the pictures of references, those of a class one after the other; 0 for one without."""
COMMON = {
    "mem_fill_counts": Entry("K", INTEGERS, min_value=1),
    "mem_feats_ins_avg": Entry("KSC", used=True),
}
LAYOUTS: Mapping[Kind, Mapping[str, Entry]] = {
    Kind.FILLED: COMMON
    | {
        "mem_feats_fg_avg": Entry("KSC", used=True),
        # NaN where they were not kept.
        "mem_mask_sums": MASK_SUMS,
        "mem_fg_counts": Entry("KS", INTEGERS, min_value=1, max_value=MAX_COUNT, used=True),
        "mem_patch_counts": Entry("KS", INTEGERS, min_value=1, max_value=MAX_COUNT, used=True),
        "mem_patches": Entry("QC"),
    },
    Kind.DENSE: COMMON
    | {
        "mem_feats_ins_avg": Entry("KSC", read=False),
        "mem_feats": Entry("KSNC", read=False),
        "mem_masks": Entry("KSN", min_value=0, used=True),
    },
    Kind.FINALISED: COMMON
    | {
        "mem_feats_avg": Entry("KC"),
        # The published code compares the only reference of a class with none.
        "mem_ins_sim_avg": Entry("K", nan=True),
        # NaN for an empty cluster.
        "mem_feats_centers": Entry("KkC", nan=True),
        "mem_pca_mean": Entry("KC"),
        "mem_pca_components": Entry("KnC"),
    },
}
"""The tensors that each kind needs; a memory may hold more, which are not read."""
OPTIONAL: Mapping[Kind, Mapping[str, Entry]] = {
    Kind.FILLED: THUMBNAILS,
    Kind.DENSE: {},
    Kind.FINALISED: THUMBNAILS | {"mem_mask_sums": MASK_SUMS},
}
"""Those that each kind may hold besides, and that are read."""

SUMS = (
    ("mem_patch_counts", "mem_patches", "patches"),
    ("mem_thumbnail_sizes", "mem_thumbnails", "bytes"),
)
"""Numbers by reference, the tensor that is as long as they add up to, and what they count."""


def kind_of(tensors: Tensors) -> Kind:
    """Tell who wrote a memory.

    Raises:
        InputError: `mem_postprocessed` is no truth value.
    """
    flag: ArrayLike = tensors.get("mem_postprocessed", np.array(False))
    if _type(flag) not in ("bool", *INTEGERS) or math.prod(flag.shape) != 1:
        raise InputError(f"mem_postprocessed is {_described(flag)} instead of one truth value")
    if _values(flag).any():
        return Kind.FINALISED
    return Kind.DENSE if "mem_feats" in tensors else Kind.FILLED


def check_layout(tensors: Tensors) -> MemorySize:
    """Compare a memory with the description of its kind.

    Args:
        tensors: By name, `mem_...`.

    Returns:
        Its size.

    Raises:
        InputError: Tensors are missing, or have other shapes, types or values than described.
    """
    layout = _layout_of(tensors)
    missing = sorted(layout.keys() - tensors.keys())
    if missing:
        raise InputError(f"it lacks {', '.join(missing)}")
    lengths: dict[str, int] = {}
    for name, entry in layout.items():
        _check_shape(name, tensors[name], entry, lengths)
    _check_counts(_values(tensors["mem_fill_counts"]), lengths["S"])
    places = places_of(tensors)
    _check_vanished(tensors, places)
    for name, entry in layout.items():
        if entry.read:
            _check_values(name, _values(tensors[name]), entry, places)
    for counts, name, what in SUMS:
        if name in layout:
            _check_sum(tensors, counts, name, what, places)
    return MemorySize(lengths["K"], lengths["S"], lengths["C"])


def _layout_of(tensors: Tensors) -> dict[str, Entry]:
    """The description of a memory: all that it needs, and of the rest what it has."""
    kind = kind_of(tensors)
    optional = {name: entry for name, entry in OPTIONAL[kind].items() if name in tensors}
    if optional.keys() & THUMBNAILS.keys():
        optional |= THUMBNAILS
    return {**LAYOUTS[kind], **optional}


def places_of(tensors: Tensors) -> NDArray[np.bool_]:
    """Which places of a memory hold a reference, (K, S) bool."""
    counts = _values(tensors["mem_fill_counts"])
    places: NDArray[np.bool_] = np.arange(tensors["mem_feats_ins_avg"].shape[1]) < counts[:, None]
    return places


def _values(tensor: ArrayLike) -> NDArray[Any]:
    """Without a copy, unless numpy lacks the type."""
    if _type(tensor) == "bfloat16":
        tensor = tensor.float()  # type: ignore[attr-defined]
    return np.asarray(tensor)


def numbers(tensor: ArrayLike) -> list[Any]:
    """The values of a tensor in lists, as deep as it has dimensions."""
    values: list[Any] = _values(tensor).tolist()
    return values


def _type(tensor: ArrayLike) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _check_shape(name: str, tensor: ArrayLike, entry: Entry, lengths: dict[str, int]) -> None:
    wanted = f"({', '.join(str(lengths.get(letter, letter)) for letter in entry.shape)})"
    fits = len(entry.shape) == len(tensor.shape) and all(
        length > 0 and lengths.setdefault(letter, length) == length
        for letter, length in zip(entry.shape, tensor.shape, strict=True)
    )
    if not fits:
        raise InputError(f"{name} has the shape {tuple(tensor.shape)} instead of {wanted}")
    if _type(tensor) not in entry.types:
        expected = "integers" if entry.types is INTEGERS else "real numbers"
        raise InputError(f"{name} holds {_type(tensor)} instead of {expected}")


def _check_counts(counts: NDArray[Any], shots: int) -> None:
    for index, count in enumerate(counts.tolist()):
        if count == 0:
            raise InputError(f"it has no reference for class {index}")
        if not 0 < count <= shots:
            raise InputError(
                f"mem_fill_counts gives {count} references for class {index}, of {shots} places"
            )


def _check_vanished(tensors: Tensors, places: NDArray[np.bool_]) -> None:
    """Refuse references without any patch.

    The published code stores them: as NaN once finalised, as a mask of zeros before.
    """
    masks = tensors.get("mem_masks")
    if masks is None or tuple(masks.shape[:2]) != places.shape or len(masks.shape) != 3:
        return
    vanished = places & (_values(masks).sum(axis=2, dtype=np.float64) == 0)  # (K, S)
    if kind_of(tensors) is Kind.FINALISED:
        vanished &= np.isnan(_values(tensors["mem_feats_ins_avg"])).any(axis=2)
    if vanished.any():
        found = np.argwhere(vanished).tolist()
        references = [f"reference {slot} of class {index}" for index, slot in found]
        raise InputError(
            f"it holds references whose mask vanished at patch resolution ({listed(references)}), "
            "which makes every score NaN"
        )


def _check_values(name: str, values: NDArray[Any], entry: Entry, places: NDArray[np.bool_]) -> None:
    if entry.used:
        values = values[places]
    if entry.nan:
        values = np.where(np.isnan(values), values.dtype.type(1), values)
    low, high = values.min().item(), values.max().item()  # NaN where there is one
    if entry.min_value <= low and high <= entry.max_value:
        return
    exact = values.astype(np.float64)
    wrong = ~((exact >= entry.min_value) & (exact <= entry.max_value))
    where = np.argwhere(wrong)[0].tolist()
    value = values[tuple(where)].item()
    if entry.used:
        index, slot = np.argwhere(places)[where[0]].tolist()
        at = f" for reference {slot} of class {index}"
    else:
        at = f" for class {where[0]}" if entry.shape.startswith("K") else ""
    raise InputError(f"{name} holds {value:.6g}{at}, which is {_failing(value, entry)}")


def _failing(value: float, entry: Entry) -> str:
    if not math.isfinite(value):
        return "not finite"
    return f"not in {entry.min_value:g} to {entry.max_value:g}"


def _check_sum(
    tensors: Tensors, counts: str, name: str, what: str, places: NDArray[np.bool_]
) -> None:
    counted = int(_values(tensors[counts])[places].sum(dtype=np.int64))
    kept = tensors[name].shape[0]
    if counted != kept:
        raise InputError(f"{counts} gives {counted} {what}, and {name} has {kept}")


def _described(tensor: ArrayLike) -> str:
    return f"a tensor of {_type(tensor)} of shape {tuple(tensor.shape)}"
