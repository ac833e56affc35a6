"""Class-agnostic masks from a grid of point prompts."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from no_time_to_train.checkpoint_files import check_checkpoint, check_finite
from no_time_to_train.config import ComputeConfig, ModelConfig
from no_time_to_train.networks import REPAIR, set_compute, weights_errors
from no_time_to_train.preprocessing import normalise, resize_square
from no_time_to_train.structures import Proposals
from sam2 import ImageFeatures, ImageModel, build_sam2

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
        network: ImageModel,
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

    def set_compute(self, compute: ComputeConfig) -> None:
        """Let the network compute in another number format, or compiled; in place."""
        decoder = self.network.sam_mask_decoder
        compiled: list[tuple[nn.Module, bool]] = [
            (self.network.image_encoder, False),
            (decoder.transformer, False),
            (decoder.output_upscaling, True),  # the last few of the kept masks
        ]
        set_compute(compute, self.network, compiled)

    def encode(self, images: Tensor) -> ImageFeatures:
        """Encode images once, for any number of prompts.

        Args:
            images: (B, 3, H, W) float32 in [0, 1], RGB, of any size; resized here.
        """
        inputs = normalise(resize_square(images, self.network.image_size))
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
        logits, ious = self.network.best_masks(
            features, self.points, self.iou_threshold, chunk_size, threads
        )
        filled = logits.flatten(1).amax(dim=1) > 0  # (M,)
        if not filled.all():  # hundreds of megabytes are not copied for nothing
            logits, ious = logits[filled], ious[filled]
        return Proposals(logits, ious)


def build_proposer(config: ModelConfig, image_size: int | None = None) -> PointProposer:
    """Build SAM 2, load its weights and lay out the prompt grid.

    Args:
        image_size: Side of its square input in pixels, by default the preset's.

    Raises:
        WeightsError: The checkpoint is missing, unreadable, of another model, or not finite.
    """
    path = Path(config.sam2_ckpt_path)
    with weights_errors():
        check_checkpoint(path, "the SAM 2 weights", REPAIR)
        network = build_sam2(config.sam2_cfg_file, path, image_size)
        check_finite(network.state_dict().items(), path)
    settings = config.sam2_infer_cfgs
    proposer = PointProposer(
        network,
        settings.points_per_side,
        settings.iou_thr,
        settings.testing_point_bs,
        threaded=not config.compute_cfg.compile,
    )
    proposer.set_compute(config.compute_cfg)
    return proposer
