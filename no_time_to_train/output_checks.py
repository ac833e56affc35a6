"""What a run writes must not be what it reads: checked before any work, in every command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file, remove_leftovers

MAX_NAME_BYTES = 255
"""Longest name of a file or folder on the usual file systems."""
Paths = Path | Sequence[Path]
Identity = tuple[int, int] | str
"""Device and inode of a file; where there is none yet, the place that links lead to."""


def output_checks(
    outputs: Mapping[str, Paths], inputs: Mapping[str, Paths]
) -> list[Callable[[], None]]:
    """What refuses outputs that cannot be written or would do harm, each check for itself.

    They raise an InputError; see `prepare_outputs`.

    Args:
        outputs: Files to be written, by what the user calls them.
        inputs: Files that the command reads, by what the user calls them.
    """
    writable = [partial(check_writable, path, setting) for setting, path in _each(outputs)]
    return [
        *writable,
        lambda: _refuse_inputs(outputs, inputs),
        lambda: _refuse_each_other(outputs),
    ]


def prepare_outputs(outputs: Mapping[str, Paths], inputs: Mapping[str, Paths]) -> None:
    """Refuse outputs that cannot be written or would do harm; clear up after runs that were killed.

    Args:
        outputs: Files to be written, by what the user calls them; many under one name, such as
            pictures, may repeat each other.
        inputs: Files that the command reads, by what the user calls them; they need not exist.

    Raises:
        InputError: An output is an input, under whatever name, or another output; it exists and is
            no regular file; it lies where nothing can be written.
    """
    for check in output_checks(outputs, inputs):
        check()
    for folder in {Path(os.path.realpath(path)).parent for _, path in _each(outputs)}:
        remove_leftovers(folder)


def check_writable(path: Path, setting: str) -> None:
    """Refuse an output that could not be written, before the hours that lead up to it.

    Args:
        path: The file to be written; missing folders will be made, a symbolic link is followed.
        setting: What the user calls it.

    Raises:
        InputError: It is no regular file, is write-protected, has too long a name, or lies below
            something that is no folder or is write-protected.
    """
    target = _resolved(path, setting)
    existing = next(folder for folder in target.parents if os.path.exists(folder))
    cannot = f"{setting} {path} cannot be written"
    if not existing.is_dir():
        raise InputError(f"{cannot}: {existing} is a file, not a folder; choose another place")
    longest = os.pathconf(existing, "PC_NAME_MAX")
    for part in target.relative_to(existing).parts:
        if len(os.fsencode(part)) > longest:
            raise InputError(
                f"{cannot}: {part[:20]}... is {len(os.fsencode(part))} bytes long, and names here "
                f"have at most {longest}; shorten it"
            )
    check_regular_file(path, setting)
    for place in (existing, target):
        if place.exists() and not os.access(place, os.W_OK):
            raise InputError(f"{cannot}: {place} is write-protected; choose another place")


def check_folder_name(name: str, setting: str, parent: Path) -> None:
    """Keep a folder that a setting names inside its parent; it may lie deeper.

    Args:
        name: As given.
        setting: What the user calls it.
        parent: The folder that it is to lie in.

    Raises:
        InputError: The name leads out of the parent, is empty, or none that a folder can have.
    """
    parts = PurePosixPath(name).parts
    inside = bool(parts) and not name.startswith("/") and ".." not in parts
    if not inside or "\0" in name or not _encodable(name):
        raise InputError(
            f"{setting} {name!r} does not name a folder inside {parent}/; give it a name such as "
            "my_data, without '..' and not beginning with a slash"
        )
    longest = max(len(os.fsencode(part)) for part in parts)
    if longest > MAX_NAME_BYTES:
        raise InputError(
            f"{setting} {name[:20]}... is {longest} bytes long, and a folder's name has at most "
            f"{MAX_NAME_BYTES}; shorten it"
        )


def _encodable(name: str) -> bool:
    try:
        return bool(os.fsencode(name))
    except UnicodeEncodeError:
        return False


def _resolved(path: Path, setting: str) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{setting} {str(path)!r} cannot be written ({reason})") from None


def _refuse_inputs(outputs: Mapping[str, Paths], inputs: Mapping[str, Paths]) -> None:
    read: dict[Identity, tuple[str, Path]] = {}
    for setting, path in _each(inputs):
        read.setdefault(_identity(path), (setting, path))
    for setting, path in _each(outputs):
        if found := read.get(_identity(path)):
            raise InputError(
                f"{setting} {path} would replace {' '.join(map(str, found))}, which this command "
                "reads; choose another place for the output"
            )


def _refuse_each_other(outputs: Mapping[str, Paths]) -> None:
    """Two outputs in one place, or one in a folder that another is to be a file instead of."""
    written: dict[Identity, tuple[str, Path]] = {}
    for setting, path in _each(outputs):
        before = written.setdefault(_identity(path), (setting, path))
        if before[0] != setting:
            raise InputError(
                f"{setting} {path} and {before[0]} {before[1]} are one file; choose another place "
                "for one of them"
            )
    places = [Path(os.path.realpath(path)) for _, path in _each(outputs)]
    for folder in {folder for place in places for folder in place.parents}:
        if found := written.get(_identity(folder)):
            raise InputError(
                f"{found[0]} {found[1]} would be a file where the other outputs need a folder; "
                "choose another place for it"
            )


def _identity(path: Path) -> Identity:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return os.path.realpath(path) if "\0" not in str(path) else str(path)
    return status.st_dev, status.st_ino


def _each(files: Mapping[str, Paths]) -> Iterator[tuple[str, Path]]:
    for setting, paths in files.items():
        for path in [paths] if isinstance(paths, Path) else paths:
            yield setting, path
