"""YOLO: a data.yaml with the names of the classes, and a text file of labels per picture.

    data.yaml   images/train/park.jpg   labels/train/park.txt

The text file may lie beside its picture as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from reprlib import repr as brief
from typing import Any

import yaml

from no_time_to_train.config_files import MAX_BYTES
from no_time_to_train.dataset.reference_layouts.folder import Folder
from no_time_to_train.dataset.reference_layouts.found import (
    FoundReferences,
    Labelled,
    Size,
    collect,
    size_on_picture,
    with_box,
    with_mask,
)
from no_time_to_train.errors import InputError, naming

NAME = "YOLO"
NAMES_KEY = re.compile(rb"^[\"']?names[\"']?[ \t]*:", re.MULTILINE)
TRAIN = "train"
DIGITS = 2
"""Of a position in pixels."""
SLACK = 0.1
"""How far a coordinate may lie outside of the picture, as a share of its side."""

Pair = tuple[PurePosixPath, PurePosixPath]  # picture and labels


def evidence(folder: Folder) -> PurePosixPath | None:
    """A YAML file that gives names, if there is one."""
    return next(iter(_files(folder)), None)


def read(folder: Folder) -> FoundReferences:
    """Read boxes and polygons of all pictures that have labels; of `train` where that is a part.

    Raises:
        InputError: There are several YAML files, the one cannot be used, no picture has labels, or
            a line of labels cannot be read.
    """
    files = _files(folder)
    if len(files) > 1:
        shown = " and ".join(map(str, files[:2]))
        raise InputError(f"{folder.root} has two lists of names, {shown}; keep one of them there")
    path = folder.root / files[0]
    with naming(str(path)):
        document = _document(folder, files[0])
        names = _names(document.get("names"))
    labelled = _labelled(folder)
    if not labelled:
        raise InputError(
            f"no picture in {folder.root} has labels; put images/NAME.jpg and labels/NAME.txt, or "
            f"both in one folder, beside {files[0].name}"
        )
    used = _of_train(labelled, files[0].parent, document)
    instances = [each for pair in used for each in _instances(folder, pair, names)]
    notes = []
    if len(used) < len(labelled):
        notes.append(f"{TRAIN} has the references; other pictures: {len(labelled) - len(used)}")
    return collect(NAME, folder.root, names, instances, notes)


def _files(folder: Folder) -> list[PurePosixPath]:
    files = folder.annotation_files({".yaml", ".yml"})
    return [file for file in files if _gives_names(folder, file)]


def _gives_names(folder: Folder, file: PurePosixPath) -> bool:
    try:
        return NAMES_KEY.search((folder.root / file).read_bytes()) is not None
    except OSError:
        return False


def _document(folder: Folder, file: PurePosixPath) -> dict[Any, Any]:
    """The YAML with all its scalars as text, so that a class may be called `no` or 3."""
    try:
        data = (folder.root / file).read_bytes()
        if len(data) > MAX_BYTES:
            raise InputError(f"it has {len(data)} bytes, the limit is {MAX_BYTES}; shorten it")
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        document = yaml.load(data.decode("utf-8-sig"), Loader=loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"it is no valid YAML ({reason}); repair it") from None
    if not isinstance(document, dict):
        raise InputError(f"it must hold `names:`, got {brief(document)}")
    return document


def _names(names: Any) -> list[str]:
    """Class names by index, from a list or from a mapping of numbers."""
    listed_names = _by_number(names) if isinstance(names, dict) else names
    if (
        not isinstance(listed_names, list)
        or not listed_names
        or not all(map(_is_name, listed_names))
    ):
        raise InputError(
            "`names` must be a list of class names, or give one to each number from 0 on, got "
            f"{brief(names)}"
        )
    stripped = [name.strip() for name in listed_names]
    if len(set(stripped)) < len(stripped):
        raise InputError(f"`names` gives a name twice: {brief(names)}; each class needs its own")
    return stripped


def _by_number(names: dict[Any, Any]) -> list[Any] | None:
    """The names in the order of their numbers, if these are 0, 1, 2, ..."""
    keys = [str(number) for number in range(len(names))]
    return [names[key] for key in keys] if names.keys() == set(keys) else None


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name.strip())


def _labelled(folder: Folder) -> list[Pair]:
    """Pictures and their labels, in order.

    Raises:
        InputError: Two pictures have the same labels.
    """
    pairs: dict[PurePosixPath, PurePosixPath] = {}
    for picture in folder.pictures:
        labels = _labels(folder, picture)
        if labels is not None and labels in pairs:
            raise InputError(
                f"{pairs[labels]} and {picture} in {folder.root} have the same labels, {labels}; "
                "rename one of the pictures"
            )
        if labels is not None:
            pairs[labels] = picture
    return [(picture, labels) for labels, picture in pairs.items()]


def _labels(folder: Folder, picture: PurePosixPath) -> PurePosixPath | None:
    """The text file in place of the last folder `images`, or beside the picture."""
    beside = picture.with_suffix(".txt")
    parts = list(beside.parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 1 - parts[::-1].index("images", 1)] = "labels"
    return next((file for file in (PurePosixPath(*parts), beside) if file in folder), None)


def _of_train(pairs: list[Pair], beside: PurePosixPath, document: dict[Any, Any]) -> list[Pair]:
    """Those in the folders that `train` names, where these are here; else all."""
    given = document.get(TRAIN)
    entries = given if isinstance(given, list) else [given]
    inner = _inside(document.get("path"))
    bases = [beside / inner, beside]
    for base in bases:
        places = [base / _inside(entry) for entry in entries if isinstance(entry, str) and entry]
        chosen = [pair for pair in pairs if any(place in pair[0].parents for place in places)]
        if chosen:
            return chosen
    return pairs


def _inside(path: Any) -> PurePosixPath:
    """A path of the YAML file without what leads out of its folder, as exports often write."""
    if not isinstance(path, str) or path.startswith(("/", "\\")) or ":" in path:
        return PurePosixPath()
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return PurePosixPath(*(part for part in parts if part != ".."))


def _instances(folder: Folder, pair: Pair, names: Sequence[str]) -> list[Labelled]:
    picture, labels = pair
    path = folder.root / labels
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); repair or remove it") from None
    if not any(line.strip() for line in lines):
        return []
    size = size_on_picture(folder.root, str(picture), None, str(path))
    instances = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            with naming(f"{path}, line {number}"):
                instances.append(_instance(str(picture), size, line.split(), names))
    return instances


def _instance(picture: str, size: Size, words: Sequence[str], names: Sequence[str]) -> Labelled:
    name, numbers = _class(words[0], names), [_share(word) for word in words[1:]]
    if len(numbers) == 4:
        x, y, w, h = numbers
        left, top, right, bottom = _pixels((x - w / 2, y - h / 2, x + w / 2, y + h / 2), size)
        return with_box(picture, size, name, (left, top, right, bottom), "it")
    if len(numbers) < 6 or len(numbers) % 2:
        raise InputError(
            f"it has {len(numbers)} numbers behind the class; a box has 4 (x, y, width, height), a "
            "polygon two for each of three points or more"
        )
    return with_mask(picture, size, name, [_pixels(numbers, size)], "it")


def _pixels(shares: Sequence[float], size: Size) -> list[float]:
    """Pixels from shares of width and height in turn.

    They are rounded, so that six digits of a share give back the whole pixels it was made of.
    """
    height, width = size
    return [
        round(share * (height if position % 2 else width), DIGITS)
        for position, share in enumerate(shares)
    ]


def _class(word: str, names: Sequence[str]) -> str:
    number = _number(word)
    if not number.is_integer() or not 0 <= number < len(names):
        raise InputError(
            f"the class must be a whole number from 0 to {len(names) - 1}, as data.yaml numbers "
            f"them, got {brief(word)}"
        )
    return names[int(number)]


def _share(word: str) -> float:
    number = _number(word)
    if not -SLACK <= number <= 1 + SLACK:
        raise InputError(
            f"coordinates must be shares of the picture's width and height, from 0 to 1, got "
            f"{brief(word)}; divide pixels by them"
        )
    return number


def _number(word: str) -> float:
    """A number; NaN, which no comparison holds for, where it is none."""
    try:
        return float(word)
    except ValueError:
        return math.nan
