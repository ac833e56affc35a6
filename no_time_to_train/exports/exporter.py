"""What every format of `--export` does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from no_time_to_train.exports.picture_results import PictureResult


class Exporter(Protocol):
    """Writes files of pictures as they are done, and those of the whole set at the end."""

    def write_picture(self, result: PictureResult, output: str, source: Path) -> None:
        """Write what belongs to one picture; once more gives the same files.

        Args:
            result: What was found.
            output: What its files are called, without suffix; see `OutputNames`.
            source: The picture.

        Raises:
            InputError: A file cannot be written.
        """

    def finish(self, results: Iterable[PictureResult]) -> None:
        """Write what belongs to the whole set.

        Args:
            results: Of all pictures, gone through as often as needed: a list, or an object that
                reads them anew each time.

        Raises:
            InputError: A file cannot be written.
        """


@dataclass(frozen=True)
class ExportTarget:
    """Where an export goes, and what it needs to know."""

    folder: Path
    """Of this export alone."""
    class_names: Sequence[str]
    """By label."""
