"""The folder of the results: new, or that of a run that is to go on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from no_time_to_train.dataset.picture_stamps import FileStamp
from no_time_to_train.errors import InputError
from no_time_to_train.files import remove_leftovers, sha256
from no_time_to_train.output_checks import check_writable
from no_time_to_train.pl_wrapper.journal import LINES, UnfinishedRun, unfinished_runs
from no_time_to_train.pl_wrapper.prediction.identity import STAGE
from no_time_to_train.pl_wrapper.prediction.job import (
    MEMORY,
    MEMORY_CHECKSUM,
    RECORD,
    TABLE_LINES,
    UNFINISHED,
)
from no_time_to_train.pl_wrapper.prediction.kept import Line
from no_time_to_train.pl_wrapper.run_identity import RunIdentity


@dataclass(frozen=True)
class OutFolder:
    """What is in the folder of the results before the run."""

    path: Path
    run: UnfinishedRun | None = None
    """An unfinished run, which is locked."""
    record: dict[str, Any] | None = None
    """The run.json of a finished run."""

    @property
    def goes_on(self) -> bool:
        """Whether there is a run to go on with."""
        return self.run is not None or self.record is not None

    @property
    def is_finished(self) -> bool:
        """Whether a run has ended here, and none was begun since."""
        return self.record is not None and self.run is None

    @property
    def identity(self) -> RunIdentity | None:
        """What the results so far depend on."""
        if self.run is not None:
            return self.run.identity
        return None if self.record is None else RunIdentity.from_json(self.record["identity"])

    def lines(self) -> list[Path]:
        """Files with lines of finished pictures; those of tables last, which are then complete."""
        tables = sorted(self.path.glob(TABLE_LINES)) + sorted(
            self.path.glob(f"tables/**/{TABLE_LINES}")
        )
        journals = sorted(self.run.folder.glob(LINES), key=_modified) if self.run else []
        return [*journals, *tables]

    def check_same(self, identity: RunIdentity) -> None:
        """Refuse to go on with another memory, other settings or other weights.

        Raises:
            InputError: They differ; the sentence names what has changed.
        """
        earlier = self.identity
        if earlier is not None and earlier.key != identity.key:
            raise InputError(
                f"--resume: since the run in {self.path}, these have changed: "
                f"{identity.differences(earlier)}; undo that to go on with it, or choose another "
                "folder"
            )

    @cached_property
    def has_memory(self) -> bool:
        """Whether the memory that the results so far were made with is there.

        Raises:
            InputError: It is, and has changed since.
        """
        wanted = self._memory_checksum()
        if wanted is None or not (self.path / MEMORY).is_file():
            return False
        if sha256(self.path / MEMORY) != wanted:
            raise InputError(
                f"--resume: {self.path / MEMORY} has changed since the run in {self.path}; put it "
                "back, or give it as --memory with another --out"
            )
        return True

    def _memory_checksum(self) -> str | None:
        if self.run is not None:
            with suppress(OSError):
                return (self.run.folder / MEMORY_CHECKSUM).read_text(encoding="utf-8")
            return None
        return None if self.record is None else self.record["files"].get(MEMORY)

    def clear_up(self) -> None:
        """Remove the unfinished files of processes that were killed."""
        for folder, _, _ in os.walk(self.path):
            remove_leftovers(Path(folder))


def inspect(path: Path, resume: bool) -> OutFolder:
    """Look at the folder.

    Args:
        path: It need not exist.
        resume: Whether a run in it is to go on.

    Raises:
        InputError: It cannot be written to; there is something in it, and no run of `predict`, or
            one that is not to go on, or that is still going on.
    """
    check_writable(path / RECORD, "--out")
    if not path.exists() or not any(path.iterdir()):
        return OutFolder(path)
    record = _read_record(path / RECORD)
    is_ours = record is not None or (path / UNFINISHED).is_dir()
    if not is_ours:
        raise InputError(f"--out {path} is not empty; choose another folder, or a new one")
    if not resume:
        raise InputError(
            f"--out {path} holds a run of `predict`; --resume goes on with it, or choose another "
            "folder"
        )
    run = next(iter(unfinished_runs(path / UNFINISHED)), None)
    if run is not None and not run.lock():
        raise InputError(
            f"--resume: the run in {path} has not ended yet; wait for it or end it, or choose "
            "another folder"
        )
    return OutFolder(path, run, record)


def acceptance(
    root: Path, index_of: dict[str, int], output_of: Callable[[str], str]
) -> Callable[[Line], int | None]:
    """What of an earlier run counts: a picture that was read, and is as it was then.

    Args:
        root: Folder of the pictures.
        index_of: Positions by name.
        output_of: What the files of a picture are called.
    """

    def accept(line: Line) -> int | None:
        name = line.get("file_name", "")
        if name not in index_of or line.get("bad") is not None:
            return None
        stamp = FileStamp(line.get("bytes", -1), line.get("mtime_ns", -1))
        same = line.get("output") == output_of(name) and stamp == FileStamp.of(root / name)
        return index_of[name] if same else None

    return accept


def _read_record(path: Path) -> dict[str, Any] | None:
    """The record of a finished run, if it is one."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if record["kind"] == STAGE and RunIdentity.from_json(record["identity"]):
            return record
    return None


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns
