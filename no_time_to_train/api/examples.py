"""Examples that people hand to the Python API, read and cropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from no_time_to_train.api.drawing import MaskDrawing
from no_time_to_train.api.marks import marked, polygon_mask
from no_time_to_train.api.pictures import Picture, open_picture
from no_time_to_train.dataset.crop_boxes import crop_box
from no_time_to_train.dataset.crops import crop_and_resize
from no_time_to_train.dataset.images import to_tensor
from no_time_to_train.errors import InputError

Mask = npt.NDArray[np.bool_]  # (H, W)


@dataclass(frozen=True)
class Marks:
    """How an instance is marked: one of the three."""

    mask: Any
    polygon: Any
    box: Any

    def __post_init__(self) -> None:
        given = [name for name, value in vars(self).items() if value is not None]
        if len(given) != 1:
            what = " and ".join(given) if given else "neither mask, nor polygon, nor box"
            raise InputError(f"the instance is marked by {what}; give one of the three")


@dataclass(frozen=True)
class ExampleReader:
    """From a picture with a mark to a crop with a mask."""

    drawing: MaskDrawing
    """Draws what is in a box."""
    crop_size: int
    """Side of the crops in pixels."""
    context_ratio: float
    """How much wider than the instance's box a crop is."""
    as_stored: bool
    """Whether the EXIF orientation of pictures does not count."""

    def read(self, image: Picture, marks: Marks, what: str) -> tuple[Tensor, Tensor]:
        """Crop around an instance.

        Args:
            image: The picture it is in.
            marks: Where it is.
            what: What its mask is called in messages.

        Returns:
            Crop (3, S, S) float32 in [0, 1], RGB, and mask (S, S) float32 in [0, 1].

        Raises:
            InputError: An argument is of another kind, or nothing is marked.
        """
        picture = open_picture(image, self.as_stored)
        inside = self._inside(picture, marks, what)
        if not inside.any():
            raise InputError(f"{what} has no pixel; mark the instance")
        rows, columns = inside.any(axis=1).nonzero()[0], inside.any(axis=0).nonzero()[0]
        x, y = int(columns[0]), int(rows[0])
        bbox = (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)
        height, width = inside.shape
        box = crop_box(bbox, self.context_ratio, height, width)
        return crop_and_resize(to_tensor(picture), torch.from_numpy(inside), box, self.crop_size)

    def _inside(self, picture: Image.Image, marks: Marks, what: str) -> Mask:
        def draw_box(box: Any) -> Mask:
            return self.drawing.draw(np.asarray(picture), None, None, box)

        size = picture.height, picture.width
        if marks.polygon is not None:
            return polygon_mask(marks.polygon, what, size)
        if marks.box is not None:
            return draw_box(marks.box)
        return marked(marks.mask, what, size, self.as_stored, draw_box)
