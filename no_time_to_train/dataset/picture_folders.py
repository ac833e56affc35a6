"""Which pictures people mean by folders and files; none is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from no_time_to_train.errors import InputError, listed

SUFFIXES = {
    *(".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"),
    *(".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}
"""Of the formats that are read; in folders, other files are left alone."""


@dataclass(frozen=True)
class FoundPictures:
    """Pictures below one folder."""

    root: Path
    names: list[str]
    """Relative to the root, with forward slashes; folder by folder, each in order of names."""
    others: Counter[str] = field(default_factory=Counter)
    """How many files of the folders are no pictures, by suffix in lower case."""

    def describe_others(self) -> str:
        """What was left alone, as a sentence; empty where nothing was."""
        if not self.others:
            return ""
        kinds = [f"{count} {suffix or 'without suffix'}" for suffix, count in self.others.items()]
        files = "1 file is" if self.others.total() == 1 else f"{self.others.total()} files are"
        return f"{files} left alone, not being pictures by name: {listed(sorted(kinds))}"


def find_pictures(sources: Sequence[Path], without: Path) -> FoundPictures:
    """Look for pictures.

    Folders are searched with all that is below them, links included; what is hidden, and files
    whose suffix is of no picture, are left alone. A file that is named itself is always taken.

    Args:
        sources: Folders and files.
        without: A folder that is not searched, such as that of the results.

    Raises:
        InputError: One does not exist or may not be read, or there is no picture.
    """
    root = common_folder(sources)
    others: Counter[str] = Counter()
    seen = {_identity(without)}
    paths: set[str] = set()
    for source in sources:
        if source.is_dir():
            paths.update(_walk(str(source), seen, others))
        else:
            paths.add(str(source))
    names = {os.path.relpath(path, root).replace(os.sep, "/") for path in paths}
    if not names:
        raise InputError(_nothing_found(sources, others))
    return FoundPictures(root, sorted(names, key=_by_folder), others)


def printable(name: str) -> str:
    """The name as text that any file can hold: bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _by_folder(name: str) -> tuple[str, str]:
    folder, _, own = name.rpartition("/")
    return folder, own


def common_folder(sources: Sequence[Path]) -> Path:
    """The folder that all are in; of a single folder, itself.

    Raises:
        InputError: One does not exist.
    """
    for source in sources:
        if not os.path.lexists(source):
            raise InputError(f"--images {source} does not exist; give folders or files of pictures")
    folders = [source if source.is_dir() else source.parent for source in sources]
    if len({*map(str, folders)}) == 1:
        return folders[0]
    return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))


def _walk(folder: str, seen: set[tuple[int, int]], others: Counter[str]) -> Iterator[str]:
    identity = _identity(Path(folder))
    if identity in seen:  # a link led back, or it is the folder of the results
        return
    seen.add(identity)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be searched ({error.strerror}); change its mode"
        ) from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        suffix = os.path.splitext(entry.name)[1].lower()
        if entry.is_dir():
            yield from _walk(entry.path, seen, others)
        elif suffix in SUFFIXES and (entry.is_file() or not os.path.exists(entry.path)):
            yield entry.path  # also links to nowhere, which are told of as bad pictures
        else:
            others[suffix] += 1


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1  # of no folder that is searched
    return status.st_dev, status.st_ino


def _nothing_found(sources: Sequence[Path], others: Counter[str]) -> str:
    where = listed([str(source) for source in sources])
    besides = f" among {others.total()} other files" if others else ""
    known = ", ".join(sorted(SUFFIXES))
    return f"there is no picture in {where}{besides}; names of pictures end in one of {known}"
