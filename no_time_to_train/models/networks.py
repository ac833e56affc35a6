"""Both networks, from settings and official checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from dinov2 import build_dinov2
from no_time_to_train.checkpoint_files import check_checkpoint, check_finite
from no_time_to_train.config import ComputeConfig, ModelConfig
from no_time_to_train.errors import InputError
from no_time_to_train.models.encoder import PatchEncoder
from no_time_to_train.models.proposals import PointProposer
from sam2 import build_sam2


class WeightsError(InputError):
    """A checkpoint that a network cannot take."""


REPAIR = "get the file again from where its publisher offers it"

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def build_encoder(config: ModelConfig) -> PatchEncoder:
    """Build DINOv2 and load its weights.

    Raises:
        WeightsError: The checkpoint is missing, unreadable, of another model, or not finite.
    """
    settings = config.encoder_cfg
    path = Path(config.encoder_ckpt_path)
    with _weights_error():
        check_checkpoint(path, "the DINOv2 weights", REPAIR)
        network = build_dinov2(settings.name, settings.img_size, path)
        check_finite(network.state_dict().items(), path)
    if network.patch_size != settings.patch_size:
        raise InputError(
            f"encoder_cfg.patch_size is {settings.patch_size}, but {settings.name} has "
            f"patches of {network.patch_size} pixels; set it to {network.patch_size}"
        )
    encoder = PatchEncoder(network, settings.img_size)
    compute_as(config.compute_cfg, encoder)
    return encoder


def build_proposer(config: ModelConfig, image_size: int | None = None) -> PointProposer:
    """Build SAM 2, load its weights and lay out the prompt grid.

    Args:
        image_size: Side of its square input in pixels, by default the preset's.

    Raises:
        WeightsError: The checkpoint is missing, unreadable, of another model, or not finite.
    """
    path = Path(config.sam2_ckpt_path)
    with _weights_error():
        check_checkpoint(path, "the SAM 2 weights", REPAIR)
        decoder = config.compute_cfg.decoder
        network = build_sam2(config.sam2_cfg_file, path, image_size, decoder)
        check_finite(network.state_dict().items(), path)
    settings = config.sam2_infer_cfgs
    proposer = PointProposer(
        network,
        settings.points_per_side,
        settings.iou_thr,
        settings.testing_point_bs,
        threaded=not config.compute_cfg.compile,
    )
    compute_as(config.compute_cfg, proposer)
    return proposer


def compute_as(compute: ComputeConfig, part: PatchEncoder | PointProposer) -> None:
    """Let a network compute in another number format, or compiled; in place.

    Args:
        compute: The settings; tf32 holds for the whole process.
        part: The network, weights loaded, with what surrounds it.
    """
    part.network.to(DTYPES[compute.precision])
    if compute.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    if compute.compile:
        if isinstance(part, PatchEncoder):
            part.network.compile(dynamic=False)
        else:
            part.network.compile_parts()


@contextmanager
def _weights_error() -> Iterator[None]:
    """Tell the user what is wrong with the weights, whoever found it."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:  # an InputError is a ValueError
        raise WeightsError(str(error)) from error
