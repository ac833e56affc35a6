"""The COCO-20i number as the published code computed it, for comparison with that code alone.

It is no mIoU of the fold. The background shares its value, 0, with the class at position 0; of all
values only 0 to 19 are looked at, though a class of the fold has its position among all 80; worse
predictions lie over better ones; crowds are background.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.evaluation.label_maps import ImageInstances, found_mask, paint

VALUES = 20
"""Values that are looked at, from 0 on."""
THRESHOLD = 0.5
"""Lowest score of a prediction that counts."""


class PublishedMeanIou:
    """Counts pixels by the published rules."""

    def __init__(self, annotations: CocoAnnotations) -> None:
        """Start at nothing.

        Args:
            annotations: The ground truth; a class is painted as its position by category id.
        """
        ids: Sequence[int] = sorted(category.id for category in annotations.categories)
        self._positions = {category_id: position for position, category_id in enumerate(ids)}
        self._intersections = np.zeros(VALUES, np.int64)
        self._unions = np.zeros(VALUES, np.int64)

    def add(self, instances: ImageInstances) -> None:
        """Count the pixels of an image."""
        truth = paint(
            instances.size,
            ((self._positions[key], mask) for key, mask in instances.truth_masks(iscrowd=False)),
        )
        found = paint(
            instances.size,
            (
                (self._positions[record["category_id"]], found_mask(record))
                for record in instances.records
                if record["score"] >= THRESHOLD
            ),
        )
        both = np.bincount(truth[truth == found], minlength=VALUES)[:VALUES]
        counts = [np.bincount(each.ravel(), minlength=VALUES)[:VALUES] for each in (truth, found)]
        self._intersections += both
        self._unions += counts[0] + counts[1] - both

    def value(self) -> float | None:
        """The mean over the values that occur; None where none does."""
        seen = self._unions > 0
        if not seen.any():
            return None
        return float((self._intersections[seen] / self._unions[seen]).mean())
