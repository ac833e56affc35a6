"""The images to segment."""

from __future__ import annotations

import logging

from PIL import Image
from torch.utils.data import Dataset

from no_time_to_train.config import TestDataConfig
from no_time_to_train.dataset.images import read_entry, to_pixels
from no_time_to_train.dataset.target_files import TargetFiles, pointing_at_skip
from no_time_to_train.errors import InputError
from no_time_to_train.structures import BadImage, Target

logger = logging.getLogger(__name__)


class TargetDataset(TargetFiles, Dataset[Target | BadImage]):
    """All images of a json, in its order, resized to SAM 2's square input.

    Where bad images are to be skipped, one that cannot be read has a `BadImage` in its place.

    Args:
        config: Files, classes and input size.

    Raises:
        InputError: A file is missing or damaged, there is no image, or a wanted class is unknown.
    """

    def __init__(self, config: TestDataConfig) -> None:
        super().__init__(config)
        for check in self.checks():
            check()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Target | BadImage:
        """Read and resize one image.

        Raises:
            InputError: The image is damaged, or its size contradicts the json, and bad images are
                not to be skipped.
        """
        if self.config.on_bad_image == "fail":
            with pointing_at_skip():
                return self._read(index)
        try:
            return self._read(index)
        except InputError as error:
            logger.warning("Counts as without detections: %s", error)
            image = self.images[index]
            return BadImage(index, image.id, image.file_name, str(error))

    def _read(self, index: int) -> Target:
        config = self.config
        picture, image = read_entry(self.images[index], self.paths[index], config.orientation)
        return to_target(picture, config.image_size, image.id, index)


def to_target(
    picture: Image.Image, image_size: int, image_id: int | str = 0, index: int = 0
) -> Target:
    """Resize an image to the segmenter's square input, with PIL's own antialiasing.

    Args:
        picture: RGB.
        image_size: Side of that input in pixels.
        image_id: As in the COCO json.
        index: Position in the data set.
    """
    resized = picture.resize((image_size, image_size), Image.Resampling.BICUBIC)
    size = picture.height, picture.width
    return Target(to_pixels(resized), size, image_id, index)
