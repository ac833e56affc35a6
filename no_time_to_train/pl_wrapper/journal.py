"""What an unfinished run keeps: a folder with its identity, and per rank a file of its samples.

A file is appended to, one line of json per sample, so that whatever ends a process costs what it
was working on and no more. A line that is cut off does not count.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from no_time_to_train import termination
from no_time_to_train.errors import InputError
from no_time_to_train.files import write_failure
from no_time_to_train.pl_wrapper.run_identity import RunIdentity

UNFINISHED_RUNS = "unfinished"
"""The folder of all of them, in that of the logs."""
IDENTITY = "identity.json"
LOCK = "lock"
LINES = "*.jsonl"
UNNAMED = ".new-"
KEY_LETTERS = 12
SYNC_SECONDS = 10.0
"""Longest time for which finished samples are safe from the death of their process alone."""

Payload = Mapping[str, Any]


class Journal:
    """The file of one rank.

    Args:
        folder: Of the run.
        rank: This process.
        seconds: Of work, less than which is not written on its own.
    """

    def __init__(self, folder: Path, rank: int, seconds: float = 0) -> None:
        self._seconds = seconds
        self._lines = b""
        self._flushed = time.monotonic()
        self.path = folder / f"{rank}.{secrets.token_hex(4)}.jsonl"
        self._descriptor: int | None = None
        self._synced = time.monotonic()

    def append(self, index: int, payload: Payload) -> None:
        """Keep one sample.

        Args:
            index: Its position in the data set.
            payload: What json can hold.

        Raises:
            InputError: The disk is full, or otherwise takes no more.
        """
        self._lines += json.dumps({"index": index, **payload}).encode() + b"\n"
        if time.monotonic() - self._flushed >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected.

        Raises:
            InputError: The disk is full, or otherwise takes no more.
        """
        self._flushed = time.monotonic()
        lines, self._lines = self._lines, b""
        try:
            if lines and self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
                self._descriptor = os.open(self.path, flags, 0o666)
            while lines and self._descriptor is not None:
                lines = lines[os.write(self._descriptor, lines) :]
            if self._descriptor and time.monotonic() - self._synced > SYNC_SECONDS:
                self._sync(self._descriptor)
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Write the rest, if there is a file at all.

        Raises:
            InputError: The disk has not taken all of it.
        """
        if self._descriptor is None:
            return
        try:
            self.flush()
            self._sync(self._descriptor)
        except OSError as error:
            raise self._failure(error) from error
        finally:
            os.close(self._descriptor)
            self._descriptor = None

    def _sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)
        self._synced = time.monotonic()

    def _failure(self, error: OSError) -> InputError:
        return InputError(
            f"{self.path} cannot be written ({write_failure(error) or error.strerror}); what it "
            "held before stays, make room and repeat the command with --resume"
        )


class LineCounter:
    """Counts what all ranks have kept, reading only what is new.

    Args:
        folder: Of the run.
        before: What earlier processes have kept, in the files that are there now.
    """

    def __init__(self, folder: Path, before: int) -> None:
        self._folder, self._count = folder, before
        self._sizes = {path.name: path.stat().st_size for path in folder.glob(LINES)}

    def __call__(self) -> int:
        """How many samples are kept."""
        with suppress(OSError):
            for path in self._folder.glob(LINES):
                self._count_new(path)
        return self._count

    def _count_new(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._sizes.get(path.name, 0))
            for line in file:
                if line.endswith(b"\n"):
                    self._count += 1
                    self._sizes[path.name] = self._sizes.get(path.name, 0) + len(line)


@dataclass
class UnfinishedRun:
    """The folder of a run that has not ended well, or not yet."""

    folder: Path
    identity: RunIdentity
    outputs: Sequence[str]
    """Files that its flags name as outputs."""
    samples: int
    """How many it was to finish."""
    _lock: int | None = None

    @classmethod
    def create(
        cls,
        parent: Path,
        identity: RunIdentity,
        outputs: Iterable[str],
        samples: int,
        setting: str = "trainer.logger.save_dir",
    ) -> UnfinishedRun:
        """Make the folder of a new run, and lock it.

        Args:
            parent: Where it is made.
            identity: What the results depend on.
            outputs: Files that its flags name as outputs.
            samples: How many it is to finish.
            setting: What the user calls the place, for messages.

        Raises:
            InputError: It cannot be written to.
        """
        name = f"{identity.stage}-{identity.key[:KEY_LETTERS]}-{secrets.token_hex(2)}"
        run = cls(parent / f"{UNNAMED}{name}", identity, list(outputs), samples)
        content = {"outputs": run.outputs, "samples": samples, **asdict(identity)}
        try:
            with termination.signals_deferred(), termination.temporary(run.folder):
                run.folder.mkdir(parents=True)
                run.lock()
                text = json.dumps(content, indent=2) + "\n"
                (run.folder / IDENTITY).write_text(text, encoding="utf-8")
                run.folder = run.folder.rename(parent / name)
        except OSError as error:
            raise InputError(
                f"{parent} cannot be written ({error.strerror}); make room or change {setting}"
            ) from error
        return run

    @classmethod
    def read(cls, folder: Path) -> UnfinishedRun | None:
        """Take up the folder of an earlier run; None where it is none, or is being removed."""
        try:
            content = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
            identity = RunIdentity.from_json(content)
            return cls(folder, identity, list(content["outputs"]), int(content["samples"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def lock(self) -> bool:
        """Claim it for this process, until that ends; whether it could be claimed.

        File systems without locks let it be claimed always.
        """
        # Unlike flock, not shared with the processes that read images, which outlive a killed one.
        try:
            self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP):
                return True
            self.unlock()
            return False
        return True

    def unlock(self) -> None:
        """Let others take it up."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def payloads(self) -> dict[int, Payload]:
        """What is kept, by position in the data set."""
        kept: dict[int, Payload] = {}
        for path in sorted(self.folder.glob(LINES)):
            kept |= dict(_read(path))
        return kept

    def count(self) -> int:
        """How many samples are kept."""
        return sum(1 for path in self.folder.glob(LINES) for _ in _whole_lines(path))

    def remove(self) -> None:
        """Remove the folder, and the one that it is in where that is empty then."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.unlock()
        with suppress(OSError):
            self.folder.parent.rmdir()


def unfinished_runs(parent: Path) -> list[UnfinishedRun]:
    """All of a folder."""
    with suppress(OSError):
        found = [UnfinishedRun.read(folder) for folder in sorted(parent.iterdir())]
        return [run for run in found if run]
    return []


def _read(path: Path) -> Iterator[tuple[int, Payload]]:
    for line in _whole_lines(path):
        with suppress(ValueError):  # after the machine has failed, not the process
            payload = json.loads(line)
            yield payload.pop("index"), payload


def _whole_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))
