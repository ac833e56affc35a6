"""From the references of a memory to its classes (stage 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from no_time_to_train.memory.clusters import principal_components, spherical_kmeans
from no_time_to_train.memory.layout import places_of
from no_time_to_train.memory.references import ReferenceSummary, weighted_mean

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
class FinalisedClass:
    """What finalising makes of the references of one class, besides its prototype."""

    mean: Tensor
    """(C,) mean over all foreground patches, weighted by the patch masks."""
    similarity: Tensor
    """() how alike the references are, in [0, 1]."""
    centres: Tensor
    """(k, C) k-means centres of the foreground patches, unit length."""
    pca_mean: Tensor
    """(C,) mean of the foreground patches."""
    pca_components: Tensor
    """(n, C) principal components of the foreground patches."""

    @property
    def picture_sizes(self) -> tuple[int, int]:
        """Number of centres and of components."""
        return len(self.centres), len(self.pca_components)


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

    @property
    def picture_sizes(self) -> tuple[int, int]:
        """Number of centres and of components, of every class."""
        return self.centres.shape[1], self.pca_components.shape[1]

    def of_class(self, index: int) -> FinalisedClass:
        """What was made of one class."""
        return FinalisedClass(
            self.class_means[index],
            self.instance_similarity[index],
            self.centres[index],
            self.pca_mean[index],
            self.pca_components[index],
        )

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
    classes: Sequence[Sequence[ReferenceSummary]],
    kmeans_k: int,
    n_components: int,
    shots: int = 1,
    known: Mapping[int, FinalisedClass] | None = None,
) -> ClassStatistics:
    """Finalise references into classes (stage 2).

    Args:
        classes: References by class, at least one each; some may have more than others.
        kmeans_k: Cluster centres per class.
        n_components: Principal components per class.
        shots: Places per class, of which some may stay empty; more where a class needs them.
        known: By class index, what was made of just these references before.

    Raises:
        ValueError: A class has no reference.
    """
    empty = [str(index) for index, references in enumerate(classes) if not references]
    if empty or not classes:
        raise ValueError(f"classes without references: {', '.join(empty) or 'all'}")
    rows = [
        finalise_class(references, kmeans_k, n_components, (known or {}).get(index))
        for index, references in enumerate(classes)
    ]
    return ClassStatistics(
        counts=torch.tensor([len(references) for references in classes]),
        instance_means=padded(classes, lambda each: each.mean, shots),  # (K, S, C)
        class_means=torch.stack([row.mean for row in rows]),
        instance_similarity=torch.stack([row.similarity for row in rows]),
        centres=torch.stack([row.centres for row in rows]),
        pca_mean=torch.stack([row.pca_mean for row in rows]),
        pca_components=torch.stack([row.pca_components for row in rows]),
    )


def finalise_class(
    references: Sequence[ReferenceSummary],
    kmeans_k: int,
    n_components: int,
    known: FinalisedClass | None = None,
) -> FinalisedClass:
    """Finalise the references of one class.

    Args:
        references: At least one.
        kmeans_k: Cluster centres.
        n_components: Principal components.
        known: What was made of them before, which stays, except for another number of centres or
            components.
    """
    if known is not None and known.picture_sizes == (kmeans_k, n_components):
        return known
    patches = torch.cat([each.patches for each in references]).float()  # (Q, C)
    return FinalisedClass(
        _average(references) if known is None else known.mean,
        _similarity(references) if known is None else known.similarity,
        spherical_kmeans(patches, kmeans_k),
        *principal_components(patches, n_components),
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


def _average(references: Sequence[ReferenceSummary]) -> Tensor:
    return class_average(
        torch.stack([each.mean for each in references]),  # (S, C)
        torch.tensor([each.weight for each in references]),  # (S,)
    )


def _similarity(references: Sequence[ReferenceSummary]) -> Tensor:
    return leave_one_out_similarity(
        torch.stack([each.foreground_mean for each in references]),  # (S, C)
        torch.tensor([each.foreground_count for each in references]),  # (S,)
    )


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
        instance_means: (S, C).
        weights: (S,) sum of the patch weights behind each mean; NaN where it is not known, which
            counts as much as the others do on average.

    Returns:
        (C,).
    """
    known = weights[~weights.isnan()]
    usual = float(known.mean()) if len(known) else 1.0
    return weighted_mean(instance_means, weights.nan_to_num(nan=usual))


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
