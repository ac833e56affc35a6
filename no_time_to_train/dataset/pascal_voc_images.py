"""Bring the images of Pascal VOC 2007 and 2012 together in one folder, allimages.

    python no_time_to_train/dataset/pascal_voc_images.py data/pascal_voc/VOCdevkit

Makes symbolic links in DEVKIT/allimages, or copies where the file system has no links. Images that
are there stay; a folder allimages beside the devkit is linked to as a whole.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from no_time_to_train.dataset.image_links import bring_together, images_in
from no_time_to_train.dataset.pascal_voc import years_of
from no_time_to_train.dataset.script_entry import run_script
from no_time_to_train.errors import InputError
from no_time_to_train.files import link

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
    if beside.is_dir() and not folder.exists() and link(beside, folder):
        logger.info("%s is now a link to %s", folder, beside)
    folders = [devkit / f"VOC{year}" / "JPEGImages" for year in years_of(devkit)]
    sources = [path for each in folders for path in images_in(each)]
    if not sources and not folder.is_dir():
        raise InputError(
            f"{devkit} has no images (VOC2007/JPEGImages, VOC2012/JPEGImages); unpack the archives "
            "of Pascal VOC there"
        )
    bring_together(sources, folder)
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: DEVKIT."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "devkit", type=Path, metavar="DEVKIT", help="the folder of VOC2007 and VOC2012"
    )
    gather_images(parser.parse_args(arguments).devkit)


if __name__ == "__main__":
    run_script(main)
