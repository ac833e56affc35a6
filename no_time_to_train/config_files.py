"""Settings in YAML, read within bounds of time and memory.

A few lines of aliases can stand for billions of values, and a value can contain itself; whoever
copies or goes through such settings never ends. Both are seen here in what the parser composes,
before anything is built from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file
from no_time_to_train.setting_paths import with_paths_beside

MAX_BYTES = 1_000_000
"""Largest file; published ones have 2,000 bytes."""
MAX_VALUES = 100_000
"""Most values, each alias counted as all that it stands for."""
MAX_DEPTH = 100
"""Deepest nesting; the settings have seven levels."""

KINDS = {"int": "a number", "float": "a number", "bool": "true or false", "null": "null"}
NAMES = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


def read_config(path: str | Path) -> str:
    """Read the text of a settings file and check that it can be parsed.

    Its relative paths are found from the current folder or else from its own; the text says where.

    Raises:
        InputError: It is missing, no text in UTF-8, no YAML, or more than settings can be.
    """
    check_regular_file(path, "the settings file")
    try:
        data = _bytes(Path(path))
        text = data.decode("utf-8-sig")
        safe_load(text)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is no text in UTF-8 (byte {error.start + 1} is {data[error.start]:#04x}); "
            "save it in that encoding"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None
    return with_paths_beside(text, path)


def load_config(path: str | Path) -> dict[str, Any]:
    """What a settings file holds; nothing where it is empty.

    Raises:
        InputError: As for `read_config`, or it holds no settings by name.
    """
    content = safe_load(read_config(path))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(
            f"{path} must hold settings by name, such as `trainer:`, got {type(content).__name__}"
        )
    return content


def safe_load(text: str) -> Any:
    """Plain data from YAML.

    Raises:
        yaml.YAMLError: It is no YAML, or more than settings can be.
    """
    check_yaml(text)
    try:
        return yaml.safe_load(text)
    except ValueError as error:  # a number of too many digits
        raise yaml.YAMLError(str(error)) from None


def check_yaml(text: str) -> None:
    """Refuse YAML that contains itself, stands for too many values, or has keys that are no names.

    Raises:
        yaml.YAMLError: It does, or it is no YAML at all.
    """
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (RecursionError, ValueError) as error:
        raise yaml.YAMLError(str(error)) from None
    if root is not None:
        _count_values(root, {}, 0)


def _count_values(node: yaml.Node, counts: dict[int, int | None], depth: int) -> int:
    """Values below a node, itself included; `counts` holds those known, None while they are made.

    Raises:
        yaml.YAMLError: The node contains itself, nests too deep, or holds too much.
    """
    where = f"in line {node.start_mark.line + 1}"
    if id(node) in counts:
        known = counts[id(node)]
        if known is None:
            raise yaml.YAMLError(f"the value {where} contains itself; write it without that alias")
        return known
    if depth > MAX_DEPTH:
        raise yaml.YAMLError(f"values nest more than {MAX_DEPTH} deep {where}")
    counts[id(node)] = None
    count = 1 + sum(_count_values(part, counts, depth + 1) for part in _parts(node))
    if count > MAX_VALUES:
        raise yaml.YAMLError(
            f"the aliases {where} stand for more than {MAX_VALUES} values; write out what you need"
        )
    counts[id(node)] = count
    return count


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    for key, _ in node.value:
        if key.tag not in NAMES:
            kind = KINDS.get(key.tag.rpartition(":")[2], "no text")
            shown = f" {key.value}" if isinstance(key, yaml.ScalarNode) else ""
            raise yaml.YAMLError(
                f"the key{shown} in line {key.start_mark.line + 1} is {kind}; "
                "settings have names, quote it if it is one"
            )
    return [part for pair in node.value for part in pair]


def _bytes(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputError(f"{path} has {size} bytes; settings have {MAX_BYTES} at most")
    return path.read_bytes()
