"""What was found in many pictures as tables, made of the lines that are kept, one at a time."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from no_time_to_train.exports.coco_document import write_coco
from no_time_to_train.exports.instances_csv import Row, write_csv
from no_time_to_train.exports.picture_results import PictureResult
from no_time_to_train.files import atomic_write
from no_time_to_train.pl_wrapper.prediction.job import TABLE_LINES, Table
from no_time_to_train.pl_wrapper.prediction.kept import KeptPictures
from no_time_to_train.pl_wrapper.prediction.picture_files import csv_rows

RESULTS = "results.json"
INSTANCES = "instances.csv"


@dataclass
class Totals:
    """What was found in all pictures."""

    pictures: int = 0
    """Those that could be read."""
    instances: int = 0
    candidates: int = 0
    """Instances of any score."""
    without_instances: int = 0
    """Pictures in which no instance reaches the threshold."""
    best_score: float | None = None
    """Of all candidates."""
    by_class: Counter[int] = field(default_factory=Counter)
    """Instances by label."""
    bad_pictures: list[dict[str, str]] = field(default_factory=list)
    """Those that could not be read, with `file_name` and `reason`."""

    def add(self, result: PictureResult) -> None:
        """Count a picture."""
        self.pictures += 1
        self.instances += len(result.instances)
        self.candidates += result.candidates
        self.without_instances += not result.instances
        self.by_class.update(instance.label for instance in result.instances)
        if result.best_score is not None:
            self.best_score = max(result.best_score, self.best_score or 0.0)


class TableWriter:
    """Writes tables as soon as all of their pictures are finished.

    Args:
        tables: In the order of the run.
        kept: Where the lines are.
        class_names: By label.
        with_instances: Whether each mask is a file of its own, which the rows name.
        out: Folder of the results.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        kept: KeptPictures,
        class_names: Sequence[str],
        with_instances: bool,
        out: Path,
    ) -> None:
        self.tables, self.kept, self.class_names = tables, kept, class_names
        self.with_instances, self.out = with_instances, out
        self._waiting = [table for table in tables if not self._is_written(table)]

    def write_complete(self) -> None:
        """Write those that have become complete."""
        complete = [table for table in self._waiting if self._is_complete(table)]
        for table in complete:
            self._write(table)
            self._waiting.remove(table)

    def _is_complete(self, table: Table) -> bool:
        return all(index in self.kept for index in range(table.first, table.stop))

    def _is_written(self, table: Table) -> bool:
        """Whether it was made of these pictures, as they are, and no others."""
        lines = table.folder / TABLE_LINES
        names = (RESULTS, INSTANCES)
        if not lines.is_file() or not all((table.folder / name).is_file() for name in names):
            return False
        own = all(self.kept.is_from(index, lines) for index in range(table.first, table.stop))
        with lines.open("rb") as file:
            return own and sum(1 for _ in file) == table.stop - table.first

    def _write(self, table: Table) -> None:
        results = TableResults(self.kept, table)
        if any(True for _ in results):
            write_coco(table.folder / RESULTS, results, self.class_names)
            write_csv(table.folder / INSTANCES, self._rows(table, results))
        else:  # no tables that look as if nothing had been found
            for name in (RESULTS, INSTANCES):
                (table.folder / name).unlink(missing_ok=True)
        self._copy_lines(table)

    def _copy_lines(self, table: Table) -> None:
        path, offsets = table.folder / TABLE_LINES, array("q")
        with atomic_write(path, "wb", is_result=False) as file:
            for index in range(table.first, table.stop):
                offsets.append(file.tell())
                file.write(self.kept.content(index))
        for index, offset in enumerate(offsets, start=table.first):
            self.kept.move(index, path, offset)

    def _rows(self, table: Table, results: TableResults) -> Iterator[Row]:
        up = os.path.relpath(self.out, table.folder)
        names, own_files = self.class_names, self.with_instances
        for line, result in results.with_lines():
            yield from csv_rows(line["output"], result, names, own_files, up)


class TableResults:
    """The pictures of a table that could be read, read from disk each time one goes through."""

    def __init__(self, kept: KeptPictures, table: Table) -> None:
        self._kept, self._table = kept, table

    def __iter__(self) -> Iterator[PictureResult]:
        """Them in order; their ids count from 1 in each table."""
        return (result for _, result in self.with_lines())

    def with_lines(self) -> Iterator[tuple[dict[str, Any], PictureResult]]:
        """The same with what else is in the line."""
        for index in range(self._table.first, self._table.stop):
            if index not in self._kept.bad:
                line = self._kept.line(index)
                image_id = index - self._table.first + 1
                yield line, PictureResult.from_json(line["result"] | {"image_id": image_id})


def totals_of(kept: KeptPictures) -> Totals:
    """Go through all pictures once more."""
    totals = Totals()
    for index in range(kept.total):
        line = kept.line(index)
        if line["bad"] is None:
            totals.add(PictureResult.from_json(line["result"]))
        else:
            bad = {"file_name": line["file_name"], "reason": line["bad"]}
            totals.bad_pictures.append(bad)
    return totals
