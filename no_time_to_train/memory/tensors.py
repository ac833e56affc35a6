"""The memory as named tensors: our compact form, and the dense one of the published checkpoints.

Names that the published checkpoints have too mean the same here (their `state_dict` names, without
prefix).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from no_time_to_train.errors import InputError
from no_time_to_train.memory.bank import (
    ClassStatistics,
    MemoryBank,
    ReferenceSummary,
    is_finite,
    summarise,
)


def bank_to_tensors(bank: MemoryBank) -> dict[str, Tensor]:
    """Store a filled bank (stage 1).

    Returns:
        mem_fill_counts (K,), mem_feats_ins_avg and mem_feats_fg_avg (K, S, C), mem_mask_sums and
        mem_fg_counts and mem_patch_counts (K, S), mem_patches (sum of mem_patch_counts, C) float16.
    """
    classes = bank.by_class()
    shots = max(len(references) for references in classes)
    flat = [each for references in classes for each in references]
    rows = torch.tensor(
        [index * shots + slot for index, refs in enumerate(classes) for slot in range(len(refs))]
    )

    def table(values: Tensor) -> Tensor:
        padded = values.new_zeros(len(classes) * shots, *values.shape[1:])
        padded[rows] = values
        return padded.view(len(classes), shots, *values.shape[1:])  # (K, S, ...)

    return {
        "mem_fill_counts": torch.tensor([len(references) for references in classes]),
        "mem_feats_ins_avg": table(torch.stack([each.mean for each in flat])),
        "mem_mask_sums": table(torch.tensor([each.weight for each in flat])),
        "mem_feats_fg_avg": table(torch.stack([each.foreground_mean for each in flat])),
        "mem_fg_counts": table(torch.tensor([each.foreground_count for each in flat])),
        "mem_patch_counts": table(torch.tensor([len(each.patches) for each in flat])),
        "mem_patches": torch.cat([each.patches for each in flat]),
        "mem_postprocessed": torch.tensor(False),
    }


def bank_from_tensors(tensors: Mapping[str, Tensor], most_patches: int) -> MemoryBank:
    """Restore a filled bank.

    Args:
        tensors: As `bank_to_tensors` gives them, or dense: mem_feats (K, S, N, C), mem_masks (K,
            S, N), mem_fill_counts (K,).
        most_patches: Foreground patches kept per reference of a dense memory.

    Raises:
        InputError: Features of a dense memory are not finite.
    """
    counts = tensors["mem_fill_counts"].tolist()
    slots = [(index, slot) for index, count in enumerate(counts) for slot in range(count)]
    if "mem_feats" in tensors:
        bank = MemoryBank()
        for index, slot in slots:
            features = tensors["mem_feats"][index, slot].float()  # (N, C)
            weights = tensors["mem_masks"][index, slot].float()  # (N,)
            summary = summarise(features, weights, most_patches)
            if not is_finite(summary):
                raise InputError(f"mem_feats of reference {slot} of class {index} is not finite")
            bank.add(index, slot, summary)
        return bank
    sizes = [int(tensors["mem_patch_counts"][place]) for place in slots]
    patches = tensors["mem_patches"].split(sizes)
    return MemoryBank(
        {place: _summary(tensors, place, p) for place, p in zip(slots, patches, strict=True)}
    )


def _summary(
    tensors: Mapping[str, Tensor], place: tuple[int, int], patches: Tensor
) -> ReferenceSummary:
    return ReferenceSummary(
        mean=tensors["mem_feats_ins_avg"][place].float(),
        weight=float(tensors["mem_mask_sums"][place]),
        foreground_mean=tensors["mem_feats_fg_avg"][place].float(),
        foreground_count=int(tensors["mem_fg_counts"][place]),
        patches=patches.half(),
    )


def statistics_to_tensors(statistics: ClassStatistics) -> dict[str, Tensor]:
    """Store class statistics (stage 2); what only the pictures read is kept in float16."""
    return {
        "mem_fill_counts": statistics.counts,
        "mem_feats_ins_avg": statistics.instance_means,
        "mem_feats_avg": statistics.class_means,
        "mem_ins_sim_avg": statistics.instance_similarity,
        "mem_feats_centers": statistics.centres.half(),
        "mem_pca_mean": statistics.pca_mean.half(),
        "mem_pca_components": statistics.pca_components.half(),
        "mem_postprocessed": torch.tensor(True),
    }


def statistics_from_tensors(tensors: Mapping[str, Tensor]) -> ClassStatistics:
    """Restore class statistics, ours or published."""
    counts, means = tensors["mem_fill_counts"].long(), tensors["mem_feats_ins_avg"].float()
    # Whatever stands where no reference is: times zero, NaN would stay NaN.
    unused = torch.arange(means.shape[1]) >= counts[:, None]  # (K, S)
    return ClassStatistics(
        counts=counts,
        instance_means=means.masked_fill(unused[..., None], 0),
        class_means=tensors["mem_feats_avg"].float(),
        instance_similarity=tensors["mem_ins_sim_avg"].float(),
        centres=tensors["mem_feats_centers"].float(),
        pca_mean=tensors["mem_pca_mean"].float(),
        pca_components=tensors["mem_pca_components"].float(),
    )
