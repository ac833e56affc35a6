"""What ran, as lines of text, from the json documents that runs leave."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from no_time_to_train.reports.content import Fact

MAX_TEXT = 2000
"""Characters of one value."""
MAX_BAD_IMAGES = 100
"""Rows of the table of pictures that could not be read."""


def run_facts(document: Mapping[str, Any]) -> list[Fact]:
    """The command, when, on what, how long, and with which versions.

    Args:
        document: A run.json or metrics.json; what it lacks is left out.
    """
    lines = {
        "Command": _command(document.get("command")),
        "Written": document.get("written"),
        "Code": _git(document.get("git")),
        "Machine": _joined(document.get("machine") or document.get("device")),
        "Time": _seconds(document.get("seconds")),
        "Peak memory": _megabytes(document.get("peak_memory_mb")),
        "Seed": document.get("seed"),
        "Versions": _joined(document.get("versions"), " "),
    }
    return [Fact(name, text(value)) for name, value in lines.items() if value not in (None, "")]


def file_facts(document: Mapping[str, Any]) -> list[Fact]:
    """Checksums; a file is named by the setting or flag that names it."""
    files = document.get("files")
    if not isinstance(files, Mapping):
        return []
    return [Fact(str(name), _checksum(value)) for name, value in files.items()]


def _checksum(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(text(part) for part in value.values())
    return text(value)


def setting_facts(settings: Any, without: Sequence[str] = ()) -> list[Fact]:
    """Settings by dotted name.

    Args:
        settings: Nested mappings.
        without: How names begin that are left out.
    """
    leaves = _leaves("", settings)
    return [
        Fact(name, text(value)) for name, value in leaves if not name.startswith(tuple(without))
    ]


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{prefix}.{name}" if prefix else str(name), inner)
    elif prefix:
        yield prefix, value


def bad_image_facts(document: Mapping[str, Any]) -> list[Fact]:
    """The first pictures that could not be read."""
    bad = document.get("bad_images") or document.get("bad_pictures")
    entries = [each for each in bad if isinstance(each, Mapping)] if isinstance(bad, list) else []
    return [
        Fact(text(each.get("file_name")), text(each.get("reason")))
        for each in entries[:MAX_BAD_IMAGES]
    ]


def text(value: Any) -> str:
    """A value of json to read."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        value = ", ".join(map(text, value))
    shown = str(value)
    return shown if len(shown) <= MAX_TEXT else f"{shown[:MAX_TEXT]}..."


def _command(value: Any) -> Any:
    return shlex.join(map(str, value)) if isinstance(value, list) else value


def _git(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    changed = value.get("changed_files")
    state = f", {changed} changed file{'' if changed == 1 else 's'}" if changed else ", unchanged"
    return f"commit {value.get('commit')}{state}"


def _joined(value: Any, between: str = ": ") -> Any:
    if not isinstance(value, Mapping):
        return value
    known = {name: each for name, each in value.items() if each is not None}
    return ", ".join(f"{name}{between}{text(each)}" for name, each in known.items())


def _seconds(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_seconds(each)}" for name, each in value.items())
    return f"{value:,.1f} s" if isinstance(value, int | float) else value


def _megabytes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_megabytes(each)}" for name, each in value.items())
    return f"{value:,.0f} MB" if isinstance(value, int | float) else value
