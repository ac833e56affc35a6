"""Cut a reference out of its image, and resize it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from no_time_to_train.dataset.crop_boxes import PixelBox


def crop_and_resize(image: Tensor, mask: Tensor, box: PixelBox, side: int) -> tuple[Tensor, Tensor]:
    """Cut the same box out of an image and its mask, and resize both to a square.

    Args:
        image: (3, H, W) float32 in [0, 1].
        mask: (H, W) bool.
        box: (x1, y1, x2, y2) in pixels, x2 and y2 exclusive.
        side: Of the square, in pixels.

    Returns:
        The image, (3, side, side), bicubic, and the mask, (side, side) float32 in [0, 1], bilinear.
    """
    x1, y1, x2, y2 = box
    image = image[None, :, y1:y2, x1:x2]  # (1, 3, h, w)
    mask = mask[None, None, y1:y2, x1:x2].float()  # (1, 1, h, w)
    image = F.interpolate(image, (side, side), mode="bicubic", align_corners=False)
    mask = F.interpolate(mask, (side, side), mode="bilinear", align_corners=False)
    return image[0], mask[0, 0]
