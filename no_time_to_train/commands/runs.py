"""`runs.json`: the runs that a sweep consists of, written before the first of them begins.

`reproduce` writes it into the top folder of its runs; `summary` tells from it which are missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from no_time_to_train.coco.json_text import load_json
from no_time_to_train.commands.command_parser import check_known
from no_time_to_train.dataset.benchmarks import BENCHMARKS
from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write, check_regular_file

RUNS_FILE = "runs.json"


@dataclass(frozen=True)
class Run:
    """One run of a sweep."""

    benchmark: str
    """A row of BENCHMARKS."""
    split: str
    """One of its splits."""
    shots: int
    """References per class."""
    seed: int
    """Of the draw of references."""
    folder: str
    """Where its evaluation.json goes; absolute, or below the folder of runs.json."""


def write_runs(folder: Path, runs: Iterable[Run]) -> None:
    """Write `runs.json` into a folder.

    Args:
        folder: Of the whole sweep.
        runs: In the order in which they will run.

    Raises:
        InputError: It cannot be written there.
    """
    with atomic_write(folder / RUNS_FILE) as file:
        json.dump([asdict(run) for run in runs], file, indent=2)
        file.write("\n")


def read_runs(folder: Path) -> list[Run]:
    """Read the `runs.json` of a folder.

    Raises:
        InputError: It is missing or damaged.
    """
    path = folder / RUNS_FILE
    check_regular_file(path, "the list of runs")
    try:
        document = load_json(path)
        if not isinstance(document, list):
            raise InputError("expected a list of runs")
        return [_run(entry) for entry in document]
    except InputError as error:
        raise InputError(f"{path}: {error}; `reproduce` writes it anew") from None


def _run(entry: Any) -> Run:
    kinds = {field.name: int if field.name in ("shots", "seed") else str for field in fields(Run)}
    if not isinstance(entry, dict) or {k: type(v) for k, v in entry.items()} != kinds:
        raise InputError(f"a run must have {', '.join(kinds)}, got {str(entry)[:100]}")
    check_known(entry["benchmark"], BENCHMARKS, "benchmark")
    return Run(**entry)
