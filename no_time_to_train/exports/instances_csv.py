"""What was found in many pictures, as a table: one instance a row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO

from no_time_to_train.exports.picture_results import FoundInstance
from no_time_to_train.files import atomic_write

FORMULA_STARTS = ("=", "+", "-", "@", "\t")
"""What makes a spreadsheet program compute a cell instead of showing it."""


@dataclass(frozen=True)
class Row:
    """One instance; the names of the fields are those of the columns."""

    picture: str
    """Its path relative to the folder of the pictures."""
    instance: int
    """Its number in the picture, 1 for the best: its value in the label map."""
    label: str
    """Name of its class; the column is called class."""
    score: float
    """In [0, 1]."""
    x: int
    """First column of pixels."""
    y: int
    """First row of pixels."""
    width: int
    """Columns of pixels."""
    height: int
    """Rows of pixels."""
    area: int
    """Pixels of the whole mask, those that better instances cover included."""
    mask: str
    """Path of the file that shows the mask; empty where none was written."""


HEADER = ["class" if field.name == "label" else field.name for field in fields(Row)]


def instance_rows(
    file_name: str,
    instances: Sequence[FoundInstance],
    class_names: Sequence[str],
    masks: Sequence[str] | None = None,
) -> Iterator[Row]:
    """The rows of a picture.

    Args:
        file_name: Of the picture.
        instances: Best first.
        class_names: By label.
        masks: The file of each mask, relative to the folder of the table; None if there are none.
    """
    files = [""] * len(instances) if masks is None else masks
    for number, (found, mask) in enumerate(zip(instances, files, strict=True), start=1):
        name = class_names[found.label]
        yield Row(file_name, number, name, found.score, *found.bbox, found.area, mask)


def write_csv(target: Path | IO[str], rows: Iterable[Row]) -> None:
    """Write a table as rows come; a file appears whole or not at all.

    Fields are quoted as RFC 4180 has it; text is UTF-8 without a byte order mark, and lines end
    with a line feed alone. What a spreadsheet program would take for a formula is shielded: a path
    by `./` in front of it, which leads to the same file, a class by an apostrophe.

    Args:
        target: A path, or an open text file, which stays open.
        rows: In their order.

    Raises:
        InputError: The file cannot be written.
    """
    if not isinstance(target, Path):
        _write(target, rows)
        return
    with atomic_write(target) as file:
        _write(file, rows)


def _write(file: IO[str], rows: Iterable[Row]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows:
        picture, number, label, score, *numbers, mask = astuple(row)
        # Scores are computed with 24 bits: six digits are what they have.
        shown = [_shielded(picture, "./"), number, _shielded(label, "'"), f"{score:.6g}"]
        writer.writerow([*shown, *numbers, _shielded(mask, "./")])


def _shielded(text: str, guard: str) -> str:
    """Text that is not computed, and that UTF-8 can hold: file names may have other bytes."""
    # A carriage return ends a line for some readers, and csv does not quote it.
    writable = text.encode("utf-8", "backslashreplace").decode().replace("\r", r"\r")
    return guard + writable if writable.startswith(FORMULA_STARTS) else writable
