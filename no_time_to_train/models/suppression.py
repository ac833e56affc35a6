"""Which candidates a better one of their class covers (stage 3, suppression)."""

from __future__ import annotations

from no_time_to_train.models.mask_ops import mask_boxes
from no_time_to_train.structures import Candidates


def suppress(candidates: Candidates, nms_threshold: float, limit: int) -> Candidates:
    """Non-maximum suppression of boxes within each class, ranked by the quality of proposals.

    Args:
        candidates: In grid order.
        nms_threshold: Box IoU above which the worse candidate goes.
        limit: Most candidates kept.

    Returns:
        Candidates in rank order, those without any similarity dropped after the limit was applied.
    """
    # Two to four seconds of imports that remembering and loading need not pay.
    from torchvision.ops import batched_nms

    proposals, rows = candidates.proposals, candidates.rows
    boxes, ranks = mask_boxes(proposals.logits > 0).float(), proposals.quality.float()
    kept = batched_nms(boxes[rows], ranks[rows], candidates.labels, nms_threshold)[:limit]
    kept = kept[candidates.scores[kept] > 0]
    return candidates[kept]
