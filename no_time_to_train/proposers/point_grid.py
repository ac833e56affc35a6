"""Class-agnostic masks from a grid of point prompts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from no_time_to_train.config import ComputeConfig, ModelConfig
from no_time_to_train.proposers.proposal_file import Images
from no_time_to_train.proposers.sam2_network import (
    encode_images,
    load_sam2,
    prompts_at_once,
    set_sam2_compute,
    without_empty,
)
from no_time_to_train.structures import Proposals, Target
from sam2 import ImageFeatures, Sam2ImageModel


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

    @property
    def image_size(self) -> int:
        """Side in pixels of SAM 2's square input."""
        return self.network.image_size

    @property
    def best_score(self) -> float:
        """Best predicted IoU so far, also of masks that were dropped."""
        return float(self.network.best_iou or 0)

    def set_compute(self, compute: ComputeConfig) -> None:
        """Let the network compute in another number format, or compiled; in place."""
        set_sam2_compute(compute, self.network)

    def encode(self, images: Tensor, targets: Sequence[Target]) -> ImageFeatures:
        """Encode images once, for all prompts; see `Proposer`."""
        return encode_images(self.network, images)

    def propose(self, features: ImageFeatures) -> Proposals:
        """Propose the best mask of every grid point whose predicted IoU passes the threshold.

        Args:
            features: Of one image.

        Returns:
            Proposals in grid order, without those that hold no pixel.
        """
        chunk_size, threads = prompts_at_once(features, self.chunk_size), 1
        if self.points.device.type == "cpu":
            threads = torch.get_num_threads() if self.threaded else 1
            chunk_size = min(chunk_size, -(-len(self.points) // threads))
        prompts = self.network.sam_prompt_encoder.points(self.points)
        logits, ious = self.network.generate_masks(
            features, prompts, self.iou_threshold, chunk_size, threads
        )
        return without_empty(logits, ious)


def build_point_grid(
    config: ModelConfig, image_size: int | None = None, images: Images = None
) -> PointProposer:
    """Build SAM 2, load its weights and lay out the prompt grid; see `build_proposer`."""
    settings = config.sam2_infer_cfgs
    return PointProposer(
        load_sam2(config, image_size),
        settings.points_per_side,
        settings.iou_thr,
        settings.testing_point_bs,
        threaded=not config.compute_cfg.compile,
    )
