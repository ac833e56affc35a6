"""Small pictures of references, kept in a memory for people to look at; no PyTorch is imported.

A thumbnail is a WebP file: lossy colours, and the mask as a lossless alpha channel.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from no_time_to_train.memory.layout import Tensors, places_of

if TYPE_CHECKING:
    from no_time_to_train.structures import Reference

SIDE = 48
"""Of a thumbnail, in pixels."""
QUALITY = 60
"""Of its colours, from 0 to 100: 0.8 KB each, so that 2,400 of them take 2 MB."""
MAX_SIDE = 512
"""Of what is decoded, in pixels."""


def encode_thumbnail(picture: NDArray[np.uint8]) -> bytes:
    """Compress a small picture.

    Args:
        picture: (T, T, 4) RGB and the mask as alpha.

    Returns:
        A WebP file; the mask is kept exactly, and the colours also where it is 0.
    """
    file = io.BytesIO()
    options = {"quality": QUALITY, "alpha_quality": 100, "method": 4, "exact": True}
    Image.fromarray(picture, "RGBA").save(file, "WEBP", **options)
    return file.getvalue()


def decode_thumbnail(content: bytes | None) -> NDArray[np.uint8] | None:
    """The picture that `encode_thumbnail` was given, about; None for none, or a damaged one.

    Returns:
        (T, T, 4) RGB and the mask as alpha.
    """
    if content is None:
        return None
    try:
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as picture:
            if max(picture.size) > MAX_SIDE:
                return None
            return np.asarray(picture.convert("RGBA"))
    except Exception:  # whatever the decoder makes of damaged bytes
        return None


def thumbnail_of(reference: Reference) -> bytes:
    """A small picture of a reference: its crop, and its mask.

    Args:
        reference: With its mask at crop size.
    """
    from torch import cat
    from torch.nn.functional import adaptive_avg_pool2d

    layers = (reference.image.cpu(), reference.mask.cpu()[None])  # (3, H, W), (1, H, W)
    small = cat([adaptive_avg_pool2d(each, SIDE) for each in layers])  # (4, T, T)
    return encode_thumbnail((small.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def split_thumbnails(tensors: Tensors) -> list[list[bytes | None]]:
    """The thumbnails of a memory file, by class and slot; None for a reference without one.

    Args:
        tensors: Of the file, which have been checked.
    """
    places = places_of(tensors)
    if "mem_thumbnails" not in tensors:
        return [[None] * int(own.sum()) for own in places]
    content = np.asarray(tensors["mem_thumbnails"]).tobytes()
    sizes = np.asarray(tensors["mem_thumbnail_sizes"]).astype(np.int64) * places  # (K, S)
    ends = sizes.cumsum().reshape(sizes.shape)
    return [
        [content[end - size : end] or None for size, end in zip(row, stops, strict=True)][
            : own.sum()
        ]
        for row, stops, own in zip(sizes.tolist(), ends.tolist(), places, strict=True)
    ]
