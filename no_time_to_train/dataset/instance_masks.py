"""Masks that people hand to the Python API: files, pictures, arrays."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from no_time_to_train.dataset.images import FORMATS, MAX_PIXELS
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file

Mask = npt.NDArray[np.bool_]  # (H, W)

TAKEN = (
    "give an array (H, W) that is non-zero on the instance, a PIL image without alpha channel, or "
    "the path of one"
)


def to_mask(mask: Any, what: str, as_stored: bool = False) -> Mask:
    """Turn a mask in any of the forms that are taken into booleans.

    Args:
        mask: An array, nested list or CPU tensor (H, W) of numbers; a PIL image or the path of one:
            grey values, palette indices, or colours of which any is non-zero.
        what: Which one it is, for messages.
        as_stored: Whether the EXIF orientation of a picture does not count.

    Returns:
        (H, W), true on the instance.

    Raises:
        InputError: It is something else, holds NaN, or its file cannot be used.
    """
    if isinstance(mask, str | Path):
        mask = read_mask_picture(Path(mask), what)
    if isinstance(mask, Image.Image):
        return _of_picture(mask if as_stored else as_shown(mask), what)
    return _of_array(mask, what)


def as_shown(picture: Image.Image) -> Image.Image:
    """A mask turned as its EXIF orientation says; EXIF that cannot be read turns nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ImageOps.exif_transpose(picture)
    except Exception:  # parsers of damaged EXIF raise anything
        return picture


def read_mask_picture(path: Path, what: str, repair: str = TAKEN) -> Image.Image:
    """Decode the file of a mask, as it is stored.

    Args:
        path: The file.
        what: Which mask it is, for messages.
        repair: What to do where it cannot be read, for messages.

    Raises:
        InputError: It is missing, no image, damaged, too large, or a JPEG.
    """
    check_regular_file(path, what)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path, formats=FORMATS)
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(f"{what} {path} has more than {MAX_PIXELS} pixels; scale it down")
            picture.load()
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{what} {path} does not exist; {TAKEN}") from None
    except Exception as error:  # decoders raise whatever the step that fails happens to raise
        reason = " ".join(str(error).split())
        raise InputError(f"{what} {path} cannot be read ({reason}); {repair}") from None
    if picture.format in ("JPEG", "JPEG2000"):
        raise InputError(
            f"{what} {path} is a JPEG file, whose compression leaves traces around the instance "
            "that would count as part of it; save it as PNG"
        )
    return picture


def mask_values(picture: Image.Image, what: str) -> npt.NDArray[Any]:
    """The values of a mask's pixels: grey values, palette indices, or colours.

    Args:
        picture: The mask.
        what: Which one it is, for messages.

    Returns:
        (H, W) or (H, W, bands).

    Raises:
        InputError: It has an alpha channel.
    """
    if picture.mode in ("LA", "PA", "La", "RGBA", "RGBa"):
        raise InputError(
            f"{what} has an alpha channel (mode {picture.mode}), so that colour and transparency "
            'contradict each other; convert it, as with .convert("L")'
        )
    return np.asarray(picture)


def _of_picture(picture: Image.Image, what: str) -> Mask:
    values = mask_values(picture, what)
    inside: Mask = (values != 0).reshape(*values.shape[:2], -1).any(axis=2)
    return inside


def _of_array(mask: Any, what: str) -> Mask:
    try:
        # A tensor of a GPU, or one with gradients, has its own reason to be refused.
        values = np.asarray(mask)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{what} is no array ({reason}); {TAKEN}") from None
    if values.dtype.kind not in "biuf":
        raise InputError(f"{what} is {_described(mask)}; {TAKEN}")
    if values.ndim != 2:
        raise InputError(f"{what} has the shape {values.shape}; {TAKEN}")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise InputError(f"{what} holds NaN; {TAKEN}")
    inside: Mask = values != 0
    return inside


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return "None" if value is None else f"of type {type(value).__name__}"
