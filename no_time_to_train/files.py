"""Files that people name: which may be opened, and how they are written, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from no_time_to_train import termination
from no_time_to_train.errors import InputError

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
WRITE_FAILURES = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.EIO,
    errno.ESTALE,
}
"""What the system answers when it does not take a file; none of these is a mistake of ours."""

UNFINISHED = re.compile(r"\..+\.\d+(\.[0-9a-f]{8})?\.unfinished")
STAGING_PREFIX = ".drawing_"
LOCK = ".lock"
HASH_CHUNK = 1 << 20
"""Bytes read at a time for a checksum."""
KEPT_BYTES = 100
"""Of a file's name in that of its unfinished copy, which must not be too long either."""


def check_regular_file(path: str | Path, what: str) -> None:
    """Refuse what exists and is no regular file; reading a named pipe would wait for ever.

    What does not exist passes: opening it says how to get it.

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


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits.

    Raises:
        InputError: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(HASH_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    return digest.hexdigest()


@contextmanager
def atomic_write(
    path: Path, mode: Literal["w", "wb"] = "w", is_result: bool = True
) -> Iterator[IO[Any]]:
    """Open a file that takes the place of `path` when the block ends.

    After an error `path` is as it was. Where it is a symbolic link, the file that it points to is
    replaced. Folders are made as needed. Text is UTF-8.

    Args:
        path: The file.
        mode: For text or for bytes.
        is_result: Whether a command that is ended by a signal says that it has written this.

    Raises:
        InputError: There is something else than a regular file, the folder cannot be written to, or
            the disk is full.
    """
    check_regular_file(path, "the output")
    with ExitStack() as stack:
        try:
            target = Path(os.path.realpath(path))
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished, file = stack.enter_context(_unfinished(target, mode))
        except OSError as error:
            raise InputError(
                f"cannot write {path} ({error.strerror}); choose another place"
            ) from None
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            termination.replace(unfinished, target, name=path if is_result else None)
        except InputError:
            raise
        except Exception as error:
            reason = write_failure(error)
            if reason is None:
                raise
            raise InputError(
                f"cannot write {path} ({reason}); what was there is unchanged, make room or choose "
                "another place"
            ) from error


def write_failure(error: BaseException | None) -> str | None:
    """Why the system did not take a file, where that is what an error comes from.

    torch reports a full disk as a RuntimeError that the real reason is the context of.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in WRITE_FAILURES:
            return error.strerror or str(error)
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def _unfinished(target: Path, mode: Literal["w", "wb"]) -> Iterator[tuple[Path, IO[Any]]]:
    """A new file beside the target, locked: only in one file system is a rename a single step."""
    name = os.fsdecode(os.fsencode(target.name)[:KEPT_BYTES])
    while True:
        path = target.with_name(f".{name}.{os.getpid()}.{secrets.token_hex(4)}.unfinished")
        with termination.temporary(path):
            with termination.signals_deferred():
                file = path.open(mode.replace("w", "x"), encoding=None if "b" in mode else "utf-8")
            try:
                _lock(file.fileno())
                if os.fstat(file.fileno()).st_nlink:  # not taken for a leftover before its lock
                    yield path, file
                    return
            finally:
                with suppress(OSError):  # what a full disk does not take was said at the flush
                    file.close()


class StagingFolder:
    """A folder for files that are to appear in another one together, when all are written."""

    def __init__(self, beside: Path) -> None:
        """Make it.

        Args:
            beside: The folder that the files will be moved to; it need not exist yet.

        Raises:
            InputError: It cannot be made.
        """
        self._target = Path(os.path.realpath(beside))
        name = f"{STAGING_PREFIX}{os.getpid()}_{secrets.token_hex(4)}"
        self.path = self._target.with_name(name)
        self._removal = ExitStack()
        try:
            with termination.signals_deferred():
                self.path.mkdir(parents=True)
                self._removal.enter_context(termination.temporary(self.path))
            self._lock = os.open(self.path / LOCK, os.O_WRONLY | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(f"cannot write {beside} ({error.strerror}); choose another") from None
        _lock(self._lock)

    def publish(self) -> None:
        """Move the files to where they belong, and remove the folder.

        Raises:
            InputError: They cannot be moved.
        """
        try:
            self._target.mkdir(parents=True, exist_ok=True)
            with termination.signals_deferred():
                for source in sorted(self.path.iterdir()):
                    if source.name != LOCK:
                        _move(source, self._target / source.name)
        except OSError as error:
            raise InputError(f"cannot write {self._target} ({error.strerror})") from None
        self.remove()

    def remove(self) -> None:
        """Remove the folder and what is still in it."""
        self._removal.close()
        os.close(self._lock)


def _move(source: Path, target: Path) -> None:
    """Put a file in the place of another, or of what a symbolic link there points to."""
    if not target.is_symlink():
        termination.replace(source, target, name=target)
        return
    with atomic_write(target, "wb") as file:  # which may lie in another file system
        file.write(source.read_bytes())


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files of runs that were killed while they wrote to this folder.

    A run holds a lock on what it has not finished, and the system releases it when the process
    ends, whichever machine it is on. On file systems without locks nothing is removed.

    Args:
        folder: Where results of ours lie; it need not exist.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            if UNFINISHED.fullmatch(path.name):
                _remove_abandoned(path, lock=path)
            elif path.name.startswith(STAGING_PREFIX):
                _remove_abandoned(path, lock=path / LOCK)


def _remove_abandoned(path: Path, lock: Path) -> None:
    """Remove a file or folder if no process holds its lock."""
    try:
        # A named pipe of that name must not make this wait.
        descriptor = os.open(lock, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    # An error: another process has the lock, it is already gone, or there are no locks here.
    with open(descriptor, "wb"), suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # While it is locked: whoever has just made it waits, and then sees that it is gone.
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _lock(descriptor: int) -> None:
    """Keep a new file from being taken for a leftover; some file systems have no locks."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def link(source: Path, target: Path) -> bool:
    """Make a link, relative so that the data set can be moved; False where there can be none.

    Args:
        source: A file or folder.
        target: The link.
    """
    path = os.path.relpath(source.resolve(), target.parent.resolve())
    try:
        if target.is_symlink():
            target.unlink()
        target.symlink_to(path)
    except FileExistsError:
        return True  # another run has just made it
    except OSError:
        return False
    return True
