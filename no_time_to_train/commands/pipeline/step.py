"""A command line that makes files out of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """One command of a benchmark."""

    title: str
    """For the person who watches, such as "fill the memory"."""
    words: tuple[str, ...]
    """The command line."""
    inputs: Mapping[str, Path]
    """Files by what they are, such as "the reference set"; they need not exist yet."""
    outputs: tuple[Path, ...]
    """What is there when the command has succeeded."""
    keeps_foreign: bool = False
    """Whether outputs that somebody else has made or changed are used as they are."""
    without_effect: tuple[str, ...] = ()
    """Beginnings of flags that do not change what comes of it."""
    resumes: bool = False
    """Whether its command goes on with `--resume` where it was interrupted."""
