"""The image half of SAM 2 (Ravi et al., arXiv 2408.00714): masks from points and boxes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sam2.presets import PRESETS, Preset

if TYPE_CHECKING:
    from sam2.build_sam import build_sam2, identify_preset
    from sam2.image_model import ImageFeatures, Sam2ImageModel

__all__ = ["PRESETS", "ImageFeatures", "Preset", "Sam2ImageModel", "build_sam2", "identify_preset"]

_MODULES = {
    "build_sam2": "sam2.build_sam",
    "identify_preset": "sam2.build_sam",
    "ImageFeatures": "sam2.image_model",
    "Sam2ImageModel": "sam2.image_model",
}


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch when it is first asked for: the presets alone are there at once."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
