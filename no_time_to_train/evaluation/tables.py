"""Tables of many runs: means over seeds, averages over splits and shots, published values."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from no_time_to_train.evaluation.layouts import Axis, Layout
from no_time_to_train.evaluation.published import AVERAGE, Key, Published

Value = int | str | None
PUBLISHED = "published"
AXES: tuple[Axis, ...] = ("split", "shots", "seed", "number")


@dataclass(frozen=True)
class Cell:
    """A number of one run, or the mean of several."""

    key: Key
    runs: int = 0
    """How many there are behind it."""
    value: float | None = None
    """In [0, 1]; None where runs are missing."""
    std: float | None = None
    """Sample standard deviation, of a mean over two seeds or more."""
    published: Published | None = None

    @property
    def differs(self) -> bool:
        """Whether the published value is further away than its spread explains."""
        return (
            self.value is not None
            and self.published is not None
            and self.published.differs_from(self.value)
        )


Line = list[Cell | Published | None]
"""Cells of a row; published values stand in cells of their own."""


@dataclass(frozen=True)
class Table:
    """Rows of cells."""

    benchmark: str
    """Its name."""
    title: str
    layout: Layout
    headers: list[str]
    """Of the columns of cells."""
    lines: list[tuple[str, Line]]
    """Each row's label and cells."""


@dataclass(frozen=True)
class Sweep:
    """What runs of one benchmark have given."""

    benchmark: str
    """Its name."""
    title: str
    """As papers write it."""
    values: Mapping[Key, float]
    """What was measured, in [0, 1]."""
    expected: Collection[Key]
    """Each number of each run that there should be, also where it is missing."""
    published: Mapping[Key, Published]
    covered: Mapping[Axis, Collection[Value]] = field(default_factory=dict)
    """The splits and shots that published averages are over."""


def build_tables(sweep: Sweep, layout: Layout) -> list[Table]:
    """Lay out the runs of one benchmark.

    Args:
        sweep: What there is.
        layout: What goes where.
    """
    cells = _cells(sweep, layout)
    apart = [axis for axis in AXES if axis not in (layout.rows, layout.columns)]
    tables = []
    for group in sorted({tuple(getattr(key, axis) for axis in apart) for key in cells}, key=_rank):
        fixed = dict(zip(apart, group, strict=True))
        inside = {
            key: cell
            for key, cell in cells.items()
            if all(getattr(key, axis) == value for axis, value in fixed.items())
        }
        tables.append(_Grid(sweep, layout, inside).table(_title(sweep.title, fixed, layout)))
    return tables


def all_cells(tables: Iterable[Table]) -> list[Cell]:
    """Every cell of our own, row by row."""
    shown = (cell for table in tables for _, line in table.lines for cell in line)
    return [cell for cell in shown if isinstance(cell, Cell)]


def _cells(sweep: Sweep, layout: Layout) -> dict[Key, Cell]:
    """One per run and number; where seeds are neither rows nor columns, one for all of them."""
    by_seed = "seed" in (layout.rows, layout.columns)
    grouped: dict[Key, list[float]] = {}
    for key in dict.fromkeys([*sweep.expected, *sweep.values]):
        values = grouped.setdefault(key if by_seed else key._replace(seed=AVERAGE), [])
        if key in sweep.values:
            values.append(sweep.values[key])
    return {key: _mean(key, values, sweep.published.get(key)) for key, values in grouped.items()}


def _mean(key: Key, values: Sequence[float], published: Published | None) -> Cell:
    if not values:
        return Cell(key)
    std = statistics.stdev(values) if len(values) > 1 else None
    return Cell(key, len(values), statistics.fmean(values), std, published)


@dataclass(frozen=True)
class _Grid:
    """The cells of one table."""

    sweep: Sweep
    layout: Layout
    cells: Mapping[Key, Cell]

    def table(self, title: str) -> Table:
        """Put averages beside and beneath, and the published ones next to them."""
        layout = self.layout
        rows, columns = self._values(layout.rows), self._values(layout.columns)
        grid = [[self._cell(row, column) for column in columns] for row in rows]
        labels, headers = [_label(row) for row in rows], [_label(column) for column in columns]
        if layout.columns in layout.averages:
            headers.append(_name(layout.columns))
            grid = [[*line, self._average(line, layout.columns)] for line in grid]
        if layout.rows in layout.averages:
            labels.append(_name(layout.rows))
            columns_of_cells = zip(*grid, strict=True)
            grid.append([self._average(line, layout.rows) for line in columns_of_cells])
        lines: list[tuple[str, Line]] = [
            (label, [*line]) for label, line in zip(labels, grid, strict=True)
        ]
        return _with_published(Table(self.sweep.benchmark, title, layout, headers, lines))

    def _values(self, axis: Axis) -> list[Value]:
        """What there is along an axis, in order."""
        found = {getattr(key, axis) for key in self.cells}
        if axis == "number":
            return [number for number in self.layout.numbers if number in found]
        return sorted(found, key=lambda value: _rank((value,)))

    def _cell(self, row: Value, column: Value) -> Cell:
        key = _at(_at(next(iter(self.cells)), self.layout.rows, row), self.layout.columns, column)
        return self.cells.get(key) or Cell(key)

    def _average(self, cells: Sequence[Cell], axis: Axis) -> Cell:
        """Over the seeds that there are, or over all splits or shots, of which none may lack."""
        key = _at(cells[0].key, axis, AVERAGE)
        values = [cell.value for cell in cells if cell.value is not None]
        published = self._published(key)
        if axis == "seed":
            return _mean(key, values, published)
        if len(values) < len(cells):
            return Cell(key)
        runs = sum(cell.runs for cell in cells)
        return Cell(key, runs, statistics.fmean(values), published=published)

    def _published(self, key: Key) -> Published | None:
        """An average was published of all splits and shots; one of others is another number."""
        for axis in ("split", "shots"):
            covered = set(self.sweep.covered.get(axis, ()))
            if getattr(key, axis) == AVERAGE and set(self._values(axis)) != covered:
                return None
        return self.sweep.published.get(key)


def _with_published(table: Table) -> Table:
    """Add a row for those of the averages beneath; for those of the averages beside, a column."""
    lines, layout, headers = table.lines, table.layout, table.headers
    if layout.rows in layout.averages:
        beneath = [cell.published for cell in lines[-1][1] if isinstance(cell, Cell)]
        if any(beneath):
            lines = [*lines, (PUBLISHED, [*beneath])]
    elif layout.columns in layout.averages:
        beside = [line[-1].published for _, line in lines if isinstance(line[-1], Cell)]
        if any(beside):
            pairs = zip(lines, beside, strict=True)
            lines = [(label, [*line, value]) for (label, line), value in pairs]
            headers = [*headers, PUBLISHED]
    return replace(table, headers=headers, lines=lines)


def _at(key: Key, axis: Axis, value: Value) -> Key:
    return Key(**{**key._asdict(), axis: value})


def _rank(values: Sequence[Value]) -> list[tuple[bool, int, str]]:
    """Sorts whole numbers by size, then names; what nobody said comes first."""
    return [
        (isinstance(value, str), value if isinstance(value, int) else -1, str(value))
        for value in values
    ]


def _label(value: Value) -> str:
    return "-" if value is None else str(value)


def _name(axis: Axis) -> str:
    return "mean" if axis == "seed" else AVERAGE


def _title(benchmark: str, fixed: Mapping[Axis, Value], layout: Layout) -> str:
    """What all cells share, then what they differ in."""
    shots = f"shots {fixed['shots']}" if fixed.get("shots") else ""
    shared = ", ".join(filter(None, [benchmark, str(fixed.get("split", "")), shots]))
    number = f": {fixed['number']}" if "number" in fixed else ""
    return f"{shared}{number} by {layout.rows} and {layout.columns}"
