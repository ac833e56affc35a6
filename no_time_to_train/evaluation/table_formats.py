"""Tables of many runs as text, Markdown, LaTeX, CSV and json."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from no_time_to_train.evaluation.published import Published
from no_time_to_train.evaluation.scores import percent
from no_time_to_train.evaluation.tables import Cell, Table

LEGEND = "* differs from the published value by more than its spread, which counts as 0.5 at least"
FIELDS = (
    *("benchmark", "split", "shots", "seed", "number"),
    *("value", "std", "runs", "published", "published_std", "differs"),
)
"""Of each cell, in CSV and json."""


@dataclass(frozen=True)
class Report:
    """What is to be told of many runs."""

    tables: Sequence[Table]
    missing: Sequence[Mapping[str, Any]]
    """Runs that there should be, with `benchmark`, `split`, `shots`, `seed` and `folder`."""
    notes: Sequence[str]
    """One line each: what is missing, which images could not be read."""


def as_text(report: Report) -> str:
    """Columns of equal width."""
    return "\n\n".join([*map(_text_table, report.tables), *_lines(report)]) + "\n"


def as_markdown(report: Report) -> str:
    """Tables of GitHub's kind, the notes as a list."""
    tables = [_markdown_table(table) for table in report.tables]
    notes = [f"- {note.replace('*', chr(92) + '*')}" for note in _notes(report)]
    return "\n\n".join([*tables, *(["\n".join(notes)] if notes else [])]) + "\n"


def as_latex(report: Report) -> str:
    """`tabular` environments with the rules of booktabs, the notes as comments."""
    notes = [f"% {note}" for note in _notes(report)]
    return "\n\n".join([*map(_latex_table, report.tables), "\n".join(notes)]).rstrip() + "\n"


def as_csv(report: Report) -> str:
    """A row per cell, x 100 to one decimal; where a run is missing, without a value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for values in _cell_fields(report):
        shown = (percent(v) if isinstance(v, float) else v for v in values.values())
        writer.writerow(str(v).lower() if isinstance(v, bool) else v for v in shown)
    return out.getvalue()


def as_json(report: Report) -> str:
    """The same cells, in [0, 1] and in full precision; runs that are missing; notes."""
    content = {
        "cells": _cell_fields(report),
        "missing": [dict(run) for run in report.missing],
        "notes": list(report.notes),
    }
    return json.dumps(content, indent=2) + "\n"


FORMATS: dict[str, Callable[[Report], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
    "json": as_json,
}


def _cell_fields(report: Report) -> list[dict[str, Any]]:
    found = []
    for table in report.tables:
        for cell in (cell for _, line in table.lines for cell in line if isinstance(cell, Cell)):
            value, std = cell.published or (None, None)
            own = (*cell.key, cell.value, cell.std, cell.runs)
            values = (table.benchmark, *own, value, std, cell.differs)
            found.append(dict(zip(FIELDS, values, strict=True)))
    return found


def _notes(report: Report) -> list[str]:
    cells = [cell for table in report.tables for _, line in table.lines for cell in line]
    differs = any(isinstance(cell, Cell) and cell.differs for cell in cells)
    return [*([LEGEND] if differs else []), *report.notes]


def _lines(report: Report) -> list[str]:
    notes = _notes(report)
    return ["\n".join(notes)] if notes else []


def _shown(cell: Cell | Published | None, plus_minus: str = " ± ") -> str:
    if cell is None or cell.value is None:
        return "-"
    spread = "" if cell.std is None else plus_minus + percent(cell.std)
    return percent(cell.value) + spread


def _mark(cell: Cell | Published | None) -> str:
    return "*" if isinstance(cell, Cell) and cell.differs else ""


def _text_table(table: Table) -> str:
    rows = [[table.layout.rows, *table.headers]]
    # A mark has a place of its own, so that numbers stand below each other.
    rows += [
        [label, *(_shown(cell) + (_mark(cell) or " ") for cell in line)]
        for label, line in table.lines
    ]
    rows[0][1:] = [f"{header} " for header in rows[0][1:]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            f"{text:<{width}}" if number == 0 else f"{text:>{width}}"
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([table.title, "", *lines])


def _markdown_table(table: Table) -> str:
    head = [table.layout.rows, *table.headers]
    rows = [
        [label, *(_shown(cell) + (_mark(cell) and r"\*") for cell in line)]
        for label, line in table.lines
    ]
    rule = ["---", *["---:"] * len(table.headers)]
    lines = [f"| {' | '.join(row)} |" for row in [head, rule, *rows]]
    return "\n".join([f"**{table.title}**", "", *lines])


def _latex_table(table: Table) -> str:
    head = " & ".join(map(_escaped, [table.layout.rows, *table.headers]))
    rows = [
        " & ".join(
            [
                _escaped(label),
                *(_shown(cell, r" $\pm$ ") + (_mark(cell) and "$^{*}$") for cell in line),
            ]
        )
        for label, line in table.lines
    ]
    lines = [
        f"% {table.title}",
        rf"\begin{{tabular}}{{l{'r' * len(table.headers)}}}",
        r"\toprule",
        rf"{head} \\",
        r"\midrule",
        *(rf"{row} \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("_", r"\_")
