"""The image half of SAM 2 (Ravi et al., arXiv 2408.00714): masks from points and boxes."""

from sam2.build_sam import PRESETS, Preset, build_sam2, identify_preset
from sam2.image_model import ImageFeatures, Sam2ImageModel

__all__ = ["PRESETS", "ImageFeatures", "Preset", "Sam2ImageModel", "build_sam2", "identify_preset"]
