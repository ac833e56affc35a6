"""The one exception that is meant for the person who typed the command, and lists in its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class InputError(ValueError):
    """Something the user gave cannot work: a setting, a path, a file's content.

    The message is one sentence that needs no other: the cause, the offending value, the repair.
    Command line tools print it without a traceback and exit with code 2.
    """


@contextmanager
def naming(what: str, kind: type[InputError] = InputError) -> Iterator[None]:
    """Put the setting, flag or file that the user knows in front of the sentence about it.

    Args:
        what: What the user calls it.
        kind: Of the errors that are about it.
    """
    try:
        yield
    except kind as error:
        raise InputError(f"{what}: {error}") from None


def listed(names: Sequence[str], max_shown: int = 5) -> str:
    """Names on one line of a message: of any length, with line breaks, or very many."""
    rest = f", ... {len(names) - max_shown} more" if len(names) > max_shown else ""
    return ", ".join(" ".join(name[:60].split()) for name in names[:max_shown]) + rest
