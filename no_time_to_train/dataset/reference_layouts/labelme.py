"""Labelme: a json beside each picture, or in a folder of its own.

park.jpg   park.json
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from reprlib import repr as brief
from typing import Any

from no_time_to_train.coco.entries import MAX_SIDE
from no_time_to_train.coco.json_text import load_json
from no_time_to_train.dataset.reference_layouts.folder import (
    COCO_KEYS,
    LABELME_KEY,
    Folder,
    is_picture,
)
from no_time_to_train.dataset.reference_layouts.found import (
    FoundReferences,
    Labelled,
    Size,
    collect,
    size_on_picture,
)
from no_time_to_train.dataset.reference_layouts.labelme_shapes import Shape, instance, parse_shape
from no_time_to_train.errors import InputError, naming

NAME = "Labelme"

Document = dict[str, Any]


def evidence(folder: Folder) -> PurePosixPath | None:
    """A json that lists shapes, if there is one."""
    return next(iter(_files(folder)), None)


def read(folder: Folder) -> FoundReferences:
    """Read all shapes that enclose something; those of a group are one instance.

    Raises:
        InputError: A json is damaged, its picture is missing or has another size, or two mark the
            same picture.
    """
    instances: list[Labelled] = []
    skipped: Counter[str] = Counter()
    by_picture: dict[str, PurePosixPath] = {}
    for file in _files(folder):
        with naming(str(folder.root / file)):
            document = _document(folder, file)
            picture = _picture(folder, file, document)
            other = by_picture.setdefault(picture, file)
            if other != file:
                raise InputError(f"{other} marks the same picture, {picture}; keep one of them")
            instances.extend(_instances(folder, picture, document, skipped))
    names = sorted({each.class_name for each in instances})
    notes = [
        f"shapes that enclose nothing, which are no references: {count} of kind {kind}"
        for kind, count in sorted(skipped.items())
    ]
    return collect(NAME, folder.root, names, instances, notes)


def _files(folder: Folder) -> list[PurePosixPath]:
    return [
        file
        for file, keys in folder.json_files.items()
        if LABELME_KEY in keys and len(keys & COCO_KEYS) < 2
    ]


def _document(folder: Folder, file: PurePosixPath) -> Document:
    document = load_json(folder.root / file, NAME)
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        raise InputError('there is no list of "shapes"; save it with Labelme again')
    return document


def _instances(
    folder: Folder, picture: str, document: Document, skipped: Counter[str]
) -> Iterator[Labelled]:
    size = size_on_picture(folder.root, picture, _size(document), "the size in the json")
    groups: dict[Any, list[Shape]] = {}
    for position, entry in enumerate(document["shapes"]):
        with naming(f"shape {position}"):
            shape = parse_shape(entry, size)
        if not shape.encloses:
            skipped[shape.kind] += 1
            continue
        key = (shape.label, shape.group) if shape.group is not None else position
        groups.setdefault(key, []).append(shape)
    for shapes in groups.values():
        yield instance(picture, size, shapes)


def _size(document: Document) -> Size | None:
    height, width = document.get("imageHeight"), document.get("imageWidth")
    if height is None or width is None:
        return None
    if not all(type(side) is int and 0 < side <= MAX_SIDE for side in (height, width)):
        raise InputError(
            f'"imageHeight" and "imageWidth" must be whole numbers of pixels, got {brief(height)} '
            f"and {brief(width)}; save it with Labelme again"
        )
    return height, width


def _picture(folder: Folder, file: PurePosixPath, document: Document) -> str:
    """The picture that a json names, or the one of its own name beside it; relative to the root."""
    named = document.get("imagePath")
    if not isinstance(named, str) or not named:
        raise InputError(f'"imagePath" must be the name of the picture, got {brief(named)}')
    path = named.replace("\\", "/")
    inside = posixpath.normpath(posixpath.join(str(file.parent), path))
    absolute = path.startswith("/") or re.match("[A-Za-z]:", path) is not None
    beside = [file.parent / PurePosixPath(path).name]
    beside += [
        other
        for other in folder.pictures
        if other.parent == file.parent and other.stem == file.stem
    ]
    candidates = beside if absolute else [PurePosixPath(inside), *beside]
    for candidate in candidates:
        if candidate in folder and is_picture(candidate):
            return str(candidate)
    # `labelme PICTURES --output MARKS` has them apart, and so has `predict --export labelme`.
    elsewhere = not absolute and inside.startswith("..") and is_picture(PurePosixPath(inside))
    if elsewhere and os.path.isfile(folder.root / inside):
        return inside
    embedded = " (the json holds a copy of it as imageData)" if document.get("imageData") else ""
    raise InputError(f"its picture {brief(named)} is not there{embedded}; save it beside the json")
