"""What a prediction is to do, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from no_time_to_train.dataset.picture_folders import FoundPictures
from no_time_to_train.settings import Settings

MEMORY = "memory.pth"
"""In the folder of the results: the memory that was used, finalised."""
MEMORY_CHECKSUM = "memory.sha256"
"""In the folder of an unfinished run: the checksum of that memory."""
UNFINISHED = "unfinished"
"""In the folder of the results, until all is written: what is kept of the pictures so far."""
RECORD = "run.json"
"""In the folder of the results: what was run, and what came of it."""
TABLE_LINES = "pictures.jsonl"
"""Beside each table: the lines that it is made of."""


@dataclass(frozen=True)
class WantedFiles:
    """What is written for each picture beside its label map."""

    overlays: bool = True
    """The picture with what was found drawn over it."""
    instances: bool = False
    """Each mask as a picture of its own."""
    exports: Sequence[str] = ()
    """Names of further formats."""


@dataclass(frozen=True)
class Job:
    """What a prediction is to do."""

    settings: Settings
    root: Path
    """Folder of the pictures."""
    out: Path
    """Folder of the results."""
    threshold: float
    """Lowest score of what counts as found."""
    files: WantedFiles = WantedFiles()
    per_folder: bool = False
    """Whether each folder of pictures has tables of its own."""

    @property
    def image_size(self) -> int | None:
        """Side of SAM 2's input in pixels; None for that of its preset."""
        return self.settings.image_size


@dataclass(frozen=True, slots=True)
class PictureEntry:
    """A picture of a run."""

    index: int
    """Its position among all, from 0."""
    file_name: str
    """Relative to the folder of the pictures."""
    output: str
    """What the files that are made of it are called, without suffix."""


@dataclass(frozen=True)
class Table:
    """Pictures whose results are in one table."""

    folder: Path
    """Where its files are."""
    first: int
    """Position of its first picture."""
    stop: int
    """Position after its last."""


def tables_of(pictures: FoundPictures, out: Path, per_folder: bool) -> list[Table]:
    """Which tables there will be.

    Args:
        pictures: Folder by folder.
        out: Folder of the results.
        per_folder: Whether each folder of pictures has a table, below `tables/`; or all have one.
    """
    if not per_folder:
        return [Table(out, 0, len(pictures.names))]
    starts: dict[str, int] = {}
    for index, name in enumerate(pictures.names):
        starts.setdefault(name.rpartition("/")[0], index)
    stops = [*list(starts.values())[1:], len(pictures.names)]
    return [
        Table(out / "tables" / folder, first, stop)
        for (folder, first), stop in zip(starts.items(), stops, strict=True)
    ]
