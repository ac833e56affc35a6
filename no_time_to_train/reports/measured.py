"""What a page about a `test` run is made of, beside its metrics.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.evaluation.coco import Evaluation


@dataclass(frozen=True)
class Measured:
    """Results of a run, and what they are compared with."""

    annotations: CocoAnnotations
    """Of the images that ran."""
    category_ids: Sequence[int]
    """Wanted classes."""
    records: Sequence[CocoRecord]
    evaluation: Evaluation
