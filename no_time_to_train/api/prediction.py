"""What the Python API gives back for an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from no_time_to_train.api.arguments import (
    check_category_ids,
    check_colour_by,
    check_image_id,
    check_threshold,
)
from no_time_to_train.coco.results import CocoRecord, to_records
from no_time_to_train.config import ColourBy
from no_time_to_train.structures import Prediction
from no_time_to_train.visualization.captions import found_caption
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
    colour_by: ColourBy = "class"
    """What `draw` gives a colour of its own, unless it is told another."""

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

    def draw(
        self, threshold: float | None = None, colour_by: ColourBy | None = None
    ) -> Image.Image:
        """Draw the instances into the image; where there is none, how close the best one is.

        Args:
            threshold: Lowest score that is drawn; by default that of the configuration.
            colour_by: `class`, or `instance`, which tells overlapping instances of one class apart;
                by default that of the configuration.

        Raises:
            InputError: The threshold is no number, or colours can not be chosen by that.
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
        by = self.colour_by if colour_by is None else check_colour_by(colour_by)
        note = found_caption(self.scores.tolist(), len(instances), min_score)
        drawn = draw_instances(self.image, instances, self.class_names, by, empty_note=note)
        return Image.fromarray(drawn)
