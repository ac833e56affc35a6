"""DINOv2 for inference: patch features of images, from official checkpoints.

    from dinov2 import build_dinov2

    encoder = build_dinov2("dinov2_large", checkpoint="dinov2_vitl14_pretrain.pth")
    features = encoder(images)  # (B, 3, 518, 518), ImageNet-normalised -> (B, 1369, 1024)

`presets.py` has the sizes, `vision_transformer.py` and `layers.py` the network, `checkpoint.py` the
reading of weights.
"""

from dinov2.checkpoint import build_dinov2, identify_preset
from dinov2.presets import PRESETS, Preset
from dinov2.vision_transformer import VisionTransformer

__all__ = ["PRESETS", "Preset", "VisionTransformer", "build_dinov2", "identify_preset"]
