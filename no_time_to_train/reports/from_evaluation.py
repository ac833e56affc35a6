"""The page of an evaluation.json, as `evaluate` and `episodes` write it: its tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.scores import percent
from no_time_to_train.reports.content import BarRow, BarTable, Fact, Report, Table
from no_time_to_train.reports.documents import read_document
from no_time_to_train.reports.facts import bad_image_facts, file_facts, run_facts, text

EVALUATION_FILE = "evaluation.json"
NO_TRUTH = "The evaluation holds no number: no instance of its classes was annotated."
MISSING = (
    "Curves, confusions and pictures are missing: an evaluation.json holds tables alone; the log "
    "folder of the test has the others."
)
KINDS = ("box", "mask")
MAX_HEADLINE = 4
"""Numbers in large print: the first, which benchmarks report first."""


def evaluation_report(folder: Path) -> Report:
    """Read an evaluation.

    Args:
        folder: With its evaluation.json.

    Raises:
        InputError: It is missing or damaged.
    """
    path = folder / EVALUATION_FILE
    content = read_document(path)
    numbers = content.get("numbers")
    if not isinstance(numbers, dict):
        raise InputError(f"{path} is not what `evaluate` writes: it has no numbers")
    measured = {name: value for name, value in numbers.items() if isinstance(value, int | float)}
    return Report(
        title=f"Evaluation: {content.get('title') or content.get('benchmark')}",
        headline=[
            *(Fact(name, percent(measured[name])) for name in list(measured)[:MAX_HEADLINE]),
            *([Fact("Pictures", f"{content['images']:,}")] if "images" in content else []),
        ],
        notes=[*_notes(content), MISSING],
        facts=[*_about(content), *run_facts({**content, "seed": None})],
        files=file_facts(content),
        truth=None if measured else NO_TRUTH,
        tables=[_table(numbers)] if measured else [],
        per_class=_class_bars(content.get("per_class")),
        bad_images=bad_image_facts(content),
        bad_image_count=len(content.get("bad_images") or []),
    )


def _table(numbers: Mapping[str, Any]) -> Table:
    """A row per number; those of boxes and masks stand side by side."""
    kinds = [kind for kind in KINDS if any(name.startswith(f"{kind} ") for name in numbers)]
    if not all(name.startswith(tuple(f"{kind} " for kind in KINDS)) for name in numbers):
        rows = [[name, _cell(value)] for name, value in numbers.items()]
        return Table("Numbers, x 100", ["", "value"], rows)
    names = dict.fromkeys(name.partition(" ")[2] for name in numbers)
    rows = [[name, *(_cell(numbers.get(f"{kind} {name}")) for kind in kinds)] for name in names]
    return Table("Numbers, x 100", ["", *kinds], rows)


def _cell(value: Any) -> str:
    return percent(value) if isinstance(value, int | float) else "no ground truth"


def _about(content: Mapping[str, Any]) -> list[Fact]:
    names = ("benchmark", "split", "shots", "seed", "metrics")
    return [
        Fact(name.capitalize(), text(content[name]))
        for name in names
        if content.get(name) is not None
    ]


def _notes(content: Mapping[str, Any]) -> list[str]:
    if limit := content.get("limited_by"):
        return [f"Only a part of the pictures ran ({limit}); numbers are of these."]
    return []


def _class_bars(per_class: Any) -> BarTable | None:
    """Whatever numbers in [0, 1] the benchmark has for each class, the best first."""
    if not isinstance(per_class, list) or not all(isinstance(row, dict) for row in per_class):
        return None
    columns = [name for name in (per_class[0] if per_class else {}) if _is_share(per_class, name)]
    if not columns:
        return None
    rows = [
        BarRow(text(row.get("name")), row.get("instances"), [row.get(key) for key in columns])
        for row in per_class
    ]
    rows.sort(key=lambda row: -1.0 if row.values[0] is None else row.values[0], reverse=True)
    counted = "instances" if any(row.count is not None for row in rows) else None
    titles = [name.replace("_", " ").replace("ap", "AP") for name in columns]
    caption = "Classes, x 100, the best first"
    return BarTable(caption, "class", counted, titles, rows).limited()


def _is_share(rows: list[dict[str, Any]], name: str) -> bool:
    values = [row.get(name) for row in rows]
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(each, float) and 0 <= each <= 1 for each in known)
