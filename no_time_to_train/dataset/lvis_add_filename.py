"""Give the images of LVIS a file name, and its instances `iscrowd: 0`.

    python no_time_to_train/dataset/lvis_add_filename.py [NAME.json ...]

Reads the json files of LVIS in data/lvis/original, all or those that are named, and writes them to
data/lvis, for tools that expect what COCO has. Every command here reads the original files just as
well.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from no_time_to_train.dataset.benchmarks import data_root
from no_time_to_train.dataset.lvis_documents import (
    MINIVAL_NAMES,
    TRAIN_NAME,
    VAL_NAME,
    add_coco_fields,
    read_document,
    write_document,
)
from no_time_to_train.dataset.script_entry import run_script
from no_time_to_train.errors import InputError
from no_time_to_train.output_checks import prepare_outputs

NAMES = (TRAIN_NAME, VAL_NAME, *MINIVAL_NAMES)

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see --help."""
    options = _parser().parse_args(arguments)
    folder = options.folder or data_root() / "lvis" / "original"
    out_dir = options.out_dir or folder.parent
    names = options.names or [name for name in NAMES if (folder / name).exists()]
    missing = [name for name in options.names if not (folder / name).exists()]
    if missing or not names:
        raise InputError(
            f"{folder} has no {' and no '.join(missing or NAMES)}; put the files of LVIS there, or "
            "name their folder with --folder"
        )
    prepare_outputs(
        {"the output": [out_dir / name for name in names]},
        {"the original": [folder / name for name in names]},
    )
    for name in names:
        _convert(folder / name, out_dir / name)
    absent = [name for name in NAMES[:2] if not options.names and name not in names]
    if absent:
        logger.warning("%s has no %s", folder, " and no ".join(absent))


def _convert(source: Path, target: Path) -> None:
    document = read_document(source)
    add_coco_fields(document, source)
    write_document(target, document)
    counts = len(document["images"]), len(document["annotations"])
    logger.info("%s: %d images, %d annotations", target, *counts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME.json", help="which files; by default all that are there")
    add("--folder", type=Path, help="of the original files, where not data/lvis/original")
    add("--out-dir", type=Path, help="where to write, where not the folder above it")
    return parser


if __name__ == "__main__":
    run_script(main)
