"""The images to segment."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image
from torch.utils.data import Dataset

from no_time_to_train.coco.annotations import CocoAnnotations, check_truths
from no_time_to_train.config import TestDataConfig
from no_time_to_train.dataset.class_splits import wanted_categories
from no_time_to_train.dataset.image_files import image_paths, missing_files, why_missing
from no_time_to_train.dataset.images import read_entry, to_pixels
from no_time_to_train.errors import InputError
from no_time_to_train.structures import BadImage, Target

logger = logging.getLogger(__name__)

SETTINGS = "dataset_cfgs.test"


class TargetDataset(Dataset[Target | BadImage]):
    """All images of a json, in its order, resized to SAM 2's square input.

    Where bad images are to be skipped, one that cannot be read has a `BadImage` in its place.

    Args:
        config: Files, classes and input size.

    Raises:
        InputError: A file is missing or damaged, there is no image, or a wanted class is unknown.
    """

    def __init__(self, config: TestDataConfig) -> None:
        self._config = config
        self.categories = wanted_categories(self.annotations, config.class_split, config.cat_names)
        self.class_names = [category.name for category in self.categories]
        self._images = list(self.annotations.images.values())
        if not self._images:
            raise InputError(f'{config.json_file}: "images" is empty; list the images to segment')
        check_truths(self.annotations, [category.id for category in self.categories])
        self._paths = self._find_files()

    def _find_files(self) -> list[Path]:
        """Where the images are; none may be missing, or, where bad ones are skipped, not all."""
        root, setting = self._config.root, f"{SETTINGS}.root"
        paths = image_paths(root, setting, self._images)
        missing = missing_files(paths)
        if len(missing) == len(set(paths)):
            raise why_missing(root, setting, paths, missing)
        if missing and self._config.on_bad_image == "fail":
            with _pointing_at_skip():
                raise why_missing(root, setting, paths, missing)
        return paths

    @property
    def paths(self) -> list[Path]:
        """The image files, in its order."""
        return self._paths

    @cached_property
    def annotations(self) -> CocoAnnotations:
        """Ground truth and images, as in the json."""
        return CocoAnnotations.read(self._config.json_file)

    def __getstate__(self) -> dict[str, Any]:
        # A worker process reads images only; whoever else unpickles this reads the json again.
        return {key: value for key, value in vars(self).items() if key != "annotations"}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Target | BadImage:
        """Read and resize one image.

        Raises:
            InputError: The image is damaged, or its size contradicts the json, and bad images are
                not to be skipped.
        """
        if self._config.on_bad_image == "fail":
            with _pointing_at_skip():
                return self._read(index)
        try:
            return self._read(index)
        except InputError as error:
            logger.warning("Counts as without detections: %s", error)
            image = self._images[index]
            return BadImage(index, image.id, image.file_name, str(error))

    def _read(self, index: int) -> Target:
        config = self._config
        picture, image = read_entry(self._images[index], self._paths[index], config.orientation)
        return to_target(picture, config.image_size, image.id, index)


@contextmanager
def _pointing_at_skip() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{error}, or let such images count as without detections: --on_bad_image skip"
        ) from None


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
