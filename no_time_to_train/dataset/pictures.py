"""Pictures without annotations, read one by one; those that cannot be read are told of."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from no_time_to_train.dataset.images import read_image
from no_time_to_train.dataset.picture_folders import printable
from no_time_to_train.dataset.picture_stamps import FileStamp
from no_time_to_train.dataset.targets import to_target
from no_time_to_train.errors import InputError
from no_time_to_train.structures import BadImage, Target

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenedPicture:
    """A picture to segment."""

    target: Target
    """Its index is that of the picture in the run."""
    file_name: str
    """Relative to the folder of the pictures."""
    stamp: FileStamp
    """Taken before it was read."""
    pixels: npt.NDArray[np.uint8] | None
    """(H, W, 3) RGB at its own size, where something is drawn over it."""


class PictureDataset(Dataset[OpenedPicture | BadImage]):
    """Pictures of a folder, resized to SAM 2's square input.

    Args:
        root: The folder.
        names: Of the pictures, relative to it, by their index in the run.
        image_size: Side of that input in pixels.
        as_stored: Whether EXIF orientations do not count.
        with_pixels: Whether the pixels at their own size are needed.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[tuple[int, str]],
        image_size: int,
        as_stored: bool = False,
        with_pixels: bool = True,
    ) -> None:
        self.root, self.names, self.image_size = root, names, image_size
        self.as_stored, self.with_pixels = as_stored, with_pixels

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: int) -> OpenedPicture | BadImage:
        """Read and resize one."""
        index, name = self.names[place]
        stamp = FileStamp.of(self.root / name)
        try:
            picture = read_image(self.root / _checked(name), as_stored=self.as_stored)
        except InputError as error:
            reason = " ".join(printable(str(error)).split())
            logger.warning("Left out: %s", reason)
            return BadImage(index, index + 1, printable(name), reason)
        target = to_target(picture, self.image_size, index + 1, index)
        pixels = np.asarray(picture) if self.with_pixels else None
        return OpenedPicture(target, name, stamp, pixels)


def _checked(name: str) -> str:
    if printable(name) != name:
        raise InputError(f"{printable(name)} has a name that is no UTF-8 text; rename it")
    return name
