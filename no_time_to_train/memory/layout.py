"""What a memory consists of: the tensors of each kind, their shapes, types and values.

There are three kinds: filled by this code (one summary per reference), filled by the published
code (dense feature maps), and finalised (post-processed), which both codes store alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from no_time_to_train.errors import InputError, listed

MAX_FEATURE = torch.finfo(torch.float16).max
"""As patches are kept in float16; far above every feature that leaves a layer norm."""
MAX_COUNT = 1 << 31
"""Far above the patches of any image."""

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


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
    all references, k cluster centres, n principal components."""
    types: tuple[torch.dtype, ...] = FLOATS
    min_value: float = -MAX_FEATURE
    max_value: float = MAX_FEATURE
    used: bool = False
    """Whether only the places of references count, of all (K, S)."""
    nan: bool = False
    """Whether NaN may stand for a value that does not exist."""
    read: bool = True
    """Whether the values are looked at here; dense maps are, where they are summarised."""


COMMON = {
    "mem_fill_counts": Entry("K", INTEGERS, min_value=1),
    "mem_feats_ins_avg": Entry("KSC", used=True),
}
LAYOUTS: Mapping[Kind, Mapping[str, Entry]] = {
    Kind.FILLED: COMMON
    | {
        "mem_feats_fg_avg": Entry("KSC", used=True),
        "mem_mask_sums": Entry("KS", min_value=1e-38, max_value=MAX_COUNT, used=True),
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


def kind_of(tensors: Mapping[str, Tensor]) -> Kind:
    """Tell who wrote a memory.

    Raises:
        InputError: `mem_postprocessed` is no truth value.
    """
    flag = tensors.get("mem_postprocessed", torch.tensor(False))
    if flag.dtype not in (torch.bool, *INTEGERS) or flag.numel() != 1:
        raise InputError(f"mem_postprocessed is {_described(flag)} instead of one truth value")
    if flag.any():
        return Kind.FINALISED
    return Kind.DENSE if "mem_feats" in tensors else Kind.FILLED


def check_layout(tensors: Mapping[str, Tensor]) -> MemorySize:
    """Compare a memory with the description of its kind.

    Args:
        tensors: By name, `mem_...`.

    Returns:
        Its size.

    Raises:
        InputError: Tensors are missing, or have other shapes, types or values than described.
    """
    layout = LAYOUTS[kind_of(tensors)]
    missing = sorted(layout.keys() - tensors.keys())
    if missing:
        raise InputError(f"it lacks {', '.join(missing)}")
    lengths: dict[str, int] = {}
    for name, entry in layout.items():
        _check_shape(name, tensors[name], entry, lengths)
    _check_counts(tensors["mem_fill_counts"], lengths["S"])
    places = places_of(tensors)
    _check_vanished(tensors, places)
    for name, entry in layout.items():
        if entry.read:
            _check_values(name, tensors[name], entry, places)
    _check_sums(tensors, places)
    return MemorySize(lengths["K"], lengths["S"], lengths["C"])


def places_of(tensors: Mapping[str, Tensor]) -> Tensor:
    """Which places of a memory hold a reference, (K, S) bool."""
    counts = tensors["mem_fill_counts"]
    return torch.arange(tensors["mem_feats_ins_avg"].shape[1]) < counts[:, None]


def _check_shape(name: str, tensor: Tensor, entry: Entry, lengths: dict[str, int]) -> None:
    wanted = f"({', '.join(str(lengths.get(letter, letter)) for letter in entry.shape)})"
    fits = len(entry.shape) == tensor.ndim and all(
        length > 0 and lengths.setdefault(letter, length) == length
        for letter, length in zip(entry.shape, tensor.shape, strict=True)
    )
    if not fits:
        raise InputError(f"{name} has the shape {tuple(tensor.shape)} instead of {wanted}")
    if tensor.dtype not in entry.types:
        expected = "integers" if entry.types is INTEGERS else "real numbers"
        raise InputError(f"{name} holds {tensor.dtype} instead of {expected}")


def _check_counts(counts: Tensor, shots: int) -> None:
    for index, count in enumerate(counts.tolist()):
        if count == 0:
            raise InputError(f"it has no reference for class {index}")
        if not 0 < count <= shots:
            raise InputError(
                f"mem_fill_counts gives {count} references for class {index}, of {shots} places"
            )


def _check_vanished(tensors: Mapping[str, Tensor], places: Tensor) -> None:
    """Refuse references without any patch.

    The published code stores them: as NaN once finalised, as a mask of zeros before.
    """
    masks = tensors.get("mem_masks")
    if masks is None or masks.shape[:2] != places.shape or masks.ndim != 3:
        return
    vanished = places & (masks.sum(dim=2) == 0)  # (K, S)
    if kind_of(tensors) is Kind.FINALISED:
        vanished &= tensors["mem_feats_ins_avg"].isnan().any(dim=2)
    if vanished.any():
        found = vanished.nonzero().tolist()
        references = [f"reference {slot} of class {index}" for index, slot in found]
        raise InputError(
            f"it holds references whose mask vanished at patch resolution ({listed(references)}), "
            "which makes every score NaN"
        )


def _check_values(name: str, tensor: Tensor, entry: Entry, places: Tensor) -> None:
    values = tensor[places] if entry.used else tensor
    if entry.nan:
        values = values.masked_fill(values.isnan(), 0)
    low, high = (bound.item() for bound in torch.aminmax(values))  # NaN where there is one
    if entry.min_value <= low and high <= entry.max_value:
        return
    exact = values.double()
    wrong = ~((exact >= entry.min_value) & (exact <= entry.max_value))
    where = wrong.nonzero()[0].tolist()
    value = values[tuple(where)].item()
    if entry.used:
        index, slot = places.nonzero()[where[0]].tolist()
        at = f" for reference {slot} of class {index}"
    else:
        at = f" for class {where[0]}" if entry.shape.startswith("K") else ""
    raise InputError(f"{name} holds {value:.6g}{at}, which is {_failing(value, entry)}")


def _failing(value: float, entry: Entry) -> str:
    if not math.isfinite(value):
        return "not finite"
    return f"not in {entry.min_value:g} to {entry.max_value:g}"


def _check_sums(tensors: Mapping[str, Tensor], places: Tensor) -> None:
    if kind_of(tensors) is not Kind.FILLED:
        return
    counted = int(tensors["mem_patch_counts"][places].long().sum())
    if counted != len(tensors["mem_patches"]):
        raise InputError(
            f"mem_patch_counts gives {counted} patches, and mem_patches has "
            f"{len(tensors['mem_patches'])}"
        )


def _described(tensor: Tensor) -> str:
    return f"a tensor of {tensor.dtype} of shape {tuple(tensor.shape)}"
