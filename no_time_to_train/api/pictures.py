"""Pictures that people hand to the Python API."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from no_time_to_train.api.arguments import check_path
from no_time_to_train.dataset.images import as_rgb, read_image, rgb_from_array

Picture = str | Path | Image.Image | npt.NDArray[np.uint8]
"""A file or PIL image, turned as its EXIF says unless the configuration says that it counts as
stored, or an array (H, W, 3) uint8, RGB, as it is."""


def open_picture(image: Picture, as_stored: bool) -> Image.Image:
    """The picture as RGB, in the orientation it is shown in, or as stored.

    Raises:
        InputError: It is of another kind, or cannot be read.
    """
    if isinstance(image, str | Path):
        return read_image(check_path(image, "the image"), as_stored=as_stored)
    if isinstance(image, Image.Image):
        return as_rgb(image, "the image", as_stored)
    return rgb_from_array(image, "the image")


def file_state(path: str | Path) -> tuple[Any, ...] | None:
    """What changes when the file does; None where there is no such file."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):  # the latter where the name is none
        return None
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns


def content_digest(picture: Image.Image) -> tuple[Any, ...]:
    """What changes when the pixels do."""
    pixels = np.ascontiguousarray(picture)
    return picture.size, blake2b(pixels.data, digest_size=16).digest()
