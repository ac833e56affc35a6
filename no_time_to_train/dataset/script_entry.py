"""What the command line tools share: progress on stdout, one line on stderr when it fails."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Callable

from no_time_to_train import termination
from no_time_to_train.errors import InputError


def run_script(main: Callable[[], None]) -> None:
    """Run a tool; an InputError becomes one line on stderr and exit code 2, without a traceback.

    A signal ends it with one line, too, and the exit code that shells expect.
    """
    termination.run(lambda: _run(main))


def _run(main: Callable[[], None]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        main()
    except InputError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(2)


def positive_int(text: str) -> int:
    """An argparse type: a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, got {text!r}")
    return int(text)


def score_threshold(text: str) -> float:
    """An argparse type: a score, from 0 to 1."""
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got {text[:40]!r}")
    return score
