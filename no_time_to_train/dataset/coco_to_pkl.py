"""Turn a COCO json whose every annotation is a reference into a reference set.

    python no_time_to_train/dataset/coco_to_pkl.py IN.json OUT.pkl N

An image with k annotations of a class stands k times, each time with all k ids; classes with fewer
than N references are padded with random repetitions, classes with more are left as they are.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Sequence
from pathlib import Path

from no_time_to_train.coco.annotations import CocoAnnotations, Id
from no_time_to_train.dataset.reference_set import (
    ReferencePick,
    tell_references,
    write_reference_set,
)
from no_time_to_train.dataset.script_entry import positive_int, run_script
from no_time_to_train.errors import InputError
from no_time_to_train.output_checks import prepare_outputs

SEED = 42

logger = logging.getLogger(__name__)


def collect_references(annotations: CocoAnnotations, n_shot: int) -> dict[int, list[ReferencePick]]:
    """Take every annotation as a reference, at least `n_shot` per class.

    Classes stand in the order in which the file first mentions them, and so do a class's images.
    """
    grouped: dict[int, dict[Id, list[Id]]] = {}
    for annotation in annotations.annotations:
        images = grouped.setdefault(annotation.category_id, {})
        images.setdefault(annotation.image_id, []).append(annotation.id)
    generator = random.Random(SEED)
    return {category: _padded(images, n_shot, generator) for category, images in grouped.items()}


def _padded(
    images: dict[Id, list[Id]], n_shot: int, generator: random.Random
) -> list[ReferencePick]:
    picks = [
        ReferencePick(image_id, ann_ids) for image_id, ann_ids in images.items() for _ in ann_ids
    ]
    if len(picks) < n_shot:
        picks += generator.choices(picks, k=n_shot - len(picks))
    return picks


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: IN.json OUT.pkl N."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("json_file", type=Path, metavar="IN.json", help="references in COCO format")
    parser.add_argument("out_path", type=Path, metavar="OUT.pkl", help="reference set to write")
    parser.add_argument("n_shot", type=positive_int, metavar="N", help="references per class")
    options = parser.parse_args(arguments)

    prepare_outputs({"OUT.pkl": options.out_path}, {"IN.json": options.json_file})
    annotations = CocoAnnotations.read(options.json_file)
    references = collect_references(annotations, options.n_shot)
    if not references:
        raise InputError(f"{options.json_file} has no annotations; there is nothing to refer to")
    write_reference_set(options.out_path, references)
    names = {category.id: category.name for category in annotations.categories}
    logger.info("%s: %s", options.out_path, tell_references(references, names))


if __name__ == "__main__":
    run_script(main)
