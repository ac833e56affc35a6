"""What proposers with SAM 2 share: its weights, its input, its number format."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from no_time_to_train.checkpoint_files import check_finite
from no_time_to_train.checkpoint_index import check_checkpoint
from no_time_to_train.config import ComputeConfig, ModelConfig
from no_time_to_train.networks import REPAIR, set_compute, weights_errors
from no_time_to_train.preprocessing import imagenet_normalise, resize_square
from no_time_to_train.structures import Proposals
from sam2 import ImageFeatures, Sam2ImageModel, build_sam2

ALL = -1.0
"""A threshold that every predicted IoU passes."""
CPU_TOKENS = 32 << 20
"""Bytes that the image tokens of all prompts would take which a thread of a CPU decodes at once: 8
prompts of SAM 2 at 1024 pixels, far more of a small model. Fewer read the weights of the tokens'
layers more often and wait more often for Python, more gain nothing."""


def load_sam2(config: ModelConfig, image_size: int | None = None) -> Sam2ImageModel:
    """Build SAM 2 and load its weights.

    Args:
        config: Preset, checkpoint and number format.
        image_size: Side of its square input in pixels, by default the preset's.

    Raises:
        WeightsError: The checkpoint is missing, unreadable, of another model, or not finite.
    """
    path = Path(config.sam2_ckpt_path)
    with weights_errors():
        check_checkpoint(path, "the SAM 2 weights", REPAIR)
        network = build_sam2(config.sam2_cfg_file, path, image_size, config.compute_cfg.decoder)
        check_finite(network.state_dict().items(), path)
    set_sam2_compute(config.compute_cfg, network)
    return network


def set_sam2_compute(compute: ComputeConfig, network: Sam2ImageModel) -> None:
    """Let SAM 2 compute in another number format, or compiled; in place."""
    set_compute(compute, network, network.compile_parts)


def encode_images(network: Sam2ImageModel, images: Tensor) -> ImageFeatures:
    """Encode images once, for any number of prompts.

    Args:
        network: SAM 2.
        images: (B, 3, H, W) float32 in [0, 1], RGB, of any size; resized here.
    """
    inputs = imagenet_normalise(resize_square(images, network.image_size))
    return network.encode(inputs.to(network.dtype))


def prompts_at_once(features: ImageFeatures, wanted: int) -> int:
    """How many prompts to decode at once: as many as are wanted on a GPU, fewer on a CPU.

    Args:
        features: Of one image.
        wanted: At most.
    """
    tokens = features.embedding
    if tokens.device.type != "cpu":
        return wanted
    return max(1, min(wanted, CPU_TOKENS // (tokens.numel() * tokens.element_size())))


def draw_boxes(
    network: Sam2ImageModel,
    features: ImageFeatures,
    boxes: Tensor,
    size: tuple[int, int],
    chunk_size: int,
) -> Tensor:
    """Draw what is in each box: of SAM 2's four masks the one meant for a prompt without doubt.

    Args:
        network: SAM 2.
        features: Of one image.
        boxes: (P, 4) float32 xyxy in pixels of the image.
        size: (height, width) of the image in pixels; it is squeezed into the square input.
        chunk_size: Boxes decoded at once.

    Returns:
        (P, h, w) mask logits, positive inside.
    """
    side, (height, width) = network.image_size, size
    scale = side / torch.tensor([width, height] * 2, dtype=torch.float32)
    if not len(boxes):
        return features.embedding.new_empty(0, network.mask_size, network.mask_size)
    prompts = network.sam_prompt_encoder.boxes((boxes * scale).to(features.embedding.device))
    logits, _ = network.generate_masks(features, prompts, ALL, chunk_size, multimask_output=False)
    return logits


def without_empty(logits: Tensor, scores: Tensor) -> Proposals:
    """Proposals from mask logits (M, h, w) and scores (M,), without masks that hold no pixel."""
    filled = logits.flatten(1).amax(dim=1) > 0  # (M,)
    if not filled.all():  # hundreds of megabytes are not copied for nothing
        logits, scores = logits[filled], scores[filled]
    return Proposals(logits, scores)
