"""The one exception that is meant for the person who typed the command."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot work: a setting, a path, a file's content.

    The message is the whole story, in one sentence: the cause, the offending value, the repair.
    Command line tools print it without a traceback and exit with code 2.
    """
