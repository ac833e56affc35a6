"""DINOv2 (Oquab et al., arXiv 2304.07193), the published encoder."""

from __future__ import annotations

from pathlib import Path

from dinov2 import build_dinov2
from no_time_to_train.checkpoint_files import check_finite
from no_time_to_train.checkpoint_index import check_checkpoint
from no_time_to_train.config import DOWNLOAD, ModelConfig, dinov2_side
from no_time_to_train.encoders.patch_encoder import PatchEncoder
from no_time_to_train.networks import REPAIR, WeightsError, weights_errors


def build_dinov2_encoder(config: ModelConfig) -> PatchEncoder:
    """Build DINOv2 and load its weights.

    Raises:
        WeightsError: The checkpoint is missing, unreadable, of another model, or not finite.
        InputError: The sizes in the settings do not fit the network.
    """
    settings = config.encoder_cfg
    side = dinov2_side(settings)
    if config.encoder_ckpt_path == DOWNLOAD:
        raise WeightsError(f"{settings.name} takes its weights from a file; give its path")
    path = Path(config.encoder_ckpt_path)
    with weights_errors():
        check_checkpoint(path, "the DINOv2 weights", REPAIR)
        network = build_dinov2(settings.name, checkpoint=path)
        check_finite(network.state_dict().items(), path)
    settings.check_sizes(network.patch_size, side)
    encoder = PatchEncoder(network, side)
    encoder.set_compute(config.compute_cfg)
    return encoder
