"""What `predict` takes."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from no_time_to_train.commands.command_parser import CommandParser, check_known, whole_number
from no_time_to_train.commands.network_options import add_network_arguments
from no_time_to_train.config import ColourBy
from no_time_to_train.errors import InputError

EPILOG = (
    "Exit codes: 0, all pictures were read; 3, some could not be, and are listed in run.json; 2, "
    "an argument cannot work; 128 + the signal, it was ended, and --resume goes on."
)


def parse(arguments: Sequence[str]) -> Namespace:
    """Read the command line.

    Raises:
        InputError: It is not understood.
    """
    parser = CommandParser("predict", EPILOG)
    add_sources(parser)
    add_results(parser)
    add_network_arguments(parser)
    add_machines(parser)
    return parser.parse_args(arguments)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add what is read."""
    classes = parser.add_mutually_exclusive_group(required=True)
    classes.add_argument(
        "--references",
        type=Path,
        metavar="DIR",
        help="A folder of marked examples, whose layout is found by looking: a folder per class "
        "with masks, Labelme, YOLO or COCO; or one COCO json.",
    )
    classes.add_argument(
        "--memory",
        type=Path,
        metavar="FILE",
        help="A memory that was made before; class names come from it.",
    )
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        required=True,
        metavar="PATH",
        help="Pictures, or folders of them, which are searched with all that is below them.",
    )


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add what is written."""
    results = parser.add_argument_group("results")
    results.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="A new or empty folder for them."
    )
    results.add_argument(
        "--resume",
        action="store_true",
        help="Go on in --out: pictures that are finished and have not changed stay as they are.",
    )
    results.add_argument(
        "--threshold",
        type=score,
        metavar="SCORE",
        help="Lowest score that counts as found; by default the setting model_cfg.test.vis_thr.",
    )
    results.add_argument(
        "--instances", action="store_true", help="Write each mask as a picture of its own, too."
    )
    results.add_argument(
        "--export",
        type=formats,
        default=(),
        metavar="NAMES",
        help="Further formats, comma-separated: coco, labelme, yolo; each in a folder of its name.",
    )
    results.add_argument(
        "--no-overlays", action="store_true", help="Draw nothing over the pictures."
    )
    results.add_argument(
        "--colour-by",
        choices=get_args(ColourBy),
        help="What has a colour of its own in overlays: each class, or each instance, by which "
        "overlapping ones of a class are told apart; by default model_cfg.test.colour_by.",
    )
    results.add_argument(
        "--per-folder",
        action="store_true",
        help="Tables for each folder of pictures, below tables/, written when it is finished: for "
        "millions of pictures.",
    )


def add_machines(parser: argparse.ArgumentParser) -> None:
    """Add how the work is done."""
    machines = parser.add_argument_group("machines")
    for flag, text in (
        ("--devices", "GPUs, or processes on a CPU, that share the pictures; 1 by default."),
        ("--num-nodes", "Machines, each with as many devices; 1 by default."),
    ):
        machines.add_argument(flag, type=count, default=1, metavar="N", help=text)
    machines.add_argument(
        "--batch-size", type=count, metavar="N", help="Pictures that a device encodes at once."
    )
    machines.add_argument(
        "--workers",
        type=whole_number,
        metavar="N",
        help="Processes per device that read pictures; 0 reads in the main process.",
    )


def count(text: str) -> int:
    """An argparse type: a whole number from 1 on."""
    number = whole_number(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be 1 or more, got 0")
    return number


def formats(text: str) -> tuple[str, ...]:
    """An argparse type: names of formats."""
    from no_time_to_train.exports.formats import EXPORTS  # it imports numpy

    names = {name.strip(): None for name in text.split(",")}
    try:
        for name in names:
            check_known(name, EXPORTS, "format of --export")
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return tuple(names)


def score(text: str) -> float:
    """An argparse type: a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got {text[:40]!r}")
    return number
