"""`summary`: one table per benchmark of every run below some folders."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from no_time_to_train.commands.command_parser import CommandParser
from no_time_to_train.commands.evaluations import (
    RunEvaluation,
    describe,
    find_files,
    find_runs,
    read_evaluations,
)
from no_time_to_train.commands.runs import RUNS_FILE, Run
from no_time_to_train.commands.sweeps import MissingRun, group_runs
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.table_formats import FORMATS, Report
from no_time_to_train.files import atomic_write
from no_time_to_train.output_checks import prepare_outputs

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    """Collect the runs below some folders and show them as tables.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: There is no such folder, or none holds an evaluation.
    """
    options = _build_parser().parse_args(arguments)
    runs = find_runs(options.folders)
    evaluations = read_evaluations(options.folders, runs)
    if not evaluations:
        raise InputError(_nothing(options.folders, runs))
    if options.out:
        read = {
            "the evaluation": [evaluation.path for evaluation in evaluations],
            "the list of runs": list(find_files(options.folders, RUNS_FILE)),
        }
        prepare_outputs({"--out": options.out}, read)
    report = _report(evaluations, runs)
    text = FORMATS[options.format](report)
    if options.out:
        with atomic_write(options.out) as file:
            file.write(text)
        logger.info("%d runs in %s", len(evaluations), options.out)
    else:
        sys.stdout.write(text)
    if options.out or options.format == "csv":  # which has no place for them
        sys.stderr.write("".join(f"{note}\n" for note in report.notes))


def _build_parser() -> CommandParser:
    parser = CommandParser(
        "summary",
        "Values are x 100, means over seeds with their sample standard deviation; json has them in "
        "[0, 1]. Runs that a runs.json lists, or that would complete the table, are named where "
        "they are missing.",
    )
    add = parser.add_argument
    add("folders", type=Path, nargs="+", metavar="FOLDER", help="With evaluation.json files below.")
    add("--format", choices=FORMATS, default="text", help="Of the tables; by default text.")
    add("--out", type=Path, metavar="FILE", help="Where to write; by default, to the terminal.")
    return parser


def _nothing(folders: Sequence[Path], runs: Sequence[Run]) -> str:
    where = ", ".join(map(str, folders))
    of = f" of the {len(runs)} runs that it lists" if runs else ""
    return f"there is no evaluation.json{of} in {where}; `evaluate` writes them"


def _report(evaluations: Sequence[RunEvaluation], runs: Sequence[Run]) -> Report:
    groups = group_runs(evaluations, runs)
    tables = [table for group in groups for table in group.tables()]
    missing = [run for group in groups for run in group.missing()]
    notes = [*map(_missing, missing), *_caveats(evaluations)]
    return Report(tables, [asdict(run) for run in missing], notes)


def _missing(run: MissingRun) -> str:
    place = f": nothing in {run.folder}" if run.folder else ""
    return f"missing: {describe((run.benchmark, run.split, run.shots, run.seed))}{place}"


def _caveats(evaluations: Iterable[RunEvaluation]) -> Iterator[str]:
    """Runs whose numbers are not those of every image of the data set."""
    for evaluation in evaluations:
        run = describe((evaluation.benchmark, *evaluation.key))
        if evaluation.limited_by:
            yield f"{run}: a part of the images only ({evaluation.limited_by})"
        if count := evaluation.bad_images:
            yield f"{run}: {count} image{'s' if count > 1 else ''} could not be read"
