"""DINOv2 for inference: patch features of images, from official checkpoints.

    from dinov2 import build_dinov2

    encoder = build_dinov2("dinov2_large", checkpoint="dinov2_vitl14_pretrain.pth")
    features = encoder(images)  # (B, 3, 518, 518), ImageNet-normalised -> (B, 1369, 1024)

`presets.py` has the sizes, `vision_transformer.py` and `layers.py` the network, `checkpoint.py` the
reading of weights.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dinov2.presets import PRESETS, Preset

if TYPE_CHECKING:
    from dinov2.checkpoint import build_dinov2, identify_preset
    from dinov2.vision_transformer import VisionTransformer

__all__ = ["PRESETS", "Preset", "VisionTransformer", "build_dinov2", "identify_preset"]

_MODULES = {
    "build_dinov2": "dinov2.checkpoint",
    "identify_preset": "dinov2.checkpoint",
    "VisionTransformer": "dinov2.vision_transformer",
}


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch when it is first asked for: the presets alone are there at once."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
