"""The log file of a prediction, in the folder of its results."""

from __future__ import annotations

import logging
from logging.handlers import MemoryHandler
from pathlib import Path

PACKAGE = "no_time_to_train"
FILE_ALONE = "file_alone"
"""Attribute of a log record that is not shown; it is set for what a terminal shows otherwise."""
MAX_EARLY = 100_000
"""Messages that wait for the file; the folder is made when all is checked."""


class RunLog:
    """Writes this project's messages into a file too, with their time, after what is in it.

    Those that come before `open` wait for it, and are dropped where it never comes.
    """

    def __init__(self) -> None:
        self._early = MemoryHandler(MAX_EARLY, logging.CRITICAL + 1, flushOnClose=False)
        self._file: logging.FileHandler | None = None
        self._package = logging.getLogger(PACKAGE)
        self._shown = list(self._package.handlers)

    def __enter__(self) -> RunLog:
        """Begin to listen."""
        self._package.addHandler(self._early)
        for handler in self._shown:
            handler.addFilter(_is_shown)
        return self

    def open(self, path: Path) -> None:
        """Write what came before, and all that comes, into this file."""
        file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._early.setTarget(file)
        self._early.flush()
        self._package.removeHandler(self._early)
        self._package.addHandler(file)
        self._file = file

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        self._package.removeHandler(self._early)
        for handler in self._shown:
            handler.removeFilter(_is_shown)
        if self._file is not None:
            self._package.removeHandler(self._file)
            self._file.close()


def _is_shown(record: logging.LogRecord) -> bool:
    return not getattr(record, FILE_ALONE, False)
