"""Average precision on LVIS by its own protocol, and as the published code computed it.

An image of LVIS is annotated for some classes alone. What is found of a class that is neither
annotated in it nor known to be absent does not count; where not every instance of a class is
annotated, a detection that matches none is no false alarm; of an image the best 300 detections
count, over all classes. Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation",
2019.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.entries import Id
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.evaluation.coco import (
    ClassResult,
    Evaluation,
    check_records,
    class_results,
    class_table,
    evaluate,
)
from no_time_to_train.evaluation.instances import numbered
from no_time_to_train.evaluation.lvis_curves import MAX_DETECTIONS, NUMBERS, lvis_curves
from no_time_to_train.evaluation.scores import Scores, known

PUBLISHED_DETECTIONS = 100
"""Of an image, over all classes: what the published runs were limited to."""
PUBLISHED_NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
CLASS_NUMBERS = ("box_ap", "box_ap50", "mask_ap", "mask_ap50")

Numbers = Mapping[str, float | None]


@dataclass(frozen=True)
class Outcome:
    """What came of the LVIS protocol."""

    box: Numbers
    """By the names of the LVIS API; None where there is no ground truth, or no protocol."""
    mask: Numbers
    per_class: list[ClassResult]
    why_not: str | None = None
    """Why there are no numbers."""


def evaluate_lvis(
    annotations: CocoAnnotations, category_ids: Sequence[int], records: Sequence[CocoRecord]
) -> Scores:
    """Compare results with the ground truth of the wanted classes, on every image.

    The numbers "as published" are those of COCOeval, to which whatever is not annotated is a false
    alarm, on the best 100 detections of an image. There are no others where the json lacks the
    lists of absent and of not exhaustively annotated classes, without which there is no protocol.

    Args:
        annotations: The data set.
        category_ids: Wanted classes; results of others are not looked at.
        records: Results, in any order of images; where one has no mask, boxes alone are compared.

    Raises:
        InputError: As by `evaluation.coco.evaluate`.
    """
    check_records(records, annotations)
    wanted, wanted_ids = sorted(category_ids), set(category_ids)
    results = [record for record in records if record["category_id"] in wanted_ids]
    published = evaluate(annotations, wanted, best_of_each_image(results, PUBLISHED_DETECTIONS))
    why_not = published.text if published.box is None else _what_is_missing(annotations)
    if why_not:
        outcome = _without_numbers(published.per_class, why_not)
    else:
        outcome = _by_protocol(annotations, wanted, results, published.mask is not None)
    kinds = {"box": outcome.box, "mask": outcome.mask}
    numbers = {f"{kind} {name}": kinds[kind][name] for kind in kinds for name in NUMBERS}
    text = _text(outcome, published)
    return Scores(numbers | _as_published(published), _rows(annotations, outcome.per_class), text)


def best_of_each_image(records: Sequence[CocoRecord], limit: int) -> list[CocoRecord]:
    """The results of each image that have the highest scores; of equal ones, the first.

    Args:
        records: Of all classes.
        limit: How many of an image.
    """
    by_image: defaultdict[Id, list[CocoRecord]] = defaultdict(list)
    for record in records:
        by_image[record["image_id"]].append(record)
    return [
        record
        for found in by_image.values()
        for record in sorted(found, key=lambda each: -each["score"])[:limit]
    ]


def _what_is_missing(annotations: CocoAnnotations) -> str | None:
    images = annotations.images.values()
    lists = [(image.neg_category_ids, image.not_exhaustive_category_ids) for image in images]
    without = sum(None in pair for pair in lists)
    if not without:
        return None
    return (
        f"No LVIS AP: {without} of {len(lists)} images in {annotations.path} lack neg_category_ids "
        "or not_exhaustive_category_ids, which lvis_v1_val.json has; lvis_fix_minival_segm.py "
        "takes them from there."
    )


def _without_numbers(per_class: Sequence[ClassResult], why_not: str) -> Outcome:
    nothing = dict.fromkeys(NUMBERS)
    rows = [
        replace(row, box_ap=None, box_ap50=None, mask_ap=None, mask_ap50=None) for row in per_class
    ]
    return Outcome(nothing, nothing, rows, why_not)


def _by_protocol(
    annotations: CocoAnnotations,
    wanted: Sequence[int],
    results: Sequence[CocoRecord],
    with_masks: bool,
) -> Outcome:
    classes = set(wanted)
    truths = [each for each in annotations.annotations if each.category_id in classes]
    best = best_of_each_image(results, MAX_DETECTIONS)
    found = numbered(annotations, truths, _of_verified_classes(annotations, best), with_masks)
    instances = found.truths, found.detections, found.images
    box = lvis_curves("bbox", wanted, *instances)
    mask = lvis_curves("segm", wanted, *instances) if with_masks else None
    frequency_of = {category.id: category.frequency for category in annotations.categories}
    frequencies = [frequency_of[category_id] for category_id in wanted]
    mask_numbers = mask.numbers(frequencies) if mask else dict.fromkeys(NUMBERS)
    class_ap = box.class_ap(), mask.class_ap() if mask else None
    per_class = class_results(annotations, wanted, found.truths, *class_ap)
    return Outcome(box.numbers(frequencies), mask_numbers, per_class)


def _of_verified_classes(
    annotations: CocoAnnotations, records: Sequence[CocoRecord]
) -> list[CocoRecord]:
    """Those of classes that are annotated in the image or known to be absent."""
    verified = {key: set(image.neg_category_ids or ()) for key, image in annotations.images.items()}
    for annotation in annotations.annotations:
        verified[annotation.image_id].add(annotation.category_id)
    return [record for record in records if record["category_id"] in verified[record["image_id"]]]


def _as_published(published: Evaluation) -> dict[str, float | None]:
    return {
        f"{kind} {name} as published": known(values[name] if values else None)
        for kind, values in (("box", published.box), ("mask", published.mask))
        for name in PUBLISHED_NUMBERS
    }


def _rows(
    annotations: CocoAnnotations, per_class: Sequence[ClassResult]
) -> list[Mapping[str, Any]]:
    frequency_of = {category.id: category.frequency for category in annotations.categories}
    return [
        asdict(row)
        | {name: known(getattr(row, name)) for name in CLASS_NUMBERS}
        | {"frequency": frequency_of[row.category_id]}
        for row in per_class
    ]


def _text(outcome: Outcome, published: Evaluation) -> str:
    if published.box is None:
        return f"{published.text}\n"
    blocks = []
    if outcome.why_not:
        blocks.append(f"{outcome.why_not}\n")
    else:
        title = f"LVIS, the best {MAX_DETECTIONS} detections of an image:"
        blocks.append(_table(title, NUMBERS, outcome.box, outcome.mask))
    title = (
        f"As published, with COCOeval: the best {PUBLISHED_DETECTIONS} detections of an image, and "
        "all that is not annotated is wrong:"
    )
    blocks.append(_table(title, PUBLISHED_NUMBERS, published.box, published.mask or {}))
    shown = [row for row in outcome.per_class if row.instances]
    return "\n".join([*blocks, class_table(shown)])


def _table(title: str, names: Sequence[str], box: Numbers, mask: Numbers) -> str:
    lines = [title, "       " + "".join(f"{name:>8}" for name in names)]
    for kind, values in (("boxes", box), ("masks", mask)):
        cells = [known(values.get(name)) for name in names]
        shown = "".join("       -" if cell is None else f"{cell:8.3f}" for cell in cells)
        lines.append(f"{kind:7}{shown}")
    return "\n".join(lines) + "\n"
