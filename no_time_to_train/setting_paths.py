"""Paths in settings files: found from the current folder, or else from the folder of the file."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from no_time_to_train.config import DOWNLOAD

logger = logging.getLogger(__name__)

MODEL = ("model", "init_args", "model_cfg")
DATASETS = ("model", "init_args", "dataset_cfgs")
PATH_SETTINGS = {
    ("ckpt_path",),
    (*MODEL, "sam2_ckpt_path"),
    (*MODEL, "encoder_ckpt_path"),
    (*MODEL, "proposer_cfg", "file"),
    (*MODEL, "test", "imgs_path"),
    (*DATASETS, "fill_memory", "root"),
    (*DATASETS, "fill_memory", "json_file"),
    (*DATASETS, "fill_memory", "memory_pkl"),
    (*DATASETS, "test", "root"),
    (*DATASETS, "test", "json_file"),
}
"""Settings that name what is read; outputs always start from the current folder."""

_absent: dict[str, str] = {}
"""Relative paths that are in neither place, and where they would be beside their file."""


def with_paths_beside(text: str, file: str | Path) -> str:
    """Settings whose paths begin with the folder of their file where they are found only there.

    Args:
        text: YAML that has been checked.
        file: Where it stands.

    Returns:
        The text with those paths replaced, each said in a line of the log.
    """
    root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    moved: dict[int, tuple[int, str]] = {}
    for node in _path_values(root, ()):
        start, beside = node.start_mark.index, Path(file).parent / node.value
        has_anchor = text[start] in "&!"  # whose value may stand elsewhere too
        if has_anchor or os.path.isabs(node.value) or os.path.exists(node.value):
            continue
        if not os.path.exists(beside):
            _absent[str(Path(node.value))] = str(beside)
        else:
            moved[start] = node.end_mark.index, str(beside)
            _tell(f"{file}: {node.value} is not in the current folder, so {beside} is used")
    for start in sorted(moved, reverse=True):
        end, path = moved[start]
        text = text[:start] + json.dumps(path, ensure_ascii=False) + text[end:]
    return text


def also_looked_for(sentence: str) -> str:
    """Name the second place of a path that an error speaks of, where a settings file has one.

    Args:
        sentence: Of the error.

    Returns:
        To put behind the sentence; empty where it is about something else.
    """
    places = [
        beside for path, beside in _absent.items() if re.search(rf"\b{re.escape(path)}\b", sentence)
    ]
    return f" ({places[0]}, beside the settings file, is not there either)" if places else ""


def forget_places() -> None:
    """Begin with the settings files of another command."""
    _absent.clear()


def _path_values(node: yaml.Node | None, name: tuple[str, ...]) -> Iterator[yaml.ScalarNode]:
    """The values of settings below a node that name what is read."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _path_values(value, (*name, str(key.value)))
    elif (
        isinstance(node, yaml.ScalarNode)
        and name in PATH_SETTINGS
        and node.value not in ("", DOWNLOAD)
    ):
        yield node


@cache
def _tell(message: str) -> None:
    """Log it once: a command reads its settings files several times."""
    logger.info("%s", message)
