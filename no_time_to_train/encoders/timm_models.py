"""Any vision transformer of timm (Wightman, "PyTorch Image Models"): `timm/NAME`.

Patch size, input size, normalisation and width are those that timm itself gives for the name.
"""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from no_time_to_train.checkpoint_files import check_finite
from no_time_to_train.checkpoint_index import check_checkpoint
from no_time_to_train.config import DOWNLOAD, ModelConfig
from no_time_to_train.encoders.patch_encoder import PatchEncoder
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file
from no_time_to_train.networks import REPAIR, WeightsError, weights_errors

PREFIX = "timm/"
FORMATS = (".safetensors", ".pth", ".pt", ".bin")
"""Endings of files of weights; timm looks at them."""


class TimmPatches(nn.Module):
    """A vision transformer of timm without class token, registers, pooling and head.

    Args:
        model: As `timm.create_model` makes it.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model
        self.embed_dim: int = model.num_features
        patch = model.patch_embed.patch_size
        self.patch_size: int = patch if isinstance(patch, int) else patch[0]

    def forward(self, images: Tensor) -> Tensor:
        """Compute patch features.

        Args:
            images: Normalised, (B, 3, S, S), of the size that the model was built for.

        Returns:
            Patch tokens after the final norm, (B, N, C), row-major. Where timm puts that norm
            behind the pooling of the tokens, each token has it to itself here.
        """
        tokens = self.model.forward_features(images)  # (B, prefix + N, C)
        patches: Tensor = tokens[:, self.model.num_prefix_tokens :]
        return self.model.fc_norm(patches) if hasattr(self.model, "fc_norm") else patches


def build_timm_encoder(config: ModelConfig) -> PatchEncoder:
    """Build a vision transformer of timm and load its weights.

    They come from the file `encoder_ckpt_path`, or, where that is DOWNLOAD, from timm's publisher.

    Raises:
        WeightsError: The weights are missing, unreadable, of another network, or not finite.
        InputError: timm is not installed, has no such vision transformer, or it takes other sizes.
    """
    settings = config.encoder_cfg
    name = settings.name.removeprefix(PREFIX)
    path = config.encoder_ckpt_path
    with weights_errors():
        if path != DOWNLOAD:
            _check_file(Path(path), name)
    sketch = _sketch(name, settings.img_size)
    data: dict[str, Any] = sketch.model.pretrained_cfg
    side = settings.img_size or data["input_size"][-1]
    settings.check_sizes(sketch.patch_size, side)
    _check_grid(sketch, name, side)
    with weights_errors():
        model = _with_weights(name, side, path)
        check_finite(model.state_dict().items(), settings.name if path == DOWNLOAD else path)
    network = TimmPatches(model.eval().requires_grad_(False))
    encoder = PatchEncoder(network, side, data["mean"], data["std"])
    encoder.set_compute(config.compute_cfg)
    return encoder


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError:
        raise InputError(
            "encoder_cfg.name begins with timm/, and the package timm is not installed; run "
            '`pip install "no-time-to-train[timm]"`'
        ) from None


def _sketch(name: str, side: int | None) -> TimmPatches:
    """The network without values, for its sizes."""
    timm = _timm()
    _check_name(timm, name)
    try:
        with torch.device("meta"):
            return TimmPatches(timm.create_model(name, img_size=side))
    except Exception:  # what a network without patches or without img_size makes timm raise
        raise _no_transformer(name) from None


def _check_name(timm: Any, name: str) -> None:
    architecture, _, tag = name.partition(".")
    if architecture not in timm.list_models():
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        advice = f"did you mean {' or '.join(close)}?" if close else "timm.list_models() has all"
        raise InputError(f"encoder_cfg.name: timm has no model {name!r}; {advice}")
    weights = timm.list_models(f"{architecture}.*", pretrained=True)
    if tag and name not in weights:
        known = ", ".join([architecture, *weights])
        raise InputError(f"encoder_cfg.name: timm has no weights {name!r}; it has {known}")


def _no_transformer(name: str) -> InputError:
    return InputError(
        f"encoder_cfg.name: {name} of timm is no vision transformer with one feature per patch; "
        "give one such as timm/vit_small_patch16_dinov3.lvd1689m"
    )


@torch.inference_mode()
def _check_grid(sketch: TimmPatches, name: str, side: int) -> None:
    """Refuse a network whose features are no square grid of its patches."""
    try:
        features = sketch(torch.empty(1, 3, side, side, device="meta"))
    except Exception:
        raise _no_transformer(name) from None
    if features.shape[1:] != ((side // sketch.patch_size) ** 2, sketch.embed_dim):
        raise _no_transformer(name)


def _with_weights(name: str, side: int, path: str) -> Any:
    """The network with the weights of a file, which has to hold all of them and no other."""
    timm = _timm()
    if path == DOWNLOAD:
        try:
            return timm.create_model(name, pretrained=True, img_size=side)
        except Exception as error:  # of the network, of the hub's package, of requests
            raise WeightsError(
                f"the weights of {name} cannot be downloaded ({_brief(error)}); put the file on "
                "this machine and give its path"
            ) from error
    source = {"file": path, "custom_load": False}
    try:
        return timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay=source, img_size=side
        )
    except Exception as error:  # whatever timm's conversion of names meets in a stranger's file
        raise WeightsError(
            f"{path} does not hold the weights of {name}: {_brief(error)}; change the name or the "
            "file"
        ) from None


def _check_file(path: Path, name: str) -> None:
    check_regular_file(path, f"the file with the weights of {name}")
    if not path.is_file():
        raise WeightsError(
            f"{path}, the weights of {name}, does not exist; check the path, or set it to "
            f"{DOWNLOAD}, which lets timm fetch them"
        )
    if path.suffix not in FORMATS:
        raise WeightsError(f"{path} is none of {', '.join(FORMATS)}; {REPAIR}")
    if path.suffix != ".safetensors":
        check_checkpoint(path, f"the file with the weights of {name}", REPAIR)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
