"""Which images are to be segmented, and what is there of them; none is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from no_time_to_train.coco.annotations import Category, CocoAnnotations, ImageInfo, check_truths
from no_time_to_train.config import TestDataConfig
from no_time_to_train.dataset.class_splits import wanted_categories
from no_time_to_train.dataset.image_files import image_paths, missing_files, why_missing
from no_time_to_train.errors import InputError

SETTINGS = "dataset_cfgs.test"


class TargetFiles:
    """All images of a json, in its order, and the wanted classes.

    Args:
        config: Files, classes and input size.
    """

    def __init__(self, config: TestDataConfig) -> None:
        self.config = config

    def checks(self) -> list[Callable[[], object]]:
        """All that can be known without opening an image, each check for itself.

        They raise an InputError: a file is missing or damaged, there is no image, or a wanted class
        is unknown.
        """
        return [self._check_json, self._check_truths, self._check_files]

    @cached_property
    def annotations(self) -> CocoAnnotations:
        """Ground truth and images, as in the json."""
        return CocoAnnotations.read(self.config.json_file)

    @cached_property
    def categories(self) -> list[Category]:
        """The wanted ones, by class index."""
        config = self.config
        return wanted_categories(self.annotations, config.class_split, config.cat_names)

    @property
    def class_names(self) -> list[str]:
        """By class index."""
        return [category.name for category in self.categories]

    @property
    def has_truth(self) -> bool:
        """Whether any object of a wanted class is annotated in any image."""
        wanted = {category.id for category in self.categories}
        return any(each.category_id in wanted for each in self.annotations.annotations)

    @cached_property
    def images(self) -> list[ImageInfo]:
        """Entries of the json."""
        return list(self.annotations.images.values())

    @cached_property
    def paths(self) -> list[Path]:
        """The image files, in its order."""
        return image_paths(self.config.root, f"{SETTINGS}.root", self.images)

    def __getstate__(self) -> dict[str, Any]:
        # A worker process reads images only; whoever else unpickles this reads the json again.
        return {key: value for key, value in vars(self).items() if key != "annotations"}

    def _check_json(self) -> None:
        if not self.images:
            raise InputError(
                f'{self.config.json_file}: "images" is empty; list the images to segment'
            )

    def _check_truths(self) -> None:
        check_truths(self.annotations, [category.id for category in self.categories])

    def _check_files(self) -> None:
        """Refuse missing images; where bad ones are skipped, only if there is none."""
        root, setting, paths = self.config.root, f"{SETTINGS}.root", self.paths
        missing = missing_files(paths)
        if missing and len(missing) == len(set(paths)):
            raise why_missing(root, setting, paths, missing)
        if missing and self.config.on_bad_image == "fail":
            with pointing_at_skip():
                raise why_missing(root, setting, paths, missing)


@contextmanager
def pointing_at_skip() -> Iterator[None]:
    """Say in an error about an image what lets a run go on without it."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{error}, or let such images count as without detections: --on_bad_image skip"
        ) from None
