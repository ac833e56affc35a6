"""Both networks, from settings and official checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dinov2 import build_dinov2
from no_time_to_train.config import ModelConfig
from no_time_to_train.errors import InputError
from no_time_to_train.models.encoder import PatchEncoder
from no_time_to_train.models.proposals import PointProposer
from sam2 import build_sam2


def build_encoder(config: ModelConfig) -> PatchEncoder:
    """Build DINOv2 and load its weights.

    Raises:
        InputError: The checkpoint is missing, unreadable or of another model.
    """
    settings = config.encoder_cfg
    with _naming("encoder_ckpt_path"):
        network = build_dinov2(settings.name, settings.img_size, config.encoder_ckpt_path)
    if network.patch_size != settings.patch_size:
        raise InputError(
            f"model_cfg.encoder_cfg.patch_size is {settings.patch_size}, but {settings.name} has "
            f"patches of {network.patch_size} pixels; set it to {network.patch_size}"
        )
    return PatchEncoder(network, settings.img_size)


def build_proposer(config: ModelConfig, image_size: int | None = None) -> PointProposer:
    """Build SAM 2, load its weights and lay out the prompt grid.

    Args:
        image_size: Side of its square input in pixels, by default the preset's.

    Raises:
        InputError: The checkpoint is missing, unreadable or of another model.
    """
    with _naming("sam2_ckpt_path"):
        network = build_sam2(config.sam2_cfg_file, config.sam2_ckpt_path, image_size)
    settings = config.sam2_infer_cfgs
    return PointProposer(
        network, settings.points_per_side, settings.iou_thr, settings.testing_point_bs
    )


@contextmanager
def _naming(setting: str) -> Iterator[None]:
    """Tell the user which setting an unusable checkpoint came from."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:
        raise InputError(f"model_cfg.{setting}: {error}") from error
