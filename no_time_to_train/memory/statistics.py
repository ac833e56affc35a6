"""From patch features to one summary per reference, and from those to classes (stages 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from no_time_to_train.memory.clusters import principal_components, spherical_kmeans
from no_time_to_train.memory.layout import places_of

NAMES = {
    "counts": "mem_fill_counts",
    "instance_means": "mem_feats_ins_avg",
    "class_means": "mem_feats_avg",
    "instance_similarity": "mem_ins_sim_avg",
    "centres": "mem_feats_centers",
    "pca_mean": "mem_pca_mean",
    "pca_components": "mem_pca_components",
}
"""Of tensors in a memory file, by field of `ClassStatistics`."""
FOR_PICTURES = ("centres", "pca_mean", "pca_components")


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

    def is_finite(self) -> bool:
        """Whether there is no NaN in it, no infinity, and nothing that float16 cannot hold."""
        largest = torch.finfo(torch.float16).max
        parts = (self.mean, self.foreground_mean, self.patches)
        return all(bool(part.abs().max() <= largest) for part in parts)  # not so for NaN either


def summarise(features: Tensor, weights: Tensor, max_patches: int) -> ReferenceSummary:
    """Summarise one reference.

    Args:
        features: (N, C) patch features.
        weights: (N,) patch mask, not all zero.
        max_patches: Foreground patches kept; more are sampled evenly.

    Returns:
        The summary, on the CPU.
    """
    foreground = features[weights > 0]  # (Q, C)
    count = len(foreground)
    sample = torch.linspace(0, count - 1, min(count, max_patches)).round().long()
    return ReferenceSummary(
        mean=weighted_mean(features, weights).float().cpu(),
        weight=float(weights.sum()),
        foreground_mean=foreground.mean(dim=0).float().cpu(),
        foreground_count=count,
        patches=foreground[sample.to(foreground.device)].half().cpu(),
    )


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

    @property
    def prototypes(self) -> Tensor:
        """What masks are compared with, (K, C) of unit length."""
        return class_prototypes(self.instance_means, self.counts)

    def to_tensors(self) -> dict[str, Tensor]:
        """By their names in a memory file; what only the pictures read is kept in float16."""
        fields = vars(self)
        tensors = {
            name: fields[field].half() if field in FOR_PICTURES else fields[field]
            for field, name in NAMES.items()
        }
        return tensors | {"mem_postprocessed": torch.tensor(True)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> ClassStatistics:
        """From a memory file, ours or published."""
        fields = {field: tensors[name].float() for field, name in NAMES.items()}
        fields["counts"] = fields["counts"].long()
        # Whatever stands where no reference is: times zero, NaN would stay NaN.
        unused = ~torch.from_numpy(places_of(tensors))[..., None]  # (K, S, 1)
        fields["instance_means"] = fields["instance_means"].masked_fill(unused, 0)
        return cls(**fields)


def class_statistics(
    classes: Sequence[Sequence[ReferenceSummary]], kmeans_k: int, n_components: int, shots: int = 1
) -> ClassStatistics:
    """Finalise references into classes (stage 2).

    Args:
        classes: References by class, at least one each; some may have more than others.
        kmeans_k: Cluster centres per class.
        n_components: Principal components per class.
        shots: Places per class, of which some may stay empty; more where a class needs them.

    Raises:
        ValueError: A class has no reference.
    """
    empty = [str(index) for index, references in enumerate(classes) if not references]
    if empty or not classes:
        raise ValueError(f"classes without references: {', '.join(empty) or 'all'}")
    means = padded(classes, lambda each: each.mean, shots)  # (K, S, C)
    weights = padded(classes, lambda each: each.weight, shots)  # (K, S)
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


def padded(
    classes: Sequence[Sequence[ReferenceSummary]],
    value: Callable[[ReferenceSummary], Tensor | float],
    shots: int,
) -> Tensor:
    """A value of every reference, (K, S, ...); zeros from a class's count on.

    Args:
        classes: References by class, at least one each.
        value: Gives it, of one shape for all references.
        shots: S, or less where a class has more references.
    """
    rows = [torch.stack([torch.as_tensor(value(each)) for each in own]) for own in classes]
    table = pad_sequence(rows, batch_first=True)  # (K, S, ...)
    missing = max(0, shots - table.shape[1])
    return torch.cat([table, table.new_zeros(len(table), missing, *table.shape[2:])], dim=1)


def _similarity(references: Sequence[ReferenceSummary]) -> Tensor:
    return leave_one_out_similarity(
        torch.stack([each.foreground_mean for each in references]),  # (S, C)
        torch.tensor([each.foreground_count for each in references]),  # (S,)
    )


def _picture_statistics(
    references: Sequence[ReferenceSummary], kmeans_k: int, n_components: int
) -> tuple[Tensor, Tensor, Tensor]:
    patches = torch.cat([each.patches for each in references]).float()  # (Q, C)
    return spherical_kmeans(patches, kmeans_k), *principal_components(patches, n_components)


def patch_weights(mask: Tensor, grid: int) -> Tensor:
    """Weight of every patch in the mean of a reference: its mask at patch resolution.

    Args:
        mask: (H, W) float in [0, 1].
        grid: Patches per side.

    Returns:
        (grid * grid,) float in [0, 1], row-major; nearest, so fractional values stay.
    """
    return F.interpolate(mask[None, None], size=(grid, grid), mode="nearest").flatten()


def overlapped_patches(mask: Tensor, grid: int) -> Tensor:
    """Weights for a mask so thin that it vanishes at patch resolution: 1 for each patch it touches.

    Args:
        mask: (H, W) float in [0, 1].
        grid: Patches per side.

    Returns:
        (grid * grid,) float, 0 or 1, row-major.
    """
    return F.adaptive_max_pool2d((mask > 0).float()[None], grid).flatten()


def weighted_mean(features: Tensor, weights: Tensor) -> Tensor:
    """Mean of patch features under a soft mask.

    Args:
        features: (P, C).
        weights: (P,) non-negative, not all zero.

    Returns:
        (C,).
    """
    return weights @ features / weights.sum()


def class_prototypes(instance_means: Tensor, counts: Tensor) -> Tensor:
    """Average the references of each class, to unit length.

    Args:
        instance_means: (K, S, C) mean feature per reference; rows from counts[c] on are unused.
        counts: (K,) references per class, at least 1.

    Returns:
        (K, C) of unit length.
    """
    used = torch.arange(instance_means.shape[1], device=counts.device) < counts[:, None]  # (K, S)
    means = (instance_means * used[..., None]).sum(dim=1) / counts[:, None]  # (K, C)
    return F.normalize(means, dim=1)


def class_average(instance_means: Tensor, weights: Tensor) -> Tensor:
    """Mean over all patches of a class, from the means of its references.

    Args:
        instance_means: (K, S, C).
        weights: (K, S) sum of the patch weights behind each mean; 0 where there is none.

    Returns:
        (K, C).
    """
    return (weights[..., None] * instance_means).sum(dim=1) / weights.sum(dim=1, keepdim=True)


def leave_one_out_similarity(foreground_means: Tensor, counts: Tensor) -> Tensor:
    """How alike the references of one class are: each against the others taken together.

    Args:
        foreground_means: (S, C) mean feature over the patches with any mask on them.
        counts: (S,) number of those patches.

    Returns:
        Scalar in [0, 1], the mean of (cosine + 1) / 2; 1 for a single reference.
    """
    if len(counts) == 1:
        return torch.ones((), device=foreground_means.device)
    sums = foreground_means * counts[:, None]  # (S, C)
    others = sums.sum(dim=0) - sums  # (S, C), a cosine needs no division
    return ((F.cosine_similarity(foreground_means, others, dim=1) + 1) / 2).mean()
