"""Pascal VOC's devkit: image sets, and what its XML says about each image."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from no_time_to_train.coco.boxes import xyxy_to_xywh
from no_time_to_train.coco.entries import MAX_POSITION
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file

CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike "
    "person pottedplant sheep sofa train tvmonitor"
).split()
"""The position is the category id."""
YEARS = ("2007", "2012")
SIDE = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True)
class VocObject:
    """One object of an image."""

    category_id: int
    bbox: list[int]
    """[x, y, w, h] in pixels: the four corners counted from 0, then their differences."""
    difficult: bool
    """Whether the benchmark does not count it."""


@dataclass(frozen=True)
class VocImage:
    """One image of the devkit."""

    file_name: str
    """Below the devkit."""
    height: int
    width: int
    objects: list[VocObject]
    """In the order of the XML."""
    rounded: int
    """Coordinates that were no whole numbers."""


def years_of(devkit: Path) -> list[str]:
    """The years that the devkit has a folder of.

    Raises:
        InputError: There is none.
    """
    years = [year for year in YEARS if (devkit / f"VOC{year}").is_dir()]
    if not years:
        raise InputError(
            f"{devkit} has no folder VOC2007 and no VOC2012; give the folder VOCdevkit that the "
            "archives of Pascal VOC unpack to"
        )
    return years


def image_set(devkit: Path, year: str, split: str) -> list[str] | None:
    """Names of the images of a split, in its order; None where the devkit has no such list."""
    path = devkit / f"VOC{year}" / "ImageSets" / "Main" / f"{split}.txt"
    check_regular_file(path, "the image set")
    try:
        return path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); unpack the archive again") from None


def read_annotation(devkit: Path, year: str, name: str) -> VocImage:
    """Read the XML of one image.

    Raises:
        InputError: It is missing or damaged, or names an unknown class.
    """
    path = devkit / f"VOC{year}" / "Annotations" / f"{name}.xml"
    file_name = f"VOC{year}/JPEGImages/{name}.jpg"
    try:
        root = _parse(path)
        width, height = _size(root) or _image_size(devkit / file_name)
        objects = [_object(element) for element in root.findall("object")]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    rounded = sum(not value.is_integer() for element in objects for value in element[1])
    found = [_on_pixels(*element) for element in objects]
    return VocImage(file_name, height, width, found, rounded)


def _parse(path: Path) -> ElementTree.Element:
    check_regular_file(path, "the annotation")
    try:
        return ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise InputError("there is no such file; unpack the archive again") from None
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:
        raise InputError(f"cannot be read ({error}); unpack the archive again") from None


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Width and height, where the XML has them."""
    sides = [(root.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    width, height = (int(side) if SIDE.fullmatch(side) else 0 for side in sides)
    return (width, height) if width and height else None


def _image_size(path: Path) -> tuple[int, int]:
    from no_time_to_train.dataset.images import read_image  # PIL is for such files alone

    return read_image(path, as_stored=True).size


def _object(element: ElementTree.Element) -> tuple[str, list[float], bool]:
    """Class, the four corners counted from 1, and whether it is difficult."""
    name = (element.findtext("name") or "").strip()
    if name not in CLASSES:
        raise InputError(
            f"{name!r} is no class of Pascal VOC; correct the name or remove the object"
        )
    corners = list(_corners(element))
    if corners[2] < corners[0] or corners[3] < corners[1]:
        raise InputError(f"the box of a {name} ends before it begins ({corners}); correct it")
    difficult = (element.findtext("difficult") or "").strip() not in ("", "0")
    return name, corners, difficult


def _corners(element: ElementTree.Element) -> Iterator[float]:
    for tag in ("xmin", "ymin", "xmax", "ymax"):
        text = element.findtext(f"bndbox/{tag}")
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not abs(value) <= MAX_POSITION:
            raise InputError(
                f"{tag} of an object is {text!r}, where there should be a number of pixels"
            )
        yield value


def _on_pixels(name: str, corners: list[float], difficult: bool) -> VocObject:
    pixels = [_rounded(corner) - 1 for corner in corners]
    return VocObject(CLASSES.index(name), xyxy_to_xywh(pixels), difficult)


def _rounded(value: float) -> int:
    """To the nearest whole number, halves away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))
