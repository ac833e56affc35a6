"""The reference images: one crop and mask per entry of the reference set, in its order."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import Dataset

from no_time_to_train.coco.annotations import rasterise
from no_time_to_train.config import FillMemoryDataConfig, Orientation
from no_time_to_train.dataset.crops import crop_and_resize
from no_time_to_train.dataset.images import read_entry, to_tensor
from no_time_to_train.dataset.reference_files import Example, ReferenceFiles, reference_box
from no_time_to_train.errors import InputError
from no_time_to_train.structures import Reference


class ReferenceDataset(ReferenceFiles, Dataset[Reference]):
    """References of the wanted classes, in the order in which memory is filled.

    All that can be known without opening an image is checked at construction.

    Args:
        config: Files, classes and crop settings.

    Raises:
        InputError: A file is missing or damaged, a class has no reference or more than
            `memory_length`, or a reference names an annotation that cannot serve.
    """

    def __init__(self, config: FillMemoryDataConfig) -> None:
        super().__init__(config)
        for check in self.checks():
            check()

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Reference:
        """Read, crop and resize one reference.

        Raises:
            InputError: The image is damaged, or its size or mask contradicts the json.
        """
        config = self.config
        return read_reference(
            self.examples[index],
            self.paths[index],
            index,
            config.context_ratio,
            config.image_size,
            config.orientation,
        )


def read_reference(
    example: Example,
    path: Path,
    index: int,
    context_ratio: float,
    image_size: int,
    orientation: Orientation,
) -> Reference:
    """Read, crop and resize one reference.

    Args:
        example: What is known of it.
        path: Its image.
        index: Its position among all.
        context_ratio: How much wider than the instance's box the crop is.
        image_size: Side of the resized crop in pixels.
        orientation: Of images with an EXIF orientation, as in the settings of the data sets.

    Raises:
        InputError: The image is damaged, or its size or mask contradicts the annotation.
    """
    picture, image = read_entry(example.image, path, orientation)
    mask = torch.from_numpy(rasterise(example.annotation, image))  # (H, W)
    box = reference_box(example, context_ratio, picture.height, picture.width)
    crop, crop_mask = crop_and_resize(to_tensor(picture), mask, box, image_size)
    if not crop_mask.any():
        raise InputError(f"{example.source}: its mask has no pixel in its box; repair the json")
    return Reference(
        image=crop,
        mask=crop_mask,
        class_index=example.class_index,
        slot=example.slot,
        image_id=image.id,
        index=index,
        source=example.source,
    )
