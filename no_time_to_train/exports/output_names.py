"""Names of the files that are written for a picture: none is that of another picture's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

MAX_TEXT_BYTES = 80
"""Of a class name in a file's name."""
UNSAFE = re.compile(r'[\x00-\x20\x7f"*/:<>?\\|]+')
"""What one of the usual file systems or shells does not take."""


class OutputNames:
    """From a picture to what is made of it: `a/b.jpg` to `a/b.png`.

    Where pictures differ in their suffix alone, or in upper and lower case, which some file systems
    take for the same, the suffix stays: `b.jpg` and `b.tif` give `b.jpg.png` and `b.tif.png`.
    """

    def __init__(self, file_names: Iterable[str]) -> None:
        """Look through all pictures of a run.

        Args:
            file_names: Relative to the folder of the pictures, with forward slashes.
        """
        stems: set[str] = set()
        wholes: set[str] = set()
        self._shared: set[str] = set()
        for name in file_names:
            stem = _without_suffix(name).casefold()
            (self._shared if stem in stems else stems).add(stem)
            wholes.add(name.casefold())
        self._shared |= stems & wholes

    def of(self, file_name: str, suffix: str = "") -> str:
        """The name of an output, relative to its folder.

        Args:
            file_name: Of the picture.
            suffix: Of the output, with a dot; without one, for a folder.
        """
        stem = _without_suffix(file_name)
        return f"{file_name if stem.casefold() in self._shared else stem}{suffix}"


def _without_suffix(file_name: str) -> str:
    return str(PurePosixPath(file_name).with_suffix(""))


def name_part(text: str) -> str:
    """A text, such as the name of a class, as a part of a file's name on any file system.

    Args:
        text: Whatever it holds; letters of all alphabets stay.

    Returns:
        Without slashes, spaces, control characters and dots at its ends; never empty, and cut
        between letters where it is long.
    """
    readable = text.encode("utf-8", "replace").decode()  # json may hold lone surrogates
    safe = UNSAFE.sub("_", readable).strip("._").encode()
    return safe[:MAX_TEXT_BYTES].decode("utf-8", "ignore") or "_"
