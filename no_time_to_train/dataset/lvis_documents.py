"""The json files of LVIS as plain documents, for tools that write them again with more in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

from no_time_to_train.coco.annotations import collector_paused
from no_time_to_train.coco.entries import kind, parse_image
from no_time_to_train.coco.json_text import load_json
from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write, check_regular_file

TRAIN_NAME = "lvis_v1_train.json"
VAL_NAME = "lvis_v1_val.json"
MINIVAL_NAME = "lvis_v1_minival.json"
"""What the configs and scripts call minival with masks."""
MINIVAL_NAMES = (
    "lvis_v1_minival_just_bbox.json",
    "lvis_v1_minival_inserted_image_name.json",
    MINIVAL_NAME,
)
"""The names that minival is published under, boxes alone or with masks."""
LISTS = ("images", "annotations", "categories")

Document = dict[str, Any]


def read_document(path: Path) -> Document:
    """Read a json whose images, annotations and categories are lists of objects.

    Raises:
        InputError: The file is missing, is no json, or holds something else.
    """
    check_regular_file(path, "the LVIS json")
    with collector_paused():
        try:
            document = load_json(path)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected an object, got {kind(document)}")
    for key in LISTS:
        entries = document.get(key)
        if not isinstance(entries, list) or any(type(entry) is not dict for entry in entries):
            raise InputError(f'{path}: "{key}" must be a list of objects, as in the files of LVIS')
    return document


def add_coco_fields(document: Document, path: Path) -> None:
    """Give images `file_name`, and annotations `iscrowd: 0`, in place.

    Args:
        document: As read.
        path: Where from, for messages.

    Raises:
        InputError: An image has neither `coco_url` nor `file_name`.
    """
    for position, image in enumerate(document["images"]):
        try:
            image["file_name"] = _file_name(image)
        except InputError as error:
            raise InputError(f'{path}: entry {position} of "images": {error}') from None
    for annotation in document["annotations"]:
        annotation["iscrowd"] = 0


def _file_name(image: dict[str, Any]) -> str:
    """The last part of `coco_url`; where there is none, the name that it has."""
    without_folder = {**image, "file_name": None} if "coco_url" in image else image
    return parse_image(without_folder).file_name


def write_document(path: Path, document: Document) -> None:
    """Write it, an entry of its lists per line; it appears whole or not at all."""
    with atomic_write(path) as file:
        file.write("{")
        for number, (key, value) in enumerate(document.items()):
            file.write(",\n" if number else "\n")
            file.write(f"{json.dumps(key)}: ")
            # Entry by entry: the text of a whole list would take a gigabyte more.
            if isinstance(value, list):
                _write_list(file, value)
            else:
                file.write(json.dumps(value))
        file.write("\n}\n")


def _write_list(file: IO[str], entries: list[Any]) -> None:
    file.write("[")
    for number, entry in enumerate(entries):
        file.write(",\n" if number else "\n")
        file.write(json.dumps(entry))
    file.write("\n]")
