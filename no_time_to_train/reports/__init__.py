"""`report.html` of a run: one file that holds all it shows and asks nothing of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write

if TYPE_CHECKING:
    from no_time_to_train.reports.content import Report

REPORT_FILE = "report.html"


def _of_predict(folder: Path) -> Report:
    from no_time_to_train.reports.from_predict import predict_report

    return predict_report(folder)


RUNS: Mapping[str, Callable[[Path], Report]] = {
    "run.json": _of_predict,
}
"""What reads a run, by the file that its folder has; the first that is there counts."""


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the page of a finished run.

    Args:
        folder: Of the run: what `predict` has written, the log folder of `test`, or that of an
            evaluation.json.
        out: Where to; by default `report.html` in that folder.

    Returns:
        Where it is.

    Raises:
        InputError: The folder is of no run, a file of it is damaged, or the page cannot be written.
    """
    name = run_file(folder)
    return write_page(RUNS[name](folder), out or folder / REPORT_FILE)


def run_file(folder: Path) -> str:
    """The file by which the kind of a run is told.

    Raises:
        InputError: There is none in the folder.
    """
    found = next((name for name in RUNS if (folder / name).is_file()), None)
    if found is None:
        raise InputError(
            f"{folder} is no folder of a run: it has none of {', '.join(RUNS)}; name the folder "
            "that `predict` has written or the log folder of `test`"
        )
    return found


def write_page(report: Report, path: Path) -> Path:
    """Write a page.

    Args:
        report: What it shows.
        path: Where to; it appears whole or not at all.

    Raises:
        InputError: It cannot be written.
    """
    from no_time_to_train.reports.page import render

    text = render(report)
    with atomic_write(path) as file:
        file.write(text)
    return path
