"""The argparse parser of the commands that need no networks."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Collection
from typing import NoReturn

from no_time_to_train.commands import COMMANDS
from no_time_to_train.errors import InputError


class CommandParser(argparse.ArgumentParser):
    """Its errors are InputErrors, which end a command in one line."""

    def __init__(self, command: str, epilog: str | None = None) -> None:
        """Begin with what the table of commands says.

        Args:
            command: Its name there.
            epilog: What the help ends with.
        """
        super().__init__(
            prog=f"run_lightening.py {command}",
            description=COMMANDS[command].summary,
            epilog=epilog,
            allow_abbrev=False,
        )
        self._command = command

    def error(self, message: str) -> NoReturn:
        """Say it in a sentence.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"{self._command}: {message}; `{self._command} --help` shows what it takes"
        )


def whole_number(text: str) -> int:
    """An argparse type: a whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, got {text[:40]!r}")
    return int(text)


def check_known(name: str, known: Collection[str], what: str) -> None:
    """Refuse a name that is none of those that there are.

    Args:
        name: As given.
        known: What there is.
        what: It is, for the message, such as "benchmark".

    Raises:
        InputError: The name is not known; the sentence has the nearest one, or all.
    """
    if name not in known:
        nearest = difflib.get_close_matches(name[:100], known, n=1)
        repair = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(known)}"
        raise InputError(f"there is no {what} {name[:60]!r}; {repair}")
