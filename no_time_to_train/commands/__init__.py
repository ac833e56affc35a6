"""The commands, one file each, and the table that they are found in.

Only the standard library is imported here: what a command needs is imported once it is chosen.
"""

from __future__ import annotations

import difflib
import logging
import shutil
import sys
import textwrap
from importlib import import_module
from typing import NamedTuple, NoReturn

from no_time_to_train import termination
from no_time_to_train.errors import InputError

ABOUT = "Find and segment every instance of a class from a few annotated reference images."
USAGE = "run_lightening.py test --config FILE.yaml [--SETTING VALUE ...]"


class Command(NamedTuple):
    """A row of the table."""

    module: str
    """Its `main` takes what was typed after the command, and raises InputError."""
    summary: str
    """One line of the help."""


COMMANDS = {
    "predict": Command(
        "no_time_to_train.commands.predict",
        "Find and segment every instance in any folder of pictures, from a few marked examples or "
        "a memory.",
    ),
    "bank": Command(
        "no_time_to_train.commands.bank",
        "Show a memory with pictures of its references, add, remove, rename and merge its classes, "
        "or write it in another format.",
    ),
    "check": Command(
        "no_time_to_train.commands.check",
        "Look at what a `test` with the same arguments will read, write and take, and list all "
        "that is wrong.",
    ),
    "reproduce": Command(
        "no_time_to_train.commands.reproduce",
        "Run a benchmark of the paper from references to a table, at any splits, shots and seeds; "
        "what is there already is not done again.",
    ),
    "evaluate": Command(
        "no_time_to_train.commands.evaluate",
        "Measure a stored list of COCO results by the rules of a benchmark.",
    ),
    "episodes": Command(
        "no_time_to_train.commands.episodes",
        "Measure few-shot segmentation by episodes of one class and one query, as COCO-20i has it.",
    ),
    "summary": Command(
        "no_time_to_train.commands.summary",
        "Show every evaluated run below some folders as tables, beside the published numbers.",
    ),
    "app": Command(
        "no_time_to_train.commands.app",
        "Serve a page to try it on in a browser: click on examples, drop pictures, see what is "
        "found.",
    ),
    "report": Command(
        "no_time_to_train.commands.report",
        "Write a page about each of some finished runs: what ran, numbers, pictures.",
    ),
    "weights": Command(
        "no_time_to_train.commands.weights",
        "List the published weights of SAM 2 and DINOv2, and download those that are named.",
    ),
    "test": Command(
        "no_time_to_train.commands.test",
        "Run the stage that --model.test_mode names: fill_memory reads the references; "
        "postprocess_memory condenses them into classes; vis_memory draws them; test segments the "
        "targets.",
    ),
}


def main(arguments: list[str] | None = None) -> None:
    """Run a command; an error that the user can repair is one line on stderr, and exit code 2.

    Args:
        arguments: As typed after the program's name; by default, those of this process.
    """
    setup_logging()
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
    except Exception as error:
        termination.await_failed_rank()
        message = user_message(error)
        if message is None:
            raise
        _exit(message)


def user_message(error: BaseException | None) -> str | None:
    """What an InputError says, also where a library or a worker process has wrapped it."""
    from no_time_to_train.files import WRITE_FAILURES
    from no_time_to_train.setting_paths import also_looked_for

    while error is not None:
        if isinstance(error, InputError):
            # torch re-raises a worker's error with the traceback as text in front of the sentence.
            sentence = " ".join(str(error).rpartition("InputError: ")[2].split())
            return sentence + also_looked_for(sentence)
        if isinstance(error, OSError) and error.errno in WRITE_FAILURES:
            what = error.filename or "a file of this run"
            return f"{what} cannot be written ({error.strerror}); make room or choose another place"
        error = error.__cause__ or error.__context__
    return None


def setup_logging() -> None:
    """Send the messages of this project and of its SAM 2 to stdout; ranks above 0 only warn."""
    from no_time_to_train.dataset.image_log import FirstOfEachKind

    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(FirstOfEachKind())
    for name in ("no_time_to_train", "sam2"):
        ours = logging.getLogger(name)
        ours.handlers = [handler]
        ours.setLevel(logging.INFO if termination.is_first_rank() else logging.WARNING)


def _run(arguments: list[str]) -> None:
    if not arguments:
        raise InputError(f"no command was given; give one of {_listed()}, such as `{USAGE}`")
    name, *rest = arguments
    if name in ("-h", "--help"):
        sys.stdout.write(_help())
        sys.exit(0)
    elif name == "--version":
        sys.stdout.write(_versions())
        sys.exit(0)
    elif name in COMMANDS:
        import_module(COMMANDS[name].module).main(rest)
    else:
        raise InputError(_unknown(name))


def _listed() -> str:
    return " or ".join(COMMANDS)


def _unknown(name: str) -> str:
    if name.startswith("-"):
        return f"{name[:40]} stands before the command; begin with {_listed()}, or --help"
    nearest = difflib.get_close_matches(name, COMMANDS, n=1)
    repair = f"did you mean {nearest[0]}?" if nearest else f"give one of {_listed()}"
    return f"there is no command {name[:40]!r}; {repair}"


def _help() -> str:
    columns = shutil.get_terminal_size().columns - 2
    indent = max(map(len, COMMANDS)) + 4
    rows = (
        textwrap.fill(
            f"{name:{indent - 2}}{command.summary}",
            columns,
            initial_indent="  ",
            subsequent_indent=" " * indent,
        )
        for name, command in COMMANDS.items()
    )
    listed = "\n".join(rows)
    return (
        f"usage: {USAGE}\n\n{textwrap.fill(ABOUT, columns)}\n\noptions:\n"
        "  --help     Show this message; after a command, show what it takes.\n"
        "  --version  Show the versions of this project and of the libraries that results depend "
        f"on.\n\ncommands:\n{listed}\n"
    )


def _versions() -> str:
    from no_time_to_train.commands.outputs import VERSIONS_OF, versions

    found = versions(VERSIONS_OF)
    return "".join(f"{name} {version or 'is not installed'}\n" for name, version in found.items())


def _exit(message: str) -> NoReturn:
    with termination.signals_deferred():  # waits for ever where a signal has the last word
        sys.stderr.write(f"error: {message}\n")
    sys.exit(2)
