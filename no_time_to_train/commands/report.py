"""`report`: a page about each of some finished runs."""

from __future__ import annotations

import logging
from pathlib import Path

from no_time_to_train.commands.command_parser import CommandParser
from no_time_to_train.errors import InputError
from no_time_to_train.output_checks import prepare_outputs
from no_time_to_train.reports import REPORT_FILE, run_file, write_report

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    """Write a page per run.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: A folder is of no run, or a page cannot be written.
    """
    options = _build_parser().parse_args(arguments)
    if options.out and len(options.runs) > 1:
        raise InputError(
            f"--out names one file, and there are {len(options.runs)} runs; leave it out, and each "
            f"gets {REPORT_FILE} in its own folder"
        )
    folders = [_folder(run) for run in options.runs]
    pages = [options.out or folder / REPORT_FILE for folder in folders]
    read = [folder / run_file(folder) for folder in folders]
    prepare_outputs({"--out" if options.out else "the page": pages}, {"the run": read})
    for folder, page in zip(folders, pages, strict=True):
        written = write_report(folder, page)
        logger.info("%s written (%.1f MB)", written, written.stat().st_size / 1e6)


def _folder(run: Path) -> Path:
    """The folder of a run, which a file of it may stand for."""
    if run.is_dir():
        return run
    if run.is_file():
        return run.parent
    raise InputError(f"there is no folder {run}; name the folders of the runs")


def _build_parser() -> CommandParser:
    parser = CommandParser(
        "report",
        "A page is one file that asks nothing of the network: what ran, numbers where there is "
        "ground truth, the references, and pictures with a threshold to move. Of a `test` run it "
        "has curves, confusions and pictures where --export_result has kept its results.",
    )
    add = parser.add_argument
    add(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="Folder that `predict` has written, log folder of `test` (with metrics.json), or "
        "folder of an evaluation.json.",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"Where the page of a single run goes; by default {REPORT_FILE} in its folder.",
    )
    return parser
