"""References found in a folder, as the data set that fills a memory."""

from __future__ import annotations

from torch.utils.data import Dataset

from no_time_to_train.config import Orientation
from no_time_to_train.dataset.reference_files import reference_box
from no_time_to_train.dataset.reference_layouts.found import FoundReferences
from no_time_to_train.dataset.references import read_reference
from no_time_to_train.structures import Reference


class FoundDataset(Dataset[Reference]):
    """One crop and mask per reference, class by class, as `ReferenceDataset` gives them.

    Args:
        found: The references, all of which have masks.
        context_ratio: How much wider than the instance's box the crop is.
        image_size: Side of the resized crop in pixels.
        orientation: Of images with an EXIF orientation, as in the settings of the data sets.

    Raises:
        InputError: A box has no pixel in its image.
    """

    def __init__(
        self,
        found: FoundReferences,
        context_ratio: float,
        image_size: int,
        orientation: Orientation = "auto",
    ) -> None:
        self.examples = found.examples
        self.paths = [found.path(example.image.id) for example in self.examples]
        self.context_ratio = context_ratio
        self.image_size = image_size
        self.orientation: Orientation = orientation
        for example in self.examples:
            height, width = example.image.height, example.image.width
            if height is not None and width is not None:
                reference_box(example, context_ratio, height, width)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Reference:
        """Read, crop and resize one reference.

        Raises:
            InputError: The image is damaged, or its size or mask contradicts the annotation.
        """
        return read_reference(
            self.examples[index],
            self.paths[index],
            index,
            self.context_ratio,
            self.image_size,
            self.orientation,
        )
