"""The reference memory: what is kept of each reference, and what a class amounts to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from no_time_to_train.memory.clusters import principal_components, spherical_kmeans
from no_time_to_train.memory.prototypes import (
    class_average,
    leave_one_out_similarity,
    weighted_mean,
)

BLOCK_BYTES = 32 << 20
"""Size of the blocks in which a bank keeps what it holds."""


@dataclass(frozen=True)
class ReferenceSummary:
    """What the later stages read of one reference; its dense feature map is not kept."""

    mean: Tensor
    """(C,) mean patch feature, weighted by the patch mask."""
    weight: float
    """Sum of the patch mask."""
    foreground_mean: Tensor
    """(C,) unweighted mean over the patches with any mask on them."""
    foreground_count: int
    """Number of those patches."""
    patches: Tensor
    """(Q, C) float16: those patches, or an even sample of them, for the pictures."""

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to other ranks; a view would bring along the block that it is a view of."""
        return {
            name: value.clone() if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }


def summarise(features: Tensor, weights: Tensor, most_patches: int) -> ReferenceSummary:
    """Condense one reference.

    Args:
        features: (N, C) patch features.
        weights: (N,) patch mask, not all zero.
        most_patches: Foreground patches kept; more are sampled evenly.

    Returns:
        The summary, on the CPU.
    """
    foreground = features[weights > 0]  # (Q, C)
    count = len(foreground)
    sample = torch.linspace(0, count - 1, min(count, most_patches)).round().long()
    return ReferenceSummary(
        mean=weighted_mean(features, weights).float().cpu(),
        weight=float(weights.sum()),
        foreground_mean=foreground.mean(dim=0).float().cpu(),
        foreground_count=count,
        patches=foreground[sample.to(foreground.device)].half().cpu(),
    )


def is_finite(summary: ReferenceSummary) -> bool:
    """Whether there is no NaN in it, no infinity, and nothing that float16 cannot hold."""
    most = torch.finfo(torch.float16).max
    parts = (summary.mean, summary.foreground_mean, summary.patches)
    return all(bool(values.abs().max() <= most) for values in parts)  # not so for NaN either


class Arena:
    """Keeps many small tensors in few large blocks.

    Small tensors that stay, made between the encoder's large ones that go, would lie scattered over
    the heap and keep the holes between them from being used: 15 GB for 12,030 references.
    """

    def __init__(self) -> None:
        self.free: dict[torch.dtype, Tensor] = {}

    @torch.inference_mode()
    def keep(self, tensor: Tensor) -> Tensor:
        """Copy a tensor to where it can stay, and give the copy."""
        size = tensor.numel()
        free = self.free.get(tensor.dtype, tensor.new_empty(0))
        if len(free) < size:
            free = tensor.new_empty(max(size, BLOCK_BYTES // tensor.element_size()))
        self.free[tensor.dtype] = free[size:]
        return free[:size].view(tensor.shape).copy_(tensor)


class MemoryBank:
    """Summaries by class and slot; the order in which they arrive does not matter.

    Args:
        summaries: What it holds already; not copied.
    """

    def __init__(self, summaries: Mapping[tuple[int, int], ReferenceSummary] | None = None) -> None:
        self.summaries = dict(summaries or {})
        self._arena = Arena()

    def add(self, class_index: int, slot: int, summary: ReferenceSummary) -> None:
        """Copy one reference into its place; the same place again replaces it."""
        self.summaries[class_index, slot] = replace(
            summary,
            mean=self._arena.keep(summary.mean),
            foreground_mean=self._arena.keep(summary.foreground_mean),
            patches=self._arena.keep(summary.patches),
        )

    def references_of(self, class_index: int) -> list[ReferenceSummary]:
        """References of one class, in slot order."""
        slots = sorted(slot for index, slot in self.summaries if index == class_index)
        return [self.summaries[class_index, slot] for slot in slots]

    def by_class(self) -> list[list[ReferenceSummary]]:
        """References of every class up to the highest class index, each in slot order."""
        count = 1 + max((index for index, _ in self.summaries), default=-1)
        classes: list[list[ReferenceSummary]] = [[] for _ in range(count)]
        for index, slot in sorted(self.summaries):
            classes[index].append(self.summaries[index, slot])
        return classes


@dataclass(frozen=True)
class ClassStatistics:
    """What stage 3 and the pictures read; arXiv 2507.02798, section 3."""

    counts: Tensor
    """(K,) int64 references per class."""
    instance_means: Tensor
    """(K, S, C) mean feature per reference; zeros from a class's count on."""
    class_means: Tensor
    """(K, C) mean over all foreground patches of a class, weighted by the patch masks."""
    instance_similarity: Tensor
    """(K,) how alike the references of a class are, in [0, 1]."""
    centres: Tensor
    """(K, k, C) k-means centres of the foreground patches, unit length."""
    pca_mean: Tensor
    """(K, C) mean of the foreground patches."""
    pca_components: Tensor
    """(K, n, C) principal components of the foreground patches."""


def class_statistics(bank: MemoryBank, kmeans_k: int, n_components: int) -> ClassStatistics:
    """Condense a filled bank (stage 2).

    Args:
        bank: At least one reference per class.
        kmeans_k: Cluster centres per class.
        n_components: Principal components per class.

    Raises:
        ValueError: A class has no reference.
    """
    classes = bank.by_class()
    empty = [str(index) for index, references in enumerate(classes) if not references]
    if empty or not classes:
        raise ValueError(f"classes without references: {', '.join(empty) or 'all'}")
    means, weights = _padded_means(classes)
    pictures = [_picture_statistics(references, kmeans_k, n_components) for references in classes]
    return ClassStatistics(
        counts=torch.tensor([len(references) for references in classes]),
        instance_means=means,
        class_means=class_average(means, weights),
        instance_similarity=torch.stack([_similarity(references) for references in classes]),
        centres=torch.stack([centres for centres, _, _ in pictures]),
        pca_mean=torch.stack([mean for _, mean, _ in pictures]),
        pca_components=torch.stack([components for _, _, components in pictures]),
    )


def _padded_means(classes: list[list[ReferenceSummary]]) -> tuple[Tensor, Tensor]:
    longest = max(len(references) for references in classes)
    width = len(classes[0][0].mean)
    means = torch.zeros(len(classes), longest, width)  # (K, S, C)
    weights = torch.zeros(len(classes), longest)  # (K, S)
    for index, references in enumerate(classes):
        means[index, : len(references)] = torch.stack([each.mean for each in references])
        weights[index, : len(references)] = torch.tensor([each.weight for each in references])
    return means, weights


def _similarity(references: list[ReferenceSummary]) -> Tensor:
    return leave_one_out_similarity(
        torch.stack([each.foreground_mean for each in references]),  # (S, C)
        torch.tensor([each.foreground_count for each in references]),  # (S,)
    )


def _picture_statistics(
    references: list[ReferenceSummary], kmeans_k: int, n_components: int
) -> tuple[Tensor, Tensor, Tensor]:
    patches = torch.cat([each.patches for each in references]).float()  # (Q, C)
    return spherical_kmeans(patches, kmeans_k), *principal_components(patches, n_components)
