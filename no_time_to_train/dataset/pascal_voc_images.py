"""Bring the images of Pascal VOC 2007 and 2012 together in one folder, allimages.

    python no_time_to_train/dataset/pascal_voc_images.py data/pascal_voc/VOCdevkit

Makes symbolic links in DEVKIT/allimages, or copies where the file system has no links. Images that
are there stay; a folder allimages beside the devkit is linked to as a whole.
"""

from __future__ import annotations

import argparse
import filecmp
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from no_time_to_train.dataset.pascal_voc import years_of
from no_time_to_train.dataset.script_entry import run_script
from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write
from no_time_to_train.output_checks import check_writable

NAME = "allimages"

logger = logging.getLogger(__name__)


def gather_images(devkit: Path) -> Path:
    """Make or complete the folder of all images.

    Args:
        devkit: The folder of VOC2007 and VOC2012.

    Returns:
        The folder.

    Raises:
        InputError: There are no images, or the folder has another file of the same name; nothing
            is changed then.
    """
    folder, beside = devkit / NAME, devkit.parent / NAME
    if beside.is_dir() and not folder.exists() and _link(beside, folder):
        logger.info("%s is now a link to %s", folder, beside)
    sources = list(_sources(devkit))
    if not sources and not folder.is_dir():
        raise InputError(
            f"{devkit} has no images (VOC2007/JPEGImages, VOC2012/JPEGImages); unpack the archives "
            "of Pascal VOC there"
        )
    missing = [path for path in sources if not _is_there(path, folder / path.name)]
    check_writable(folder / f".{NAME}", "the folder of all images,")
    for path in missing:
        _provide(path, folder / path.name)
    logger.info("%s: %d images, %d of them new", folder, len(sources), len(missing))
    return folder


def _sources(devkit: Path) -> Iterator[Path]:
    for year in years_of(devkit):
        folder = devkit / f"VOC{year}" / "JPEGImages"
        if folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if path.suffix == ".jpg")


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
    if not _link(source, target):
        with atomic_write(target, "wb", is_result=False) as file, source.open("rb") as content:
            shutil.copyfileobj(content, file)
        shutil.copystat(source, target)  # equal times spare the next run the comparison


def _link(source: Path, target: Path) -> bool:
    """Make a link, relative so that the data set can be moved; False where there can be none."""
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: DEVKIT."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "devkit", type=Path, metavar="DEVKIT", help="the folder of VOC2007 and VOC2012"
    )
    gather_images(parser.parse_args(arguments).devkit)


if __name__ == "__main__":
    run_script(main)
