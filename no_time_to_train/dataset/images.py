"""Read image files with PIL, as 8-bit RGB, turned as their EXIF orientation says.

An entry of a COCO json decides whether its annotations are drawn on the pixels as viewers show
them or, as the published system reads them, on the pixels as they are stored.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from no_time_to_train.coco.annotations import ImageInfo
from no_time_to_train.config import Orientation
from no_time_to_train.dataset.image_log import logger
from no_time_to_train.dataset.pixel_values import eight_bits
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file

if TYPE_CHECKING:
    from torch import Tensor

MAX_PIXELS = 80_000_000
"""Largest image that is decoded (about 9000 x 9000); beyond it a small file can fill the memory."""

# Formats that are decoded inside PIL; others start programs (EPS) or are no photographs.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

ANIMATED = ("GIF", "PNG", "TIFF", "WEBP")
"""Formats whose frames are equals; a JPEG has previews of itself beside the photograph."""

ORIENTATION_TAG = 0x0112
# From EXIF's orientation to what turns the stored pixels into the picture that viewers show.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BACK = {6: 8, 8: 6}  # the others undo themselves


@dataclass(frozen=True)
class _Stored:
    """A decoded file."""

    picture: Image.Image
    """RGB, as stored."""
    orientation: int
    """As in EXIF, 1 to 8."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) as stored."""
        return self.picture.height, self.picture.width

    @property
    def shown_size(self) -> tuple[int, int]:
        """(height, width) as shown."""
        height, width = self.size
        return (width, height) if self.orientation >= 5 else (height, width)

    def shown(self) -> Image.Image:
        """RGB, as viewers show it."""
        return _turned(self.picture, self.orientation)


def read_image(
    path: str | Path, max_pixels: int = MAX_PIXELS, as_stored: bool = False
) -> Image.Image:
    """Decode an image file completely, as RGB, in the orientation it is shown in, or as stored.

    Raises:
        InputError: The file is missing, no image, damaged, has more than `max_pixels`, or values
            that are no colours.
    """
    stored = _decode(path, max_pixels)
    return stored.picture if as_stored else stored.shown()


def read_entry(
    image: ImageInfo, path: str | Path, orientation: Orientation = "auto"
) -> tuple[Image.Image, ImageInfo]:
    """Decode the image of a json entry, in the orientation that its annotations are drawn in.

    Args:
        image: The entry.
        path: Its file.
        orientation: `shown` and `stored` are orders; `auto` is stored where that alone has the
            size of the entry, else shown.

    Returns:
        The image, RGB, and the entry with its size.

    Raises:
        InputError: As by `read_image`, or the entry gives another size.
    """
    stored = _decode(path, MAX_PIXELS)
    fits_shown, fits_stored = _fits(image, stored.shown_size), _fits(image, stored.size)
    as_stored = orientation == "stored"
    if orientation == "auto":
        as_stored = fits_stored and not fits_shown
        _report(image, stored, as_stored, fits_stored)
    if not (fits_stored if as_stored else fits_shown):
        raise InputError(_other_size(image, stored, fits_shown or fits_stored))
    picture = stored.picture if as_stored else stored.shown()
    return picture, replace(image, height=picture.height, width=picture.width)


def as_rgb(picture: Image.Image, name: str, as_stored: bool = False) -> Image.Image:
    """A PIL image as RGB, in the orientation it is shown in, or as stored.

    Args:
        picture: Of any mode.
        name: For messages.
        as_stored: Whether its EXIF orientation does not count.

    Raises:
        InputError: Its file is damaged or closed, or its values are no colours.
    """
    try:
        stored = _load(picture, name)
        return stored.picture if as_stored else stored.shown()
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name} cannot be read ({reason}); give another image") from None


def rgb_from_array(array: Any, name: str) -> Image.Image:
    """An array as an RGB image.

    Args:
        array: (H, W) grey, (H, W, 3) RGB, or (H, W, 4) RGB and alpha, which is dropped; values as
            `eight_bits` takes them.
        name: For messages.

    Raises:
        InputError: It is no such array.
    """
    if not isinstance(array, np.ndarray):
        kind = f"{type(array).__module__}.{type(array).__qualname__}".removeprefix("builtins.")
        raise InputError(
            f"{name} is of type {kind}; give a path, a PIL image or a numpy array (H, W, 3)"
        )
    if array.shape[2:] not in ((), (3,), (4,)) or array.ndim < 2 or not array.size:
        raise InputError(
            f"{name} is an array of shape {array.shape}; give (H, W, 3) RGB or (H, W) grey, the "
            "channels last"
        )
    return Image.fromarray(eight_bits(array[..., :3] if array.ndim == 3 else array, name)).convert(
        "RGB"
    )


def picture_sizes(path: str | Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of an image as it is shown and as it is stored, from its header alone.

    Raises:
        InputError: The file is missing, no image, or too large.
    """
    with _opened(path, MAX_PIXELS) as file:
        size, turned = (file.height, file.width), (file.width, file.height)
        sideways = _orientation(file) >= 5
        # PIL gives a TIFF the size that it is shown in before it is decoded.
        other = turned if sideways else size
        return (size, other) if file.format == "TIFF" else (other, size)


def _decode(path: str | Path, max_pixels: int) -> _Stored:
    with _opened(path, max_pixels) as file:
        stored = _load(file, str(path))
        _warn_of_frames(file, path)
        return stored


@contextmanager
def _opened(path: str | Path, max_pixels: int) -> Iterator[Image.Image]:
    """An image file, of which the header is read; errors of decoding it are told as well."""
    check_regular_file(path, "the image")
    try:
        with warnings.catch_warnings():
            # PIL's own limit warns and fails in terms of attacks; the check below comes first.
            # What else it remarks, such as on damaged EXIF, changes no pixel.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as file:
                if file.width * file.height > max_pixels:
                    raise InputError(_too_large(path, f"{file.width} x {file.height}", max_pixels))
                yield file
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no image {path}; check its folder and its name") from None
    except PermissionError as error:
        raise InputError(f"{path} may not be read ({error.strerror}); change its mode") from None
    except UnidentifiedImageError:
        raise InputError(f"{path} is no image in a known format ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise InputError(_too_large(path, "far more", max_pixels)) from None
    # Decoders of damaged files raise whatever the step that fails happens to raise.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be decoded ({reason}); replace the file") from None


def _load(picture: Image.Image, name: str) -> _Stored:
    """The pixels as stored; PIL turns a TIFF as it decodes it, and no other format."""
    before = _orientation(picture) if picture.format == "TIFF" else None
    picture.load()
    after = _orientation(picture)
    rgb = _to_rgb(picture, name)
    if before is None or before == after:
        return _Stored(rgb, after)
    return _Stored(_turned(rgb, BACK.get(before, before)), before)


def _warn_of_frames(file: Image.Image, path: str | Path) -> None:
    if file.format in ANIMATED and getattr(file, "is_animated", False):
        logger.warning("%s has several frames, of which the first is taken", path)


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(ORIENTATION_TAG)
    # EXIF that cannot be read turns nothing, in viewers neither; parsers raise anything.
    except Exception:
        return 1
    return value if isinstance(value, int) and value in TURNS else 1


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    turn = TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _to_rgb(picture: Image.Image, name: str) -> Image.Image:
    # Of these modes, PIL would clip the values at 255.
    if picture.mode.startswith(("I", "F")):
        picture = Image.fromarray(eight_bits(np.asarray(picture), name))
    return picture.convert("RGB")


def _fits(image: ImageInfo, size: tuple[int, int]) -> bool:
    return image.height in (None, size[0]) and image.width in (None, size[1])


def _report(image: ImageInfo, stored: _Stored, as_stored: bool, fits_stored: bool) -> None:
    if as_stored:
        logger.info(
            "%s is read as it is stored, not turned as its EXIF orientation %d says, since the "
            "json gives it that size",
            image.file_name,
            stored.orientation,
        )
    elif stored.orientation != 1 and fits_stored:
        logger.info(
            "%s is turned as its EXIF orientation %d says; if its annotations are drawn on the "
            "stored pixels, set orientation to stored",
            image.file_name,
            stored.orientation,
        )


def _other_size(image: ImageInfo, stored: _Stored, fits_other: bool) -> str:
    (height, width), (shown_height, shown_width) = stored.size, stored.shown_size
    shown = f"{shown_height} x {shown_width} pixels (height x width)"
    if stored.size != stored.shown_size:
        shown = f"{shown} as shown and {height} x {width} as stored"
    repair = "set orientation to auto" if fits_other else "correct the json or replace the file"
    return (
        f"image {image.file_name} (id {image.id!r}) has {shown}, the json says "
        f"{image.height} x {image.width}; {repair}"
    )


def to_pixels(picture: Image.Image) -> Tensor:
    """Pixels as (3, H, W) uint8."""
    import torch  # 2 s that the tools without networks need not pay

    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def to_tensor(picture: Image.Image) -> Tensor:
    """Pixels as (3, H, W) float32 in [0, 1]."""
    return to_pixels(picture).float() / 255


def _too_large(path: str | Path, size: str, limit: int) -> str:
    return f"{path} has {size} pixels, the limit is {limit} in all; scale it down"
