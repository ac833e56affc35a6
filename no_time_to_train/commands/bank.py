"""`bank`: shows a memory, and adds, removes, renames and merges its classes."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from no_time_to_train.commands.command_parser import CommandParser
from no_time_to_train.commands.memory_bank import actions
from no_time_to_train.commands.network_options import add_network_arguments
from no_time_to_train.errors import InputError

EPILOG = (
    "`bank ACTION --help` shows what an action takes. An edit takes the place of FILE when all of "
    "it is written; --out leaves FILE as it is. A memory is a checkpoint or, where its name ends "
    "in .safetensors, in that format."
)


class Action(NamedTuple):
    """What can be done with a memory."""

    summary: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], None]
    """Raises an InputError; what is in FILE then stays."""


class ActionParser(ArgumentParser):
    """The parser of one action; its errors are InputErrors, as those of a command."""

    def error(self, message: str) -> NoReturn:
        """Say it in a sentence.

        Raises:
            InputError: Always.
        """
        command = self.prog.partition(" ")[2]
        raise InputError(f"{command}: {message}; `{command} --help` shows what it takes")


def main(arguments: list[str]) -> None:
    """Show or edit a memory.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: The file or a class does not exist, or what is asked for cannot be done.
    """
    options = _build_parser().parse_args(arguments)
    ACTIONS[options.action].run(options)


def _build_parser() -> CommandParser:
    parser = CommandParser("bank", EPILOG)
    rows = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=ActionParser
    )
    for name, action in ACTIONS.items():
        row = rows.add_parser(
            name, help=action.summary, description=action.summary, allow_abbrev=False
        )
        row.set_defaults(action=name)
        row.add_argument("file", type=Path, metavar="FILE", help="The memory.")
        action.add_arguments(row)
    return parser


def _for_show(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--html",
        type=Path,
        metavar="PAGE.html",
        help="Write a page with a picture of every reference, too: one file, which asks nothing of "
        "the network.",
    )


def _for_add(parser: ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "other",
        type=Path,
        nargs="?",
        metavar="OTHER",
        help="A memory that the same encoder filled.",
    )
    source.add_argument(
        "--references",
        type=Path,
        metavar="DIR",
        help="Marked examples, in any layout that `predict --references` finds.",
    )
    parser.add_argument(
        "--classes",
        type=_names,
        metavar="A,B",
        help="The classes to add; by default all. References of a class that FILE has go to it.",
    )
    _add_out(parser)
    add_network_arguments(parser)


def _for_remove(parser: ArgumentParser) -> None:
    parser.add_argument("classes", nargs="+", metavar="CLASS", help="Names of classes.")
    _add_out(parser)


def _for_rename(parser: ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="The name of a class.")
    parser.add_argument("new", metavar="NEW", help="Another name, which no class has.")
    _add_out(parser)


def _for_merge(parser: ArgumentParser) -> None:
    parser.add_argument("classes", nargs="+", metavar="CLASS", help="Two or more classes.")
    parser.add_argument(
        "--into",
        required=True,
        metavar="NAME",
        help="What the class is called that they make; it may be the name of one of them.",
    )
    _add_out(parser)


def _for_export(parser: ArgumentParser) -> None:
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="A new file, ending in .pth or .safetensors."
    )


def _add_out(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, metavar="NEW", help="Where to write; by default, FILE is replaced."
    )


def _names(text: str) -> list[str]:
    """An argparse type: names with commas between them."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"must be names with commas between them, got {text!r}")
    return names


ACTIONS = {
    "show": Action(
        "List the classes of a memory, and how alike the references of each are.",
        _for_show,
        actions.show,
    ),
    "add": Action(
        "Add classes, or references to classes that are there, from another memory or from marked "
        "examples.",
        _for_add,
        actions.add,
    ),
    "remove": Action("Remove classes.", _for_remove, actions.remove),
    "rename": Action("Give a class another name.", _for_rename, actions.rename),
    "merge": Action("Make one class of the references of several.", _for_merge, actions.merge),
    "export": Action(
        "Write the memory in the other format: a checkpoint, or safetensors.",
        _for_export,
        actions.export,
    ),
}
