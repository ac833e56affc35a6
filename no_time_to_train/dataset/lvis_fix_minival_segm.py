"""Give the instances of LVIS minival, published as boxes alone, their masks from LVIS val.

    python no_time_to_train/dataset/lvis_fix_minival_segm.py

Reads minival and val in data/lvis or data/lvis/original, minival by any of the names that it is
published under, and writes data/lvis/lvis_v1_minival.json, with file names and `iscrowd: 0`.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from no_time_to_train.coco.annotations import Annotation, CocoAnnotations, Id
from no_time_to_train.dataset.benchmarks import data_root
from no_time_to_train.dataset.lvis_documents import (
    MINIVAL_NAME,
    MINIVAL_NAMES,
    VAL_NAME,
    Document,
    add_coco_fields,
    read_document,
    write_document,
)
from no_time_to_train.dataset.script_entry import run_script
from no_time_to_train.errors import InputError
from no_time_to_train.output_checks import prepare_outputs

MAX_BOX_DIFFERENCE = 1.0
"""Pixels by which the numbers of a box may differ: rounding."""

logger = logging.getLogger(__name__)


class Originals:
    """The annotations of val, to be found by what minival says of them."""

    def __init__(self, annotations: Iterable[Annotation]) -> None:
        """Index them."""
        self._by_id: dict[Id, Annotation] = {}
        self._by_place: defaultdict[tuple[Id, int], list[Annotation]] = defaultdict(list)
        for annotation in annotations:
            self._by_id[annotation.id] = annotation
            self._by_place[_place(annotation)].append(annotation)

    def with_id_of(self, annotation: Annotation) -> Annotation | None:
        """The one with the same id, if image, category and box agree."""
        found = self._by_id.get(annotation.id)
        return found if found and _agree(found, annotation) else None

    def with_box_of(self, annotation: Annotation) -> Annotation | None:
        """The one of the same image and category with the same box, whatever its id."""
        there = self._by_place.get(_place(annotation), [])
        nearest = min(there, key=lambda each: _difference(each, annotation), default=None)
        return nearest if nearest and _agree(nearest, annotation) else None


def add_masks(document: Document, minival: CocoAnnotations, originals: Originals) -> Counter[str]:
    """Add the masks that annotations of minival lack, in place.

    An annotation is looked up by its id; where that is another instance in val, by its box.

    Args:
        document: Minival as it will be written.
        minival: The same, as it was read.
        originals: Annotations of val.

    Returns:
        How many annotations had a mask ("there"), were found by "id", by "box", and not ("none").
    """
    counts: Counter[str] = Counter()
    for entry, annotation in zip(document["annotations"], minival.annotations, strict=True):
        found: Annotation | None = annotation
        way = "there"
        if annotation.segmentation is None:
            way, found = "id", originals.with_id_of(annotation)
        if found is None:
            way, found = "box", originals.with_box_of(annotation)
        counts["none" if found is None else way] += 1
        if found is not None:
            entry["segmentation"] = found.segmentation
    return counts


def add_class_lists(document: Document, val: CocoAnnotations) -> None:
    """Add what the LVIS protocol needs of images and categories, in place, where it is missing."""
    for entry in document["images"]:
        if image := val.images.get(entry["id"]):
            for key in ("neg_category_ids", "not_exhaustive_category_ids"):
                if entry.get(key) is None and getattr(image, key) is not None:
                    entry[key] = list(getattr(image, key))
    frequencies = {category.id: category.frequency for category in val.categories}
    for entry in document["categories"]:
        if entry.get("frequency") is None and frequencies.get(entry["id"]) is not None:
            entry["frequency"] = frequencies[entry["id"]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see --help."""
    options = _parser().parse_args(arguments)
    folder = data_root() / "lvis"
    out = options.out or folder / MINIVAL_NAME
    minival_path = options.minival or _first(folder, MINIVAL_NAMES, "--minival", last=out)
    minival = CocoAnnotations.read(minival_path)
    has_masks = all(annotation.segmentation for annotation in minival.annotations)
    if has_masks and out.exists() and out.samefile(minival_path):
        logger.info("%s has masks already", out)
        return
    inputs = {"--minival": minival_path}
    if not has_masks:
        inputs["--val"] = options.val or _first(folder, [VAL_NAME], "--val")
    prepare_outputs({"--out": out}, inputs)
    document = read_document(minival_path)
    if not has_masks:
        val = CocoAnnotations.read(inputs["--val"])
        _report(minival.path, val.path, add_masks(document, minival, Originals(val.annotations)))
        add_class_lists(document, val)
    add_coco_fields(document, minival_path)
    write_document(out, document)
    counts = len(minival.images), len(minival.annotations)
    logger.info("%s: %d images, %d annotations", out, *counts)


def _first(folder: Path, names: Sequence[str], option: str, last: Path | None = None) -> Path:
    """The first file by one of the names that is there; the output only after all others."""
    places = [folder / part / name for name in names for part in ("", "original")]
    places.sort(key=lambda place: place == last)
    for place in places:
        if place.exists():
            return place
    raise InputError(f"there is none of {', '.join(map(str, places))}; name the file by {option}")


def _report(minival: Path, val: Path, counts: Counter[str]) -> None:
    total, by_id, by_box = counts.total(), counts["id"], counts["box"]
    if counts["none"] == total > 0:
        raise InputError(
            f"{val} has none of the {total} annotations of {minival} with the same image, category "
            "and box; take the val and minival of LVIS v1"
        )
    there = f", {counts['there']} had one" if counts["there"] else ""
    logger.info("%d of %d masks found by annotation id%s", by_id, total, there)
    if by_box or counts["none"]:
        logger.warning(
            "%d ids belong to another image, category or box in %s, or to nothing: %d of these "
            "were found by their box, %d have no mask",
            by_box + counts["none"],
            val,
            by_box,
            counts["none"],
        )


def _place(annotation: Annotation) -> tuple[Id, int]:
    return annotation.image_id, annotation.category_id


def _difference(one: Annotation, other: Annotation) -> float:
    return max(abs(a - b) for a, b in zip(one.bbox, other.bbox, strict=True))


def _agree(one: Annotation, other: Annotation) -> bool:
    return _place(one) == _place(other) and _difference(one, other) <= MAX_BOX_DIFFERENCE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--minival", type=Path, metavar="FILE", help="minival, with or without masks")
    add("--val", type=Path, metavar="FILE", help="lvis_v1_val.json")
    add("--out", type=Path, metavar="FILE", help="where not data/lvis/lvis_v1_minival.json")
    return parser


if __name__ == "__main__":
    run_script(main)
