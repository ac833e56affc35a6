"""What the metrics.json of a `test` run says about its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from no_time_to_train.coco.json_text import load_json
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file


@dataclass(frozen=True)
class RunMetrics:
    """Which images a run covers; by default, all of the data set."""

    path: Path | None = None
    image_ids: Sequence[int | str] | None = None
    """Where only a part ran."""
    limited_by: str | None = None
    """The setting that left the others out."""
    bad_images: Sequence[dict[str, Any]] = ()
    """Those that could not be read, with `file_name` and `reason`."""


def read_run_metrics(path: Path) -> RunMetrics:
    """Read a metrics.json.

    Raises:
        InputError: It is missing or damaged, or is older than the list of images in it.
    """
    check_regular_file(path, "metrics.json")
    try:
        content = load_json(path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(content, dict) or not all(
        key in content and is_sound(content[key]) for key, is_sound in FIELDS.items()
    ):
        raise InputError(f"{path} is not the metrics.json of a `test` run; its log folder has it")
    is_part = content["images"] < content["images_of_data_set"]
    image_ids = content.get("image_ids")
    if is_part and not _is_list_of((int, str), image_ids):
        raise InputError(
            f"{path} does not say which {content['images']} of "
            f"{content['images_of_data_set']} images ran; repeat the run with this version"
        )
    return RunMetrics(
        path, image_ids if is_part else None, content["limited_by"], content["bad_images"]
    )


def _is_list_of(kinds: type | tuple[type, ...], value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, kinds) for each in value)


FIELDS: dict[str, Callable[[Any], bool]] = {
    "images": lambda value: isinstance(value, int),
    "images_of_data_set": lambda value: isinstance(value, int),
    "limited_by": lambda value: value is None or isinstance(value, str),
    "bad_images": lambda value: _is_list_of(dict, value),
}
"""What is read of it, and how it must be."""
