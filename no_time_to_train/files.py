"""Files that people name: which of them may be opened at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from no_time_to_train.errors import InputError

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular_file(path: str | Path, what: str) -> None:
    """Refuse what exists and is no regular file; reading a named pipe would wait for ever.

    What does not exist passes: whoever opens it knows how to get it.

    Args:
        path: Where the user says it is; symbolic links are followed.
        what: What it should be, for the message, such as "the COCO json".

    Raises:
        InputError: It is a folder, a named pipe, a socket or a device, or no path at all.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{what} {str(path)!r} cannot be opened ({reason})") from None
    kind = next((name for holds, name in KINDS if holds(mode)), None)
    if kind is not None:
        raise InputError(f"{what} {path} is {kind}; give the name of a file")
