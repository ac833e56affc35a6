"""What one browser tab works on: its examples, the picture being marked, what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.app.found import Found, SearchedPicture, run_lengths
from no_time_to_train.app.marking import MarkedPicture, Marks, Mode
from no_time_to_train.coco.segmentation import from_rle
from no_time_to_train.errors import InputError
from no_time_to_train.visualization.marks import Point
from no_time_to_train.visualization.predictions import RgbImage

MAX_PICTURES = 200
"""Of one search: a browser shows them all, and waits for them."""

Progress = Callable[[int, int], None]
"""Called with the number of pictures that are done, and of all."""


@dataclass(frozen=True, eq=False)
class Example:
    """A marked object."""

    name: str
    """Of its class."""
    path: Path
    """Of its picture."""
    mask: dict[str, Any]
    """Run lengths, at the size of the picture."""
    thumbnail: RgbImage


class Session:
    """Examples, marks and results of one tab.

    The networks are those of all sessions, which wait for each other; what is remembered is this
    session's alone. Steps that change or use the examples wait for each other, too.
    """

    def __init__(
        self, networks: FewShotSegmenter, folder: Path, memory: Path | None, as_stored: bool
    ) -> None:
        """Begin without examples, or with those of a memory.

        Args:
            networks: What it is remembered there does not matter.
            folder: For what is downloaded; it exists.
            memory: File of the memory.
            as_stored: Whether the EXIF orientation of pictures with examples does not count.

        Raises:
            InputError: The memory cannot be read.
        """
        self.picture: MarkedPicture | None = None
        self.mask: NDArray[np.bool_] | None = None
        self.examples: list[Example] = []
        self.found: Found | None = None
        self.folder = folder
        self._memory = memory
        self._as_stored = as_stored
        self._lock = Lock()
        self._marking = Lock()
        self._segmenter = networks.fresh()
        if memory is not None:
            self._segmenter.load(memory)

    @property
    def class_names(self) -> list[str]:
        """Of the memory and the examples."""
        return self._segmenter.class_names

    # --- Marking an object.

    def open(self, path: Path) -> RgbImage:
        """Take a picture to mark objects in, and give what is shown of it.

        Raises:
            InputError: It cannot be read.
        """
        with _naming_uploads(path):
            self._mark(MarkedPicture.open(path, self._as_stored))
        return self.shown()

    def close(self) -> None:
        """Put the picture away."""
        self.picture = self.mask = None

    def click(self, point: Point, mode: Mode) -> RgbImage:
        """Mark a point, and give the picture with the mask that results.

        Args:
            point: xy in pixels of the picture as it is shown.
            mode: What the click means.

        Raises:
            InputError: There is no picture.
        """
        with self._marking:
            self._mark(self._opened().clicked(point, mode))
            return self.shown()

    def undo(self) -> RgbImage:
        """Take the last click back, and give the picture."""
        with self._marking:
            self._mark(self._opened().undone())
            return self.shown()

    def unmark(self) -> RgbImage:
        """Take all clicks back, and give the picture."""
        with self._marking:
            self._mark(self._opened().unmarked())
            return self.shown()

    def shown(self) -> RgbImage:
        """The picture with its marks."""
        return self._opened().drawn(self.mask)

    def _opened(self) -> MarkedPicture:
        if self.picture is None:
            raise InputError("there is no picture to mark an object in; drop one in step 1")
        return self.picture

    def _mark(self, picture: MarkedPicture) -> None:
        mask = self._drawn_mask(picture) if picture.marks.make_mask else None
        self.picture, self.mask = picture, mask

    def _drawn_mask(self, picture: MarkedPicture) -> NDArray[np.bool_]:
        marks: Marks = picture.marks
        points = [picture.in_file(point) for point in marks.points]
        box = marks.box and (*picture.in_file(marks.box[:2]), *picture.in_file(marks.box[2:]))
        return self._segmenter.draw_mask(
            picture.path,
            points=points or None,
            point_labels=[int(inside) for inside in marks.inside] or None,
            box=box,
        )

    # --- Examples.

    def add(self, name: str) -> None:
        """Make an example of what is marked; the picture stays, without marks.

        Args:
            name: Of its class.

        Raises:
            InputError: Nothing is marked, or the name is none.
        """
        picture = self._opened()
        if self.mask is None or not self.mask.any():
            raise InputError("nothing is marked yet; click on the object, or on two corners of it")
        if not name.strip():
            raise InputError("the object has no name; type one, such as bird, and add it again")
        with self._lock:
            self._segmenter.remember(picture.path, self.mask, name)
            thumbnail = picture.thumbnail(self.mask)
            rle = run_lengths(self.mask)
            self.examples.append(Example(name.strip(), picture.path, rle, thumbnail))
        self._mark(picture.unmarked())

    def remove(self, number: int) -> None:
        """Forget an example; the others are remembered anew.

        Args:
            number: Its place in `examples`.
        """
        with self._lock:
            kept = [each for place, each in enumerate(self.examples) if place != number]
            self._segmenter.forget()
            if self._memory is not None:
                self._segmenter.load(self._memory)
            for each in kept:
                self._segmenter.remember(each.path, from_rle(each.mask), each.name)
            self.examples = kept

    def save_memory(self) -> Path:
        """Write the classes to a file that `--memory` and the Python API read.

        Raises:
            InputError: There is no class.
        """
        with self._lock:
            self._finalise()
            path = self.folder / "memory.pth"
            self._segmenter.save(path)
        return path

    def _finalise(self) -> None:
        if not self.class_names:
            raise InputError("there is no example yet; mark an object in step 1 and add it")
        self._segmenter.finalise()

    # --- Searching.

    def search(self, paths: Sequence[Path], progress: Progress) -> Found:
        """Find the instances of all classes; pictures that cannot be read are skipped.

        Args:
            paths: Of the pictures.
            progress: Told of each picture.

        Raises:
            InputError: There is no picture, there are too many, or no example.
        """
        if not paths:
            raise InputError("there is no picture to search; drop some in step 2")
        if len(paths) > MAX_PICTURES:
            raise InputError(
                f"{len(paths)} pictures are too many for a page, the limit is {MAX_PICTURES}; "
                "`no-time-to-train predict` searches any number with the memory from here"
            )
        with self._lock:
            self._finalise()
            self.found = self._search(paths, progress)
        return self.found

    def _search(self, paths: Sequence[Path], progress: Progress) -> Found:
        pictures: list[SearchedPicture] = []
        skipped = []
        names = unique_names([path.name for path in paths])
        for number, (path, name) in enumerate(zip(paths, names, strict=True)):
            progress(number, len(paths))
            try:
                with _naming_uploads(path):
                    prediction = self._segmenter.segment(path)
            except InputError as error:
                skipped.append(str(error))
                continue
            pictures.append(SearchedPicture.of(prediction, len(pictures) + 1, name))
        return Found(tuple(self.class_names), pictures, skipped)

    def save_masks(self, threshold: float) -> Path:
        """Write a zip file of what was found.

        Args:
            threshold: Lowest score that counts.

        Raises:
            InputError: Nothing was searched.
        """
        if self.found is None:
            raise InputError("nothing was searched yet; drop pictures in step 2 and search them")
        path = self.folder / "masks.zip"
        with self._lock:
            self.found.write_zip(path, threshold)
        return path


@contextmanager
def _naming_uploads(path: Path) -> Iterator[None]:
    """Let messages call a file by its name, not by where the server has put it."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(str(path), path.name)) from None


def unique_names(names: Sequence[str]) -> list[str]:
    """Tell files of one name apart: `a.jpg`, `a (2).jpg`."""
    given: dict[str, None] = {}  # a set that keeps its order
    for name in names:
        path, number, unique = Path(name), 1, name
        while unique in given:
            number += 1
            unique = f"{path.stem} ({number}){path.suffix}"
        given[unique] = None
    return list(given)
