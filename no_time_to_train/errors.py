"""The one exception that is meant for the person who typed the command, and lists in its words."""

from __future__ import annotations

from collections.abc import Sequence


class InputError(ValueError):
    """Something the user gave cannot work: a setting, a path, a file's content.

    The message is one sentence that needs no other: the cause, the offending value, the repair.
    Command line tools print it without a traceback and exit with code 2.
    """


def listed(names: Sequence[str], max_shown: int = 5) -> str:
    """Names on one line of a message: of any length, with line breaks, or very many."""
    rest = f", ... {len(names) - max_shown} more" if len(names) > max_shown else ""
    return ", ".join(" ".join(name[:60].split()) for name in names[:max_shown]) + rest
