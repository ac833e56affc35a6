"""Write files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from no_time_to_train import termination
from no_time_to_train.errors import InputError


@contextmanager
def replacing(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Open a file that takes the place of `path` when the block ends.

    After an error `path` is as it was. Folders are made as needed. Text is UTF-8.

    Raises:
        InputError: The folder cannot be written to.
    """
    # In the same folder: only within one file system is a rename a single step.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    with termination.temporary(unfinished):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with termination.signals_deferred():
                file = unfinished.open(mode, encoding=None if "b" in mode else "utf-8")
        except OSError as error:
            raise InputError(
                f"cannot write {path} ({error.strerror}); choose another place"
            ) from None
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        termination.replace(unfinished, path)
