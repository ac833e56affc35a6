"""Lower scores of masks that better ones of their class cover (stage 3, merging).

With masks M_1, M_2, ... of one class, best predicted IoU first, the overlap of mask i with a better
mask j < i is w_ij = |M_i and M_j| / |M_i|, and v_i = max_j w_ij. What becomes of a score s_i:

    semantic_soft   s_i * sqrt(1 - max_j w_ij * max(0, cos(f_i, f_j))), f mean features
    soft            s_i * sqrt(1 - v_i)
    hard            0 where v_i >= threshold, the mask lies in a better one; else s_i
    diffusion       s_i * max(0, 1 - pi_i) ^ power, pi = alpha * P pi + (1 - alpha) * v

Soft and hard merging: arXiv 2507.02798, section 3. Diffusion: FSOD-VFM, a later work built upon it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from no_time_to_train.config import DiffusionConfig, Sam2InferConfig
from no_time_to_train.errors import InputError
from no_time_to_train.models.mask_ops import intersections

Rescorer = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""From masks (M, H, W) bool, non-empty, best predicted IoU first, boxes (M, 4) xyxy with inclusive
corners, beyond which each mask is empty, labels (M,), features (M, C) of unit length and scores
(M,) to scores (M,)."""

MAX_SUPPRESSION = 1e30
"""Far beyond the 1 at which a score is 0 already; keeps sums of suppressions finite."""


@dataclass(frozen=True)
class OverlapRescorer:
    """Multiplies scores with factors that depend on overlaps within the class alone."""

    decay: Callable[[Tensor], Tensor]
    """From the overlaps w (n, n), below the diagonal, to factors in [0, 1], (n,)."""
    semantic: bool = False
    """Whether an overlap counts in proportion to max(0, cosine) of both masks' features."""

    def __call__(
        self, masks: Tensor, boxes: Tensor, labels: Tensor, features: Tensor, scores: Tensor
    ) -> Tensor:
        """See `Rescorer`."""
        factors = torch.ones(len(masks), dtype=features.dtype, device=masks.device)
        for rows in _classes_with_overlap(labels):
            overlaps = overlap_matrix(masks[rows], boxes[rows]).to(features.dtype)  # (n, n)
            if self.semantic:
                overlaps = overlaps * (features[rows] @ features[rows].T).clamp(min=0)
            factors[rows] = self.decay(overlaps)
        return scores * factors


def overlap_matrix(masks: Tensor, boxes: Tensor) -> Tensor:
    """Share of each mask that lies inside each better one.

    Args:
        masks: (M, H, W) bool, non-empty, best first.
        boxes: (M, 4) xyxy, corners inclusive, beyond which each mask is empty.

    Returns:
        w (M, M) float64 in [0, 1], 0 on the diagonal and above.
    """
    shared = intersections(masks, boxes)  # (M, M)
    return torch.tril(shared / shared.diagonal()[:, None], diagonal=-1)


def _classes_with_overlap(labels: Tensor) -> list[Tensor]:
    """Of each label that several rows have, those rows in order."""
    rows_of: dict[int, list[int]] = {}
    for row, label in enumerate(labels.tolist()):
        rows_of.setdefault(label, []).append(row)
    several = (rows for rows in rows_of.values() if len(rows) > 1)
    return [torch.tensor(rows, device=labels.device) for rows in several]


def soft_decay(overlaps: Tensor) -> Tensor:
    """Factors (n,) of soft merging from overlaps (n, n)."""
    # Two identical masks can give 1 - 1.0000001 < 0, whose square root is NaN.
    return (1 - overlaps.amax(dim=1)).clamp(min=0).sqrt()


def hard_decay(overlaps: Tensor, threshold: float) -> Tensor:
    """Factors (n,), 0 for masks of which that share lies in a better one, from overlaps (n, n)."""
    return (overlaps.amax(dim=1) < threshold).to(overlaps.dtype)


def diffusion_decay(overlaps: Tensor, alpha: float, power: float, normalise: bool) -> Tensor:
    """Factors (n,) of graph diffusion from overlaps (n, n).

    The overlaps are those with better masks alone, so the limit of the diffusion needs no
    iteration: pi_i = (1 - alpha) v_i + alpha * sum_{j < i} P_ij pi_j, one pass in rank order.

    Args:
        overlaps: w, below the diagonal.
        alpha: Share of the suppression that comes from the suppression of better masks.
        power: Of the factor, lambda in the paper.
        normalise: Whether P is w with rows of sum 1 (the paper), or w itself (the released code).
    """
    graph = overlaps.double().cpu()  # (n, n)
    suppression = (1 - alpha) * graph.amax(dim=1)  # (n,)
    if normalise:
        graph = graph / graph.sum(dim=1, keepdim=True).clamp(min=torch.finfo(graph.dtype).tiny)
    for row in range(1, len(graph)):
        suppression[row] += alpha * graph[row, :row] @ suppression[:row]
        suppression[row].clamp_(max=MAX_SUPPRESSION)
    return (1 - suppression).clamp(min=0).pow(power).to(overlaps)


def _diffusion(settings: DiffusionConfig) -> OverlapRescorer:
    decay = partial(
        diffusion_decay,
        alpha=settings.alpha,
        power=settings.power,
        normalise=settings.normalise,
    )
    return OverlapRescorer(decay, settings.semantic)


RESCORERS: dict[str, Callable[[Sam2InferConfig], Rescorer]] = {
    "semantic_soft": lambda settings: OverlapRescorer(soft_decay, semantic=True),
    "soft": lambda settings: OverlapRescorer(soft_decay),
    "hard": lambda settings: OverlapRescorer(partial(hard_decay, threshold=settings.hard_thr)),
    "diffusion": lambda settings: _diffusion(settings.diffusion),
}
"""How `sam2_infer_cfgs.merging` builds what it names."""


def build_rescorer(settings: Sam2InferConfig) -> Rescorer:
    """Build what `settings.merging` names.

    Raises:
        InputError: There is no rescorer of that name.
    """
    if settings.merging not in RESCORERS:
        raise InputError(
            f"sam2_infer_cfgs.merging must be one of {', '.join(RESCORERS)}, "
            f"got {settings.merging!r}"
        )
    return RESCORERS[settings.merging](settings)
