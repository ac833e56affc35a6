"""Reduce the file names in json files of Pascal VOC to their last part.

    python no_time_to_train/dataset/change_filename_pascal.py

Reads the json files in <data sets>/pascal_voc/annotations/long_filenames/ and writes each under its
name one folder up. `pascal_voc_to_coco.py --flat` writes such files at once.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.dataset.benchmarks import data_root
from no_time_to_train.dataset.script_entry import run_script
from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write
from no_time_to_train.output_checks import prepare_outputs

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line, without arguments."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args(arguments)
    folder = data_root() / "pascal_voc" / "annotations" / "long_filenames"
    sources = sorted(folder.glob("voc*.json"))
    if not sources:
        raise InputError(
            f"there is no voc*.json in {folder}; write short names at once with "
            "pascal_voc_to_coco.py --flat"
        )
    targets = [folder.parent / source.name for source in sources]
    prepare_outputs({"the result": targets}, {"the json": sources})
    for source in sources:
        CocoAnnotations.read(source)
    for source, target in zip(sources, targets, strict=True):
        document = json.loads(source.read_text(encoding="utf-8-sig"))
        for image in document["images"]:
            image["file_name"] = PurePosixPath(image["file_name"]).name
        with atomic_write(target) as file:
            file.write(json.dumps(document))
        logger.info("%s: %d images", target, len(document["images"]))


if __name__ == "__main__":
    run_script(main)
