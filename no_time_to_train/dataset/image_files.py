"""Where the images of a json lie, looked for without opening them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from no_time_to_train.coco.annotations import ImageInfo, image_path
from no_time_to_train.errors import InputError


def existing_paths(root: str | Path, setting: str, images: Iterable[ImageInfo]) -> list[Path]:
    """The files of these images, all of which exist.

    Args:
        root: Folder that their names start from.
        setting: What the user calls that folder, for the message.
        images: From the json.

    Raises:
        InputError: The folder or images are missing, or a name leaves the folder.
    """
    paths = image_paths(root, setting, images)
    missing = missing_files(paths)
    if missing:
        raise why_missing(root, setting, paths, missing)
    return paths


def image_paths(root: str | Path, setting: str, images: Iterable[ImageInfo]) -> list[Path]:
    """Where the files of these images belong, whether or not they are there.

    Args:
        root: Folder that their names start from.
        setting: What the user calls that folder, for the message.
        images: From the json.

    Raises:
        InputError: The folder is missing, or a name leaves it.
    """
    if not Path(root).is_dir():
        raise InputError(
            f"{setting}: there is no folder {root}; set it to the folder of the images"
        )
    return [image_path(root, image.file_name) for image in images]


def missing_files(paths: Iterable[Path]) -> list[Path]:
    """Those that are no files, each once."""
    # Not Path.is_file, which fails on names that are too long.
    return [path for path in dict.fromkeys(paths) if not os.path.isfile(path)]


def why_missing(
    root: str | Path, setting: str, paths: Sequence[Path], missing: Sequence[Path]
) -> InputError:
    """What is said of files that are not there.

    Args:
        root: Folder that their names start from.
        setting: What the user calls that folder.
        paths: Of all images.
        missing: Of these, as `missing_files` gives them.
    """
    return InputError(
        f"{setting}: {len(missing)} of {len(set(paths))} images are not in {root}, "
        f"the first is {missing[0]}; set it to the folder that the json's file_name starts from"
    )
