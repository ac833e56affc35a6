"""Images of several folders in one: by symbolic links, or copies where there can be none."""

from __future__ import annotations

import filecmp
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write, link
from no_time_to_train.output_checks import check_writable

IMAGES = ".jpg"

logger = logging.getLogger(__name__)


def images_in(folder: Path) -> Iterator[Path]:
    """The images of a folder by name; none where there is no folder."""
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.suffix == IMAGES)


def bring_together(sources: Sequence[Path], folder: Path) -> None:
    """Make or complete a folder of images.

    Args:
        sources: The images; each keeps its name.
        folder: Of all of them.

    Raises:
        InputError: The folder has another file of the same name; nothing is changed then.
    """
    missing = [path for path in sources if not _is_there(path, folder / path.name)]
    check_writable(folder / f".{folder.name}", "the folder of all images,")
    for path in missing:
        _provide(path, folder / path.name)
    logger.info("%s: %d images, %d of them new", folder, len(sources), len(missing))


def _is_there(source: Path, target: Path) -> bool:
    """Whether the folder has this image; a link that leads nowhere counts as none."""
    if not target.exists():
        return False
    if target.samefile(source) or filecmp.cmp(source, target):
        return True
    raise InputError(
        f"{target} is another file than {source}, and is not overwritten; move one of them away"
    )


def _provide(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not link(source, target):
        with atomic_write(target, "wb", is_result=False) as file, source.open("rb") as content:
            shutil.copyfileobj(content, file)
        shutil.copystat(source, target)  # equal times spare the next run the comparison
