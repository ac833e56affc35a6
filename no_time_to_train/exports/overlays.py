"""What was found, drawn over the picture."""

from __future__ import annotations

from collections.abc import Sequence

from no_time_to_train.coco.boxes import pixel_corners
from no_time_to_train.config import ColourBy
from no_time_to_train.exports.picture_results import PictureResult
from no_time_to_train.visualization.captions import found_caption
from no_time_to_train.visualization.predictions import Instance, RgbImage, draw_instances


def overlay(
    result: PictureResult,
    image: RgbImage,
    class_names: Sequence[str],
    threshold: float,
    colour_by: ColourBy = "class",
) -> RgbImage:
    """Draw the instances of a picture.

    Args:
        result: Of the picture.
        image: The picture as shown, (H, W, 3) RGB; it is not changed.
        class_names: By label.
        threshold: Lowest score of the instances; told where there is none.
        colour_by: What gets a colour of its own.

    Returns:
        (H, W, 3) RGB.
    """
    instances = [
        Instance(each.mask, pixel_corners(each.bbox), each.label, each.score)
        for each in result.instances
    ]
    note = found_caption(len(instances), result.candidates, result.best_score, threshold)
    return draw_instances(image, instances, class_names, colour_by, empty_note=note)
