"""Where the lines of finished pictures are found again on disk; the lines are not held."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from no_time_to_train.pl_wrapper.journal import LINES

HEAD = re.compile(rb'\{"index": (\d+), "bad": (null|")')
"""How a line begins."""

Line = dict[str, Any]
Accept = Callable[[Line], int | None]
"""From the line of an earlier run to the position of its picture in this one, if it counts."""


class KeptPictures:
    """An index of lines, of some bytes a picture.

    Args:
        total: Pictures of the run.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.count = 0
        """How many are finished."""
        self.bad: set[int] = set()
        """Positions of those that could not be read."""
        self._paths: list[Path] = []
        self._path_of = array("l", [-1]) * total
        self._offset_of = array("q", [0]) * total
        self._folder: Path | None = None
        self._sizes: dict[Path, int] = {}
        self._numbers: dict[Path, int] = {}
        self._lock = Lock()

    def __contains__(self, index: int) -> bool:
        """Whether the picture at this position is finished."""
        return self._path_of[index] >= 0

    def missing(self) -> list[int]:
        """Positions of the pictures that are not finished."""
        return [index for index in range(self.total) if index not in self]

    def is_from(self, index: int, path: Path) -> bool:
        """Whether the line of a picture is in this file."""
        return index in self and self._paths[self._path_of[index]] == path

    def take_up(self, paths: Iterable[Path], accept: Accept) -> None:
        """Take up what earlier runs have finished; of two lines of a picture, the later one.

        Args:
            paths: Of files of lines.
            accept: Tells what counts.
        """
        for path in paths:
            for offset, content in _whole_lines(path):
                with suppress(ValueError):  # after the machine has failed, not the process
                    index = accept(json.loads(content))
                    if index is not None:
                        self._add(index, path, offset)

    def follow(self, folder: Path) -> None:
        """Look for new lines in this folder from now on, whoever writes them.

        Args:
            folder: Of the run; what is in its files now is taken up already.
        """
        self._folder = folder
        self._sizes = {path: path.stat().st_size for path in folder.glob(LINES)}

    def update(self) -> None:
        """Take up what has been finished since; several threads may ask for it."""
        if self._folder is not None:
            with self._lock:
                self._read_new(self._folder)

    def _read_new(self, folder: Path) -> None:
        for path in sorted(folder.glob(LINES)):
            for offset, content in _whole_lines(path, self._sizes.get(path, 0)):
                self._sizes[path] = offset + len(content)
                if head := HEAD.match(content):
                    index = int(head[1])
                    self._add(index, path, offset)
                    if head[2] == b'"':
                        self.bad.add(index)
                    else:
                        self.bad.discard(index)

    def content(self, index: int) -> bytes:
        """The line of a picture as it stands there, read anew."""
        with self._paths[self._path_of[index]].open("rb") as file:
            file.seek(self._offset_of[index])
            return file.readline()

    def line(self, index: int) -> Line:
        """The line of a picture, read anew."""
        line: Line = json.loads(self.content(index))
        return line

    def move(self, index: int, path: Path, offset: int) -> None:
        """Have the line of a picture read from where it has been copied to."""
        self._add(index, path, offset)

    def _add(self, index: int, path: Path, offset: int) -> None:
        if path not in self._numbers:
            self._numbers[path] = len(self._paths)
            self._paths.append(path)
        self.count += index not in self
        self._path_of[index], self._offset_of[index] = self._numbers[path], offset


def _whole_lines(path: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Lines that are not cut off, and where they begin."""
    with path.open("rb") as file:
        file.seek(start)
        for content in file:
            if content.endswith(b"\n"):
                yield start, content
                start += len(content)
