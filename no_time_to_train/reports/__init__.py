"""`report.html` of a run: one file that holds all it shows and asks nothing of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write

if TYPE_CHECKING:
    from no_time_to_train.reports.content import Report
    from no_time_to_train.reports.measured import Measured

REPORT_FILE = "report.html"


def _of_predict(folder: Path) -> Report:
    from no_time_to_train.reports.from_predict import predict_report

    return predict_report(folder)


def _of_test(folder: Path) -> Report:
    from no_time_to_train.reports.from_test import measured_report

    return measured_report(folder)


def _of_evaluation(folder: Path) -> Report:
    from no_time_to_train.reports.from_evaluation import evaluation_report

    return evaluation_report(folder)


RUNS: Mapping[str, Callable[[Path], Report]] = {
    "run.json": _of_predict,
    "metrics.json": _of_test,
    "evaluation.json": _of_evaluation,
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
    try:
        report = RUNS[name](folder)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{folder / name} is damaged, or of another version ({reason}); repeat the run"
        ) from error
    return write_page(report, out or folder / REPORT_FILE)


def write_test_report(folder: Path, measured: Measured) -> Path:
    """Write the page of a `test` run whose results are in memory, into its log folder.

    Args:
        folder: With its metrics.json.
        measured: Its results.

    Returns:
        Where it is.

    Raises:
        InputError: It cannot be written.
    """
    from no_time_to_train.reports.from_test import measured_report

    return write_page(measured_report(folder, measured), folder / REPORT_FILE)


def run_file(folder: Path) -> str:
    """The file by which the kind of a run is told.

    Raises:
        InputError: There is none in the folder.
    """
    found = next((name for name in RUNS if (folder / name).is_file()), None)
    if found is None:
        raise InputError(
            f"{folder} is no folder of a run: it has none of {', '.join(RUNS)}; name the folder "
            "that `predict` has written or the log folder of a `test`"
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
