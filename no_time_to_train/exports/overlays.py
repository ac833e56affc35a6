"""What was found, drawn over the picture."""

from __future__ import annotations

from collections.abc import Sequence

from no_time_to_train.coco.boxes import pixel_corners
from no_time_to_train.exports.picture_results import PictureResult
from no_time_to_train.visualization.predictions import Instance, RgbImage, draw_instances


def overlay(result: PictureResult, image: RgbImage, class_names: Sequence[str]) -> RgbImage:
    """Draw the instances of a picture.

    Args:
        result: Of the picture.
        image: The picture as shown, (H, W, 3) RGB; it is not changed.
        class_names: By label.

    Returns:
        (H, W, 3) RGB.
    """
    instances = [
        Instance(each.mask, pixel_corners(each.bbox), each.label, each.score)
        for each in result.instances
    ]
    return draw_instances(image, instances, class_names)
