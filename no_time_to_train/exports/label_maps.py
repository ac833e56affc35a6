"""Masks as pictures: one label map of all instances, or one black and white picture of each."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from no_time_to_train.exports.output_names import name_part
from no_time_to_train.exports.picture_results import PictureResult
from no_time_to_train.files import atomic_write

MAX_INSTANCES = 2**16 - 1
"""In a label map of 16 bits."""


def label_map(result: PictureResult) -> NDArray[np.uint16]:
    """Number the pixels of a picture by the instance that they belong to.

    Args:
        result: At most 65,535 instances.

    Returns:
        (H, W): 0 is background, 1 the best instance, 2 the second. A pixel in several masks belongs
        to the best of them, so an instance that better ones cover has no pixel here; its whole mask
        is in `instance_masks`.
    """
    assert len(result.instances) <= MAX_INSTANCES
    labels = np.zeros((result.height, result.width), dtype=np.uint16)
    for number in range(len(result.instances), 0, -1):
        labels[result.instances[number - 1].mask] = number
    return labels


def write_label_map(path: Path, result: PictureResult) -> None:
    """Write `label_map` as a PNG of 16 bits; it appears whole or not at all.

    Raises:
        InputError: The file cannot be written.
    """
    _write_png(path, label_map(result))


def instance_file_names(result: PictureResult, class_names: Sequence[str]) -> list[str]:
    """A name for the picture of each mask: `001_cell_0.94.png`, numbered as in the label map.

    Args:
        result: Of the picture.
        class_names: By label.
    """
    return [
        f"{number:03d}_{name_part(class_names[each.label])}_{each.score:.2f}.png"
        for number, each in enumerate(result.instances, start=1)
    ]


def instance_masks(result: PictureResult) -> Iterator[NDArray[np.uint8]]:
    """Each mask as a picture, (H, W): 255 where it is, 0 elsewhere."""
    for instance in result.instances:
        yield instance.mask.astype(np.uint8) * 255


def write_instance_masks(folder: Path, result: PictureResult, class_names: Sequence[str]) -> None:
    """Write each whole mask as a PNG of 8 bits, 0 and 255.

    Args:
        folder: Of this picture alone.
        result: Of the picture.
        class_names: By label.

    Raises:
        InputError: A file cannot be written.
    """
    names = instance_file_names(result, class_names)
    for name, mask in zip(names, instance_masks(result), strict=True):
        _write_png(folder / name, mask)


def _write_png(path: Path, pixels: NDArray[np.uint16] | NDArray[np.uint8]) -> None:
    encoded = io.BytesIO()  # encoders that write to a file themselves do not say why they cannot
    Image.fromarray(pixels).save(encoded, "PNG")
    with atomic_write(path, "wb", is_result=False) as file:
        file.write(encoded.getbuffer())
