"""Many pictures: read ahead by threads, segmented in batches, one that cannot be read left out."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from PIL import Image

from no_time_to_train.api.arguments import shown
from no_time_to_train.api.pictures import Picture, open_picture
from no_time_to_train.dataset.targets import to_target
from no_time_to_train.errors import InputError
from no_time_to_train.structures import Target

logger = logging.getLogger(__name__)

OnBad = Literal["raise", "skip"]
"""What becomes of a picture that cannot be read."""
Progress = bool | Callable[[int, int | None], object]
"""A bar or none, or who is told how many pictures of how many are done."""
READERS = 4
"""Threads that read pictures."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class OpenedPicture:
    """One picture to segment."""

    picture: Image.Image
    """RGB."""
    target: Target
    source: Path | None
    """Its file, if it was given as one."""


def open_target(image: Picture, as_stored: bool, image_size: int) -> OpenedPicture:
    """Read a picture and resize it for the networks.

    Args:
        image: The picture.
        as_stored: Whether its EXIF orientation does not count.
        image_size: Side of the networks' square input in pixels.

    Raises:
        InputError: It is of another kind, or cannot be read.
    """
    picture = open_picture(image, as_stored)
    source = Path(image) if isinstance(image, str | Path) else None
    image_id = 0 if source is None else str(source)  # for messages
    return OpenedPicture(picture, to_target(picture, image_size, image_id), source)


def check_many(images: Any, progress: Any, on_bad: Any) -> None:
    """Refuse what `segment_many` cannot take.

    Raises:
        InputError: An argument is of another kind.
    """
    one = isinstance(images, str | bytes | Path | Image.Image) or (
        isinstance(images, np.ndarray) and images.ndim <= 3
    )
    if one or not isinstance(images, Iterable):
        raise InputError(
            f"images is {shown(images)}; give several, such as a list of paths, or use segment()"
        )
    if not isinstance(progress, bool) and not callable(progress):
        raise InputError(f"progress is {shown(progress)}; give True, False or a function")
    if on_bad not in ("raise", "skip"):
        raise InputError(f"on_bad is {shown(on_bad)}; give 'raise' or 'skip'")


def segment_stream(
    images: Iterable[Picture],
    read: Callable[[Picture], OpenedPicture],
    segment: Callable[[Sequence[OpenedPicture]], Iterable[Result]],
    batch_size: int,
    progress: Progress,
    on_bad: OnBad,
) -> Iterator[Result]:
    """Read pictures ahead and segment them in batches; arguments as for `segment_many`."""
    pictures = read_ahead(images, read, 2 * batch_size)
    with told(progress, images) as done:
        yield from segment_in_batches(pictures, segment, batch_size, on_bad, done)


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Result], count: int
) -> Iterator[Result | InputError]:
    """Read items with threads, before they are asked for; in order.

    Args:
        items: Taken by the thread that asks.
        read: Whose InputError comes in place of a result.
        count: Items that are held at most.
    """

    def attempt(item: Item) -> Result | InputError:
        try:
            return read(item)
        except InputError as error:
            return error

    remaining = iter(items)
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="read-pictures")
    try:
        waiting = deque(pool.submit(attempt, item) for item in islice(remaining, count))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(attempt, item) for item in islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def segment_in_batches(
    pictures: Iterator[OpenedPicture | InputError],
    segment: Callable[[Sequence[OpenedPicture]], Iterable[Result]],
    batch_size: int,
    on_bad: OnBad,
    done: Callable[[], object],
) -> Iterator[Result]:
    """Segment pictures as they come.

    Args:
        pictures: Read, or why they could not be.
        segment: From a batch to its predictions.
        batch_size: Pictures in a batch.
        on_bad: What becomes of those that could not be read.
        done: Called after each picture.

    Raises:
        InputError: A picture could not be read, and is not to be left out.
    """
    batch: list[OpenedPicture] = []
    with closing(pictures) as opened:  # type: ignore[type-var]
        for picture in opened:
            if isinstance(picture, InputError):
                if on_bad == "raise":
                    yield from _each(segment(batch), done)
                    raise picture
                logger.warning("Left out: %s", picture)
                done()
                continue
            batch.append(picture)
            if len(batch) == batch_size:
                yield from _each(segment(batch), done)
                batch = []
    yield from _each(segment(batch), done)


def _each(results: Iterable[Result], done: Callable[[], object]) -> Iterator[Result]:
    for result in results:
        done()
        yield result


@contextmanager
def told(progress: Progress, images: Iterable[Any]) -> Iterator[Callable[[], object]]:
    """Tell how many pictures are done, in the way asked for.

    Args:
        progress: The way.
        images: All of them.

    Yields:
        What is to be called after each picture.
    """
    total = len(images) if isinstance(images, Sized) else None
    if progress is True:
        # A dependency of Lightning, which nothing but the bar needs.
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        with tqdm(total=total, unit=" pictures") as bar:
            yield bar.update
        return
    count = 0

    def tell() -> None:
        nonlocal count
        count += 1
        if callable(progress):
            progress(count, total)

    yield tell
