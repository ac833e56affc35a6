"""The references of a memory as tensors of its file, and back.

A finalised memory keeps the mean, the weight and the thumbnail of every reference. That is enough
to make prototypes and means of any classes of these references. Their patches are gone; only the
pictures of vis_memory and the similarity within a class were made of those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from no_time_to_train.errors import InputError
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.layout import MAX_COUNT, MAX_FEATURE, places_of
from no_time_to_train.memory.references import ReferenceSummary, summarise
from no_time_to_train.memory.statistics import ClassStatistics, FinalisedClass, padded
from no_time_to_train.memory.thumbnails import split_thumbnails

References = dict[tuple[int, int], ReferenceSummary]
"""By class index and slot."""


def references_to_tensors(memory: Memory) -> dict[str, Tensor]:
    """The references of a memory (stage 1).

    Returns:
        mem_fill_counts (K,), mem_feats_ins_avg and mem_feats_fg_avg (K, S, C), mem_mask_sums and
        mem_fg_counts and mem_patch_counts (K, S), mem_patches (sum of mem_patch_counts, C) float16,
        and thumbnails.
    """
    classes = memory.by_class()
    return {
        "mem_fill_counts": torch.tensor([len(references) for references in classes]),
        "mem_feats_ins_avg": _table(memory, lambda each: each.mean),
        "mem_mask_sums": _table(memory, lambda each: each.weight),
        "mem_feats_fg_avg": _table(memory, lambda each: each.foreground_mean),
        "mem_fg_counts": _table(memory, lambda each: each.foreground_count),
        "mem_patch_counts": _table(memory, lambda each: len(each.patches)),
        "mem_patches": torch.cat([each.patches for own in classes for each in own]),
        "mem_postprocessed": torch.tensor(False),
    } | _thumbnail_tensors(memory)


def classes_to_tensors(memory: Memory) -> dict[str, Tensor]:
    """The classes of a finalised memory (stage 2), and what is kept of their references.

    Returns:
        The statistics, mem_mask_sums (K, S), and thumbnails.
    """
    weights = {"mem_mask_sums": _table(memory, lambda each: each.weight)}
    return memory.statistics.to_tensors() | weights | _thumbnail_tensors(memory)


def _table(memory: Memory, value: Callable[[ReferenceSummary], Tensor | float]) -> Tensor:
    return padded(memory.by_class(), value, memory.shots)


def _thumbnail_tensors(memory: Memory) -> dict[str, Tensor]:
    """mem_thumbnail_sizes (K, S), mem_thumbnails (sum of them,) uint8; none where there are none.

    A place in the file for each of thousands of tensors would take more than the pictures do.
    """
    content = b"".join(each.thumbnail or b"" for own in memory.by_class() for each in own)
    if not content:
        return {}
    return {
        "mem_thumbnail_sizes": _table(memory, lambda each: len(each.thumbnail or b"")),
        "mem_thumbnails": torch.from_numpy(np.frombuffer(content, np.uint8).copy()),
    }


def filled_references(tensors: Mapping[str, Tensor]) -> References:
    """Of a memory that was filled."""
    places = _places(tensors)
    sizes = [int(tensors["mem_patch_counts"][place]) for place in places]
    patches = tensors["mem_patches"].split(sizes)
    thumbnails = _thumbnails(tensors)
    return {
        place: ReferenceSummary(
            mean=tensors["mem_feats_ins_avg"][place].float(),
            weight=float(tensors["mem_mask_sums"][place]),
            foreground_mean=tensors["mem_feats_fg_avg"][place].float(),
            foreground_count=int(tensors["mem_fg_counts"][place]),
            patches=own.half(),
            thumbnail=thumbnails[place],
        )
        for place, own in zip(places, patches, strict=True)
    }


def dense_references(
    tensors: Mapping[str, Tensor], max_patches: int
) -> Iterator[tuple[tuple[int, int], ReferenceSummary]]:
    """Summaries of dense feature maps, mem_feats (K, S, N, C) under mem_masks (K, S, N).

    Args:
        tensors: Of a memory that the published code has filled.
        max_patches: Foreground patches kept per reference.

    Raises:
        InputError: Features are not finite.
    """
    for index, slot in _places(tensors):
        features = tensors["mem_feats"][index, slot].float()  # (N, C)
        weights = tensors["mem_masks"][index, slot].float()  # (N,)
        summary = summarise(features, weights, max_patches)
        if not summary.is_finite():
            raise InputError(f"mem_feats of reference {slot} of class {index} is not finite")
        yield (index, slot), summary


def condensed_references(tensors: Mapping[str, Tensor], statistics: ClassStatistics) -> References:
    """Of a finalised memory, whose patches are gone.

    Where they are needed, because their class has changed, something else stands in for them: for
    the patches of a reference, the cluster centres of its class; for the mean of the patches that
    its mask touches, the mean under its mask. So a class that has gained references gets centres,
    components and a similarity that are about those of a class filled anew; its prototype and its
    mean are exact.

    Args:
        tensors: Of the memory.
        statistics: The same as classes.
    """
    weights, thumbnails = _weights(tensors), _thumbnails(tensors)
    count = len(statistics.counts)
    patches = [_stand_in_patches(statistics.of_class(index)) for index in range(count)]
    return {
        (index, slot): ReferenceSummary(
            mean=statistics.instance_means[index, slot],
            weight=weights[index][slot],
            foreground_mean=statistics.instance_means[index, slot],
            foreground_count=max(1, round(np.nan_to_num(weights[index][slot], nan=1))),
            patches=patches[index],
            thumbnail=thumbnails[index, slot],
        )
        for index, slot in _places(tensors)
    }


def _stand_in_patches(finalised: FinalisedClass) -> Tensor:
    """The cluster centres of a class, as long as its mean patch, (up to k, C) float16."""
    centres = finalised.centres[finalised.centres.isfinite().all(dim=1)]  # NaN: an empty cluster
    if not len(centres):
        return finalised.pca_mean[None].half()
    patches: Tensor = centres * finalised.pca_mean.norm()
    return patches.clamp(-MAX_FEATURE, MAX_FEATURE).half()


def _weights(tensors: Mapping[str, Tensor]) -> list[list[float]]:
    """Sums of the patch masks, (K, S); NaN where a file does not tell."""
    shape = tuple(tensors["mem_feats_ins_avg"].shape[:2])
    masks = tensors.get("mem_masks")
    if "mem_mask_sums" in tensors:
        sums = tensors["mem_mask_sums"].double()
    elif masks is not None and tuple(masks.shape[:2]) == shape and masks.ndim == 3:
        sums = masks.double().sum(dim=2)  # published files keep the masks
    else:
        sums = torch.full(shape, math.nan, dtype=torch.float64)
    usable = (sums > 0) & (sums <= MAX_COUNT)
    weights: list[list[float]] = sums.where(usable, math.nan).tolist()
    return weights


def _thumbnails(tensors: Mapping[str, Tensor]) -> dict[tuple[int, int], bytes | None]:
    by_class = split_thumbnails(tensors)
    return {place: by_class[place[0]][place[1]] for place in _places(tensors)}


def _places(tensors: Mapping[str, Tensor]) -> list[tuple[int, int]]:
    return [(int(index), int(slot)) for index, slot in np.argwhere(places_of(tensors))]
