"""COCO results of a data set as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from no_time_to_train.coco.annotations import Category, CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.coco.segmentation import area
from no_time_to_train.exports.instances_csv import Row, instance_rows
from no_time_to_train.exports.picture_results import FoundInstance


def record_rows(
    records: Iterable[CocoRecord], annotations: CocoAnnotations, categories: Sequence[Category]
) -> Iterator[Row]:
    """Name pictures and classes of results.

    Args:
        records: With masks; those of one picture stand together, best first.
        annotations: Of the data set.
        categories: In the order of the labels.
    """
    names = [category.name for category in categories]
    labels = {category.id: label for label, category in enumerate(categories)}
    for image_id, found in groupby(records, key=lambda record: record["image_id"]):
        instances = [_instance(record, labels[record["category_id"]]) for record in found]
        yield from instance_rows(annotations.images[image_id].file_name, instances, names)


def _instance(record: CocoRecord, label: int) -> FoundInstance:
    """With the box of the mask: that of a result has the published width, one less."""
    mask = record["segmentation"]
    left, top, width, height = (round(number) for number in record["bbox"])
    box = (left, top, width + 1, height + 1)
    return FoundInstance(label, record["score"], box, area({**mask}), mask)
