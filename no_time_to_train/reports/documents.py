"""The json documents that runs leave beside their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from no_time_to_train.coco.json_text import load_json
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file


def read_document(path: Path) -> dict[str, Any]:
    """Read an object.

    Raises:
        InputError: It is missing or damaged.
    """
    check_regular_file(path, "the record of the run")
    try:
        content = load_json(path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no json object; it is not the record of a run")
    return content
