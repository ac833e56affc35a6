"""Bring the images of COCO's train2017 and val2017 together in one folder, as LVIS has them.

    python no_time_to_train/dataset/lvis_images.py [COCO]

Makes symbolic links in COCO/allimages, or copies where the file system has no links; images that
are there stay.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from no_time_to_train.dataset.benchmarks import data_root
from no_time_to_train.dataset.image_links import bring_together, images_in
from no_time_to_train.dataset.script_entry import run_script
from no_time_to_train.errors import InputError

PARTS = ("train2017", "val2017")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see --help."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "coco",
        type=Path,
        nargs="?",
        metavar="COCO",
        help="the folder of train2017 and val2017 (default: coco below DATASETS_ROOT)",
    )
    coco = parser.parse_args(arguments).coco or data_root() / "coco"
    for part in PARTS:
        if not (coco / part).is_dir():
            raise InputError(
                f"{coco / part} is no folder; LVIS has images of both {' and '.join(PARTS)}, put "
                "them there"
            )
    bring_together([path for part in PARTS for path in images_in(coco / part)], coco / "allimages")


if __name__ == "__main__":
    run_script(main)
