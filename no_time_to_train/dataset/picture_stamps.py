"""By which it is seen that a file has changed since it was read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class FileStamp(NamedTuple):
    """Size and time of a file."""

    bytes: int
    mtime_ns: int
    """When it was last written, in nanoseconds."""

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """That of a file; of one that cannot be looked at, one that no file has."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return cls(-1, -1)
        return cls(status.st_size, status.st_mtime_ns)
