"""Stage 3 word for word: every mask drawn, features brought to the pixels, nothing left out.

Masks come from SAM 2's plain decoder; the image encoders are those of the product. One class is
tried per mask, as in every published config. arXiv 2507.02798, section 3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms

from no_time_to_train.config import Sam2InferConfig
from no_time_to_train.structures import Prediction
from sam2 import ImageFeatures, Sam2ImageModel


def propose(
    network: Sam2ImageModel, features: ImageFeatures, settings: Sam2InferConfig
) -> tuple[Tensor, Tensor]:
    """The best of masks 1 to 3 of every grid point, (M, h, w) logits, with its IoU, (M,)."""
    assert network.decoder == "plain"
    steps = torch.linspace(0, network.image_size - 1, settings.points_per_side) + 0.5
    logits, ious = network.generate_masks(
        features,
        network.sam_prompt_encoder.points(torch.cartesian_prod(steps, steps)),
        settings.iou_thr,
        settings.testing_point_bs,
    )
    filled = (logits > 0).any(dim=2).any(dim=1)
    return logits[filled], ious[filled]


def mean_features(patches: Tensor, masks: Tensor) -> Tensor:
    """Mean of the upsampled patches (N, C) under each mask (M, h, w), unit length, (M, C)."""
    grid = int(len(patches) ** 0.5)
    image = patches.T.unflatten(1, (grid, grid))[None]  # (1, C, grid, grid)
    pixels = F.interpolate(image, size=masks.shape[-2:], mode="bilinear")[0].flatten(1)  # (C, P)
    weights = masks.flatten(1).to(pixels.dtype)  # (M, P)
    return F.normalize(weights @ pixels.T / weights.sum(dim=1, keepdim=True), dim=1)


def boxes_of(masks: Tensor) -> Tensor:
    """First and last column and row of masks (M, H, W), (M, 4) int64 xyxy."""
    rows = [mask.nonzero() for mask in masks]  # each (P, 2) yx
    corners = [[r[:, 1].min(), r[:, 0].min(), r[:, 1].max(), r[:, 0].max()] for r in rows]
    return torch.tensor(corners, dtype=torch.long).view(-1, 4)


def suppress(logits: Tensor, ious: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Indices that survive suppression within their label, by predicted IoU, best first."""
    boxes = boxes_of(logits > 0).to(ious.device, torch.float32)
    kept = []
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        kept.append(rows[nms(boxes[rows], ious[rows], threshold)])
    survivors = torch.cat([labels[:0], *kept])
    return survivors[ious[survivors].argsort(descending=True, stable=True)]


def decay(masks: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """How much of its score each mask (M, P) keeps, (M,): all pairs, then those of one label."""
    pixels = masks.float()
    shared = pixels @ pixels.T / pixels.sum(dim=1, keepdim=True)  # share of i inside j
    similar = (features @ features.T).clamp(min=0)
    earlier = torch.ones_like(shared).tril(diagonal=-1) * (labels[:, None] == labels[None])
    worst = F.pad(shared * similar * earlier, (1, 0)).amax(dim=1)
    return (1 - worst).clamp(min=0).sqrt()


def merge(
    logits: Tensor,
    ious: Tensor,
    pooled: Tensor,
    prototypes: Tensor,
    size: tuple[int, int],
    settings: Sam2InferConfig,
) -> Prediction:
    """From scored masks (M, h, w) with features (M, C) to instances."""
    scores, labels = (pooled @ prototypes.T).clamp(min=0).max(dim=1)
    kept = suppress(logits, ious, labels, settings.nms_thr)[: 8 * settings.num_out_instance]
    kept = kept[scores[kept] > 0]
    drawn = F.interpolate(logits[kept, None], size=size, mode="bilinear", antialias=True)[:, 0] > 0
    visible = drawn.flatten(1).any(dim=1)
    kept, drawn = kept[visible], drawn[visible]
    final = scores[kept] * decay(drawn.flatten(1), labels[kept], pooled[kept])
    final, order = final.sort(descending=True, stable=True)
    order = order[: settings.num_out_instance]
    return Prediction(
        drawn[order], boxes_of(drawn[order]), final[: len(order)], labels[kept][order]
    )
