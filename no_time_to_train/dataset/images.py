"""Read image files as the published system does: with PIL, as RGB, without EXIF rotation."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from no_time_to_train.dataset.annotations import ImageInfo, image_path
from no_time_to_train.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

MAX_PIXELS = 80_000_000
"""Largest image that is decoded (about 9000 x 9000); beyond it a small file can fill the memory."""

# Formats that are decoded inside PIL; others start programs (EPS) or are no photographs.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image file completely, as RGB, in the orientation it is stored in.

    Raises:
        InputError: The file is missing, no image, damaged, or has more than `max_pixels`.
    """
    try:
        with warnings.catch_warnings():
            # PIL's own limit warns and fails in terms of attacks; the check below comes first.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as file:
                if file.width * file.height > max_pixels:
                    raise InputError(_too_large(path, f"{file.width} x {file.height}", max_pixels))
                rgb: Image.Image = file.convert("RGB")
                return rgb
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(
            f"there is no image {path}; check the setting root and file_name"
        ) from None
    except UnidentifiedImageError:
        raise InputError(f"{path} is no image in a known format ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise InputError(_too_large(path, "far more", max_pixels)) from None
    # Decoders of damaged files raise whatever the step that fails happens to raise.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be decoded ({reason}); replace the file") from None


def to_pixels(picture: Image.Image) -> Tensor:
    """Pixels as (3, H, W) uint8."""
    import torch  # 2 s that the tools without networks need not pay

    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def to_tensor(picture: Image.Image) -> Tensor:
    """Pixels as (3, H, W) float32 in [0, 1]."""
    return to_pixels(picture).float() / 255


def existing_paths(root: str | Path, setting: str, images: Iterable[ImageInfo]) -> list[Path]:
    """The files of these images, all of which exist.

    Args:
        root: Folder that their names start from.
        setting: What the user calls that folder, for the message.
        images: From the json.

    Raises:
        InputError: The folder or images are missing, or a name leaves the folder.
    """
    if not Path(root).is_dir():
        raise InputError(
            f"{setting}: there is no folder {root}; set it to the folder of the images"
        )
    paths = [image_path(root, image.file_name) for image in images]
    # Not Path.is_file, which fails on names that are too long.
    missing = [path for path in dict.fromkeys(paths) if not os.path.isfile(path)]
    if missing:
        raise InputError(
            f"{setting}: {len(missing)} of {len(set(paths))} images are not in {root}, "
            f"the first is {missing[0]}; set it to the folder that the json's file_name starts from"
        )
    return paths


def with_measured_size(image: ImageInfo, picture: Image.Image) -> ImageInfo:
    """The entry with the size of its file.

    Raises:
        InputError: The json gives another size; masks and boxes would then not fit the pixels.
    """
    for stated, measured in ((image.height, picture.height), (image.width, picture.width)):
        if stated is not None and stated != measured:
            raise InputError(
                f"image {image.file_name} (id {image.id!r}) has {picture.height} x {picture.width} "
                f"pixels (height x width, EXIF rotation not applied), the json says "
                f"{image.height} x {image.width}; correct the json or replace the file"
            )
    return replace(image, height=picture.height, width=picture.width)


def _too_large(path: str | Path, size: str, limit: int) -> str:
    return f"{path} has {size} pixels, the limit is {limit} in all; scale it down"
