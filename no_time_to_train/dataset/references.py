"""The reference images: one crop and mask per entry of the reference set, in its order."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import Dataset

from no_time_to_train.coco.annotations import (
    Annotation,
    Category,
    CocoAnnotations,
    Id,
    ImageInfo,
    rasterise,
    run_lengths,
)
from no_time_to_train.config import FillMemoryDataConfig
from no_time_to_train.dataset.class_splits import wanted_categories
from no_time_to_train.dataset.crops import PixelBox, crop_and_resize, crop_box
from no_time_to_train.dataset.image_files import existing_paths
from no_time_to_train.dataset.images import read_entry, to_tensor
from no_time_to_train.dataset.reference_set import ReferencePick, read_reference_set
from no_time_to_train.errors import InputError, listed
from no_time_to_train.structures import Reference

logger = logging.getLogger(__name__)

SETTINGS = "dataset_cfgs.fill_memory"
MAX_SHOWN = 20
"""Classes that a message names."""

Picks = Mapping[int, Sequence[ReferencePick]]


@dataclass(frozen=True, slots=True)
class _Example:
    """What is known of a reference before its image is opened."""

    image: ImageInfo
    annotation: Annotation
    class_index: int
    slot: int

    @property
    def source(self) -> str:
        return f"annotation {self.annotation.id!r} of image {self.image.file_name}"


class ReferenceDataset(Dataset[Reference]):
    """References of the wanted classes, in the order in which memory is filled.

    All that can be known without opening an image is checked at construction.

    Args:
        config: Files, classes and crop settings.

    Raises:
        InputError: A file is missing or damaged, a class has no reference or more than
            `memory_length`, or a reference names an annotation that cannot serve.
    """

    def __init__(self, config: FillMemoryDataConfig) -> None:
        annotations = CocoAnnotations.read(config.json_file)
        categories = wanted_categories(annotations, config.class_split, config.cat_names)
        picks = read_reference_set(config.memory_pkl)
        _check_counts(picks, categories, config)
        self.categories = categories
        self.class_names = [category.name for category in categories]
        self._config = config
        self._examples = _examples(annotations, categories, picks, config)
        for example in self._examples:
            _check_example(example, categories[example.class_index].id, config)
        images = [example.image for example in self._examples]
        self._paths = existing_paths(config.root, f"{SETTINGS}.root", images)

    @property
    def paths(self) -> list[Path]:
        """The image files, in its order."""
        return self._paths

    @property
    def picture_names(self) -> list[str]:
        """A file name per reference: class index and image id; the slot too where those repeat."""
        seen: set[str] = set()
        names = []
        for example in self._examples:
            stem = f"{example.class_index}_{example.image.id}".replace("/", "_")
            names.append(f"{stem}_{example.slot}.png" if stem in seen else f"{stem}.png")
            seen.add(stem)
        return names

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Reference:
        """Read, crop and resize one reference.

        Raises:
            InputError: The image is damaged, or its size or mask contradicts the json.
        """
        example, config = self._examples[index], self._config
        picture, image = read_entry(example.image, self._paths[index], config.orientation)
        mask = torch.from_numpy(rasterise(example.annotation, image))  # (H, W)
        box = _crop_box(example, config.context_ratio, picture.height, picture.width)
        crop, crop_mask = crop_and_resize(to_tensor(picture), mask, box, config.image_size)
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


def _check_counts(
    picks: Picks, categories: Sequence[Category], config: FillMemoryDataConfig
) -> None:
    """Each wanted class has a reference, and none has more than there are places for."""
    length = config.memory_length
    counts = {category.name: len(picks.get(category.id, [])) for category in categories}
    without = [name for name, count in counts.items() if count == 0]
    if without:
        raise InputError(
            f"{config.memory_pkl} holds no references for {listed(without, MAX_SHOWN)}; make it "
            f"for these classes, or leave them out of {SETTINGS}.cat_names or class_split"
        )
    more = [f"{name} has {count}" for name, count in counts.items() if count > length]
    if more:
        raise InputError(
            f"{SETTINGS}.memory_length is {length} references per class, but in "
            f"{config.memory_pkl} {listed(more, MAX_SHOWN)}; set memory_length and "
            "model_cfg.memory_bank_cfg.length to that, or make the reference set again"
        )
    fewer = [f"{name} has {count}" for name, count in counts.items() if count < length]
    if fewer:
        shown = listed(fewer, MAX_SHOWN)
        logger.info("Fewer than %d references in %s: %s", length, config.memory_pkl, shown)


def _examples(
    annotations: CocoAnnotations,
    categories: Sequence[Category],
    picks: Picks,
    config: FillMemoryDataConfig,
) -> list[_Example]:
    class_index = {category.id: index for index, category in enumerate(categories)}
    wanted = {key: value for key, value in picks.items() if key in class_index}
    used = [(pick.img_id, pick.ann_ids[0]) for group in wanted.values() for pick in group]
    found = _find(annotations, set(used))
    unknown = next((key for key in used if key not in found), None)
    if unknown is not None:
        image_id, annotation_id = unknown
        raise InputError(
            f"{config.memory_pkl} refers to annotation {annotation_id!r} of image {image_id!r}, "
            f"which {config.json_file} does not have; use the json that the set was made from"
        )
    return [
        _Example(
            annotations.images[pick.img_id],
            found[pick.img_id, pick.ann_ids[0]],
            class_index[category_id],
            slot,
        )
        for category_id, group in wanted.items()
        for slot, pick in enumerate(group)
    ]


def _find(
    annotations: CocoAnnotations, keys: Container[tuple[Id, Id]]
) -> dict[tuple[Id, Id], Annotation]:
    """Annotations by (image id, annotation id), which tells repeated annotation ids apart."""
    keyed = (((entry.image_id, entry.id), entry) for entry in annotations.annotations)
    return {key: entry for key, entry in keyed if key in keys}


def _check_example(example: _Example, category_id: int, config: FillMemoryDataConfig) -> None:
    annotation, image = example.annotation, example.image
    if annotation.category_id != category_id:
        raise InputError(
            f"{config.memory_pkl} gives {example.source} to category {category_id}, in "
            f"{config.json_file} it has category {annotation.category_id}; make the set again"
        )
    if annotation.segmentation is None:
        raise InputError(
            f"{config.json_file}: {example.source} has a box but no segmentation; run `python "
            "no_time_to_train/dataset/sam_bbox_to_segm_batch.py "
            f"--input_json {config.json_file} --image_dir {config.root} "
            "--sam_checkpoint CHECKPOINT` and use the json that it writes"
        )
    if image.height is not None and image.width is not None:
        run_lengths(annotation, image)
        _crop_box(example, config.context_ratio, image.height, image.width)


def _crop_box(example: _Example, context_ratio: float, height: int, width: int) -> PixelBox:
    try:
        return crop_box(example.annotation.bbox, context_ratio, height, width)
    except InputError as error:
        raise InputError(f"{example.source}: {error}; repair the json") from None
