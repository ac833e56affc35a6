"""What the Python API gives back for an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from no_time_to_train.api.arguments import check_category_ids, check_image_id, check_threshold
from no_time_to_train.coco.results import CocoRecord, to_records
from no_time_to_train.structures import Prediction
from no_time_to_train.visualization.predictions import Instance, draw_instances


@dataclass(frozen=True)
class ImagePrediction(Prediction):
    """The instances found in one image, with the image and the names of the classes."""

    image: npt.NDArray[np.uint8]
    """(H, W, 3) RGB."""
    class_names: Sequence[str]
    """By label."""
    threshold: float = 0.5
    """Lowest score that `draw` shows unless it is told another."""

    @property
    def names(self) -> list[str]:
        """Class name of each instance."""
        return [self.class_names[label] for label in self.labels.tolist()]

    def to_coco(
        self, image_id: int | str = 0, category_ids: Sequence[int] | None = None
    ) -> list[CocoRecord]:
        """Put the instances down as COCO results.

        Args:
            image_id: Of this image in the data set.
            category_ids: By label; by default the labels themselves, counted from 1.

        Raises:
            InputError: An id is of another type, or there are not as many as classes.
        """
        ids = check_category_ids(category_ids, len(self.class_names))
        return to_records(self, check_image_id(image_id), ids)

    def draw(self, threshold: float | None = None) -> Image.Image:
        """Draw the instances into the image.

        Args:
            threshold: Lowest score that is drawn; by default that of the configuration.

        Raises:
            InputError: The threshold is no number.
        """
        min_score = self.threshold if threshold is None else check_threshold(threshold)
        rows = zip(
            self.masks, self.boxes.tolist(), self.labels.tolist(), self.scores.tolist(), strict=True
        )
        instances = [
            Instance(mask.cpu().numpy(), tuple(box), label, score)
            for mask, box, label, score in rows
            if score > min_score
        ]
        return Image.fromarray(draw_instances(self.image, instances, self.class_names))
