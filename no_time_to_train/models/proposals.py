"""Class-agnostic masks from a grid of point prompts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from no_time_to_train.models.images import imagenet_normalise, resize_square
from no_time_to_train.structures import Proposals
from sam2 import ImageFeatures, Sam2ImageModel

CPU_TOKENS = 32 << 20
"""Bytes that the image tokens of all prompts would take which a thread of a CPU decodes at once: 8
prompts of SAM 2 at 1024 pixels, far more of a small model. Fewer read the weights of the tokens'
layers more often and wait more often for Python, more gain nothing."""


def point_grid(points_per_side: int, image_size: int) -> Tensor:
    """Prompt points, spread evenly over a square image.

    Args:
        points_per_side: Points along each axis.
        image_size: Side of the image in pixels.

    Returns:
        (points_per_side ** 2, 2) float32 (x, y) in pixels; x is the slower axis, so points run
        down the columns first and ties in suppression fall as in the published numbers.
    """
    # The prompt encoder adds another half pixel; the published numbers were made so.
    steps = torch.linspace(0, image_size - 1, points_per_side) + 0.5
    xs, ys = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([xs, ys], dim=-1).reshape(-1, 2)


class PointProposer(nn.Module):
    """SAM 2, prompted with every point of a grid."""

    def __init__(
        self,
        network: Sam2ImageModel,
        points_per_side: int,
        iou_threshold: float,
        chunk_size: int,
        threaded: bool = True,
    ) -> None:
        """Lay out the grid.

        Args:
            network: SAM 2.
            points_per_side: Points along each axis of the grid.
            iou_threshold: Proposals with a predicted IoU at or below it are dropped.
            chunk_size: Prompts decoded at once, at most.
            threaded: Whether a CPU decodes as many chunks side by side as PyTorch has threads;
                compiled networks bring threads of their own.
        """
        super().__init__()
        self.network = network
        self.iou_threshold = iou_threshold
        self.chunk_size = chunk_size
        self.threaded = threaded
        self.points: Tensor
        self.register_buffer(
            "points", point_grid(points_per_side, network.image_size), persistent=False
        )

    def encode(self, images: Tensor) -> ImageFeatures:
        """Encode images once, for any number of prompts.

        Args:
            images: (B, 3, H, W) float32 in [0, 1], RGB, of any size; resized here.
        """
        inputs = imagenet_normalise(resize_square(images, self.network.image_size))
        return self.network.encode(inputs.to(self.network.dtype))

    def propose(self, features: ImageFeatures) -> Proposals:
        """Propose the best mask of every grid point whose predicted IoU passes the threshold.

        Args:
            features: Of one image.

        Returns:
            Proposals in grid order, without those that hold no pixel.
        """
        chunk_size, threads = self.chunk_size, 1
        if self.points.device.type == "cpu":
            threads = torch.get_num_threads() if self.threaded else 1
            tokens = features.embedding
            fitting = CPU_TOKENS // (tokens.numel() * tokens.element_size())
            share = -(-len(self.points) // threads)
            chunk_size = max(1, min(chunk_size, fitting, share))
        prompts = self.network.sam_prompt_encoder.points(self.points)
        logits, ious = self.network.generate_masks(
            features, prompts, self.iou_threshold, chunk_size, threads
        )
        filled = logits.flatten(1).amax(dim=1) > 0  # (M,)
        if not filled.all():  # hundreds of megabytes are not copied for nothing
            logits, ious = logits[filled], ious[filled]
        return Proposals(logits, ious)
