"""`reproduce`: the published runs of a benchmark, from drawing references to a table."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterable, Sequence
from typing import TypeVar

from no_time_to_train.commands.command_parser import CommandParser, check_known, whole_number
from no_time_to_train.commands.pipeline.cdfsod import CdfsodPlan
from no_time_to_train.commands.pipeline.command_lines import STAGE, python
from no_time_to_train.commands.pipeline.devices import parse_devices
from no_time_to_train.commands.pipeline.plan import Plan
from no_time_to_train.commands.pipeline.preparation import SAM_VARIABLE, preparations
from no_time_to_train.commands.pipeline.runner import DryRunner, Runner
from no_time_to_train.commands.pipeline.session import Session
from no_time_to_train.commands.pipeline.sweep import Sweep, check_template
from no_time_to_train.dataset.benchmarks import BENCHMARKS, ROOT_VARIABLE
from no_time_to_train.dataset.script_entry import positive_int
from no_time_to_train.errors import InputError

PLANS = {"cdfsod": CdfsodPlan}
"""For benchmarks whose commands differ."""

VARIABLES = (ROOT_VARIABLE, SAM_VARIABLE)

Value = TypeVar("Value")

EPILOG = """Every step is a command line, printed before it runs. A step whose outputs are there
and belong to its inputs (settings, annotations, weights, by their contents) is skipped; so the same
command line goes on where a run was stopped. What stands behind `--` goes to every stage.
DATASETS_ROOT names the folder of the data sets (default ./data), PYTHON the interpreter."""


def main(arguments: list[str]) -> None:
    """Run a benchmark, or print its commands.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: Something that the user gave cannot work.
    """
    own, stage_arguments = _split_at_dashes(arguments)
    options = _build_parser().parse_args(own)
    sweep = _sweep(options, stage_arguments)
    plans = [PLANS.get(sweep.benchmark, Plan)(run) for run in sweep.runs()]
    if options.prepare and not sweep.row.tools:
        able = ", ".join(name for name, row in BENCHMARKS.items() if row.tools)
        raise InputError(f"--prepare makes files of {able}; for {sweep.benchmark} there are none")
    session = Session(DryRunner() if options.dry_run else Runner(), _again(arguments))
    session.prepare(preparations(sweep))
    if not options.prepare:
        session.run(sweep, plans, options.keep_going)


def _again(arguments: Sequence[str]) -> str:
    """The command line that goes on where this one stops, with the variables that it heeds."""
    values = {name: os.environ.get(name) for name in VARIABLES}
    given = "".join(f"{name}={shlex.quote(value)} " for name, value in values.items() if value)
    typed = arguments[:-1] if arguments[-1:] == ["--"] else arguments
    return given + shlex.join(python(STAGE, "reproduce", *typed))


def _split_at_dashes(arguments: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    position = arguments.index("--") if "--" in arguments else len(arguments)
    return list(arguments[:position]), tuple(arguments[position + 1 :])


def _build_parser() -> CommandParser:
    parser = CommandParser("reproduce", EPILOG)
    add = parser.add_argument
    add("benchmark", metavar="BENCHMARK", help=f"One of {', '.join(BENCHMARKS)}.")
    add("--splits", nargs="+", metavar="NAME", help="Of its classes; default: the published ones.")
    add("--shots", nargs="+", type=positive_int, metavar="N", help="References per class.")
    add("--seeds", nargs="+", type=whole_number, metavar="N", help="Of the draws of references.")
    add(
        "--devices",
        type=parse_devices,
        default="1",
        metavar="WHICH",
        help="Number of GPUs, their numbers such as 0,1 or [3], or cpu (default: one GPU).",
    )
    add("--nodes", type=positive_int, default=1, metavar="N", help="Machines (default 1).")
    add(
        "--launcher",
        type=shlex.split,
        default=[],
        metavar="TEXT",
        help="What starts a stage on several machines, such as 'srun --nodes 8'.",
    )
    add("--folder", metavar="TEMPLATE", help="Of a run, with {split}, {shots} and {seed} in it.")
    add("--config", nargs="+", metavar="FILE", help="Settings in place of the published YAML.")
    add("--plot", action="store_true", help="Draw the references, too.")
    add("--cat-names", metavar="A,B", help="Classes in place of those of the split.")
    add(
        "--few-shot-files",
        metavar="FOLDER",
        help="References of TFA or DeFRCN in place of drawn ones; {shots} and {seed} may be in it.",
    )
    add("--prepare", action="store_true", help="Make the files of the data set; run nothing else.")
    add("--keep-going", action="store_true", help="When a run fails, go on with the others.")
    add("--dry-run", action="store_true", help="Print the commands; run none.")
    return parser


def _sweep(options: argparse.Namespace, stage_arguments: tuple[str, ...]) -> Sweep:
    check_known(options.benchmark, BENCHMARKS, "benchmark")
    row = BENCHMARKS[options.benchmark]
    splits = options.splits or row.usual_splits or tuple(row.splits)
    for split in splits:
        if options.cat_names is None:
            check_known(split, row.splits, f"split of {options.benchmark}")
    sweep = Sweep(
        options.benchmark,
        _each_once(splits),
        _each_once(options.shots or row.shots),
        _each_once(options.seeds or row.seeds),
        options.devices,
        options.folder or row.folder,
        configs=tuple(options.config or ()),
        stage_arguments=stage_arguments,
        plot=options.plot,
        launcher=tuple(options.launcher),
        nodes=options.nodes,
        cat_names=options.cat_names,
        few_shot_files=options.few_shot_files,
    )
    check_template("--folder", sweep.folder)
    check_template("--few-shot-files", sweep.few_shot_files or "")
    return sweep


def _each_once(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(values))
