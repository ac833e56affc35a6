"""The files in a folder of references, without those that systems and programs leave there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file

PICTURE_SUFFIXES = frozenset(
    ".bmp .gif .jp2 .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()
)
IGNORED = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"})
"""In lower case; besides, whatever begins with a dot."""
COCO_KEYS = frozenset({"images", "annotations", "categories"})
LABELME_KEY = "shapes"
JSON_KEYS = COCO_KEYS | {LABELME_KEY}
MAX_ENTRIES = 1_000_000
"""Most files and folders that are looked through."""

Identity = tuple[int, int]  # of a folder: device and inode


@dataclass(frozen=True)
class Folder:
    """What lies in a folder and below, found without opening a file."""

    root: Path
    files: tuple[PurePosixPath, ...]
    """Relative to the root, in order; symbolic links are followed."""
    chosen: PurePosixPath | None = None
    """The one file of annotations that counts, where the user has named it."""

    @classmethod
    def read(cls, path: Path) -> Folder:
        """List a folder, or the one that a file of annotations lies in.

        Raises:
            InputError: There is no such folder, it may not be read, or it holds too much.
        """
        if not os.path.exists(path):  # not Path.exists, which fails on names that are too long
            raise InputError(f"there is no folder of references {path}; check its name")
        if os.path.isdir(path):
            return cls(path, _listed(path))
        check_regular_file(path, "the references")
        # Beside a folder `annotations`, COCO keeps those of the images.
        root = path.parent.parent if path.parent.name == "annotations" else path.parent
        return cls(root, _listed(root), PurePosixPath(path.relative_to(root)))

    @cached_property
    def pictures(self) -> list[PurePosixPath]:
        """Files that are images by their names."""
        return [file for file in self.files if is_picture(file)]

    @cached_property
    def _known(self) -> frozenset[PurePosixPath]:
        return frozenset(self.files)

    def __contains__(self, file: PurePosixPath) -> bool:
        return file in self._known

    def annotation_files(self, suffixes: Collection[str]) -> list[PurePosixPath]:
        """Files with one of these suffixes, in lower case, of those that count."""
        files = self.files if self.chosen is None else (self.chosen,)
        return [file for file in files if file.suffix.lower() in suffixes]

    @cached_property
    def json_files(self) -> dict[PurePosixPath, frozenset[str]]:
        """Of each json, which of `JSON_KEYS` its text holds, so that a damaged one is known too."""
        return {file: self._keys(file) for file in self.annotation_files({".json"})}

    def _keys(self, file: PurePosixPath) -> frozenset[str]:
        try:
            content = (self.root / file).read_bytes()
        except OSError as error:
            raise InputError(
                f"{self.root / file} cannot be read ({error.strerror}); change its mode"
            ) from None
        return frozenset(key for key in JSON_KEYS if f'"{key}"'.encode() in content)

    def describe(self) -> str:
        """How many files of each kind there are, for messages."""
        counts = Counter(
            "picture" if is_picture(file) else f"{file.suffix.lower() or 'other'} file"
            for file in self.files
        )
        shown = [counted(count, kind) for kind, count in counts.most_common(4)]
        return ", ".join(shown) if shown else "no files"


def counted(count: int, noun: str) -> str:
    """A number of things, for messages."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def is_picture(file: PurePosixPath) -> bool:
    """Whether a file is an image by its name."""
    return file.suffix.lower() in PICTURE_SUFFIXES


def _listed(root: Path) -> tuple[PurePosixPath, ...]:
    files = []
    for count, file in enumerate(_walk(root, PurePosixPath(), frozenset()), start=1):
        if count > MAX_ENTRIES:
            raise InputError(
                f"{root} holds more than {MAX_ENTRIES} files and folders; name the folder that "
                "holds the references alone"
            )
        if file is not None:
            files.append(file)
    return tuple(sorted(files))


def _walk(
    root: Path, inner: PurePosixPath, above: frozenset[Identity]
) -> Iterator[PurePosixPath | None]:
    """Files below a folder; None for each folder, so that these are counted too.

    Args:
        root: Where all begins.
        inner: The folder, relative to the root.
        above: Folders on the way there, so that a link back to one of them is not followed.
    """
    folder = root / inner
    try:
        status = os.stat(folder)
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); change its mode") from None
    identity = (status.st_dev, status.st_ino)
    yield None
    if identity in above:
        return
    for name in names:
        if name.startswith(".") or name.lower() in IGNORED:
            continue
        path = folder / name
        if os.path.isdir(path):
            yield from _walk(root, inner / name, above | {identity})
        elif os.path.isfile(path):
            yield inner / name
