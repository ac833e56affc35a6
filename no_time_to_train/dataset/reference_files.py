"""Which annotations are the references of each class, and what is there of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from no_time_to_train.coco.annotations import (
    Annotation,
    Category,
    CocoAnnotations,
    Id,
    ImageInfo,
    run_lengths,
)
from no_time_to_train.config import FillMemoryDataConfig
from no_time_to_train.dataset.class_splits import wanted_categories
from no_time_to_train.dataset.crop_boxes import PixelBox, crop_box
from no_time_to_train.dataset.image_files import existing_paths
from no_time_to_train.dataset.reference_set import ReferencePick, read_reference_set
from no_time_to_train.errors import InputError, listed

logger = logging.getLogger(__name__)

SETTINGS = "dataset_cfgs.fill_memory"
MAX_SHOWN = 20
"""Classes that a message names."""

Picks = Mapping[int, Sequence[ReferencePick]]


@dataclass(frozen=True, slots=True)
class Example:
    """What is known of a reference before its image is opened."""

    image: ImageInfo
    annotation: Annotation
    class_index: int
    slot: int

    @property
    def identity(self) -> Hashable:
        """The same for references that are repetitions of one another."""
        return self.class_index, self.image.id, self.annotation.id

    @property
    def source(self) -> str:
        """For messages."""
        return f"annotation {self.annotation.id!r} of image {self.image.file_name}"


class ReferenceFiles:
    """References of the wanted classes, in the order in which memory is filled.

    Args:
        config: Files, classes and crop settings.
    """

    def __init__(self, config: FillMemoryDataConfig) -> None:
        self.config = config

    def checks(self) -> list[Callable[[], object]]:
        """All that can be known without opening an image, each check for itself.

        They raise an InputError: a file is missing or damaged, a class has no reference or more
        than `memory_length`, or a reference names an annotation that cannot serve.
        """
        return [
            lambda: _check_counts(self.picks, self.categories, self.config),
            self._check_examples,
            lambda: self.paths,
        ]

    @cached_property
    def annotations(self) -> CocoAnnotations:
        """Of the json."""
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

    @cached_property
    def picks(self) -> Picks:
        """The reference set, with classes that are not wanted too."""
        return read_reference_set(self.config.memory_pkl)

    @cached_property
    def examples(self) -> list[Example]:
        """What there is to encode."""
        return _examples(self.annotations, self.categories, self.picks, self.config)

    @cached_property
    def paths(self) -> list[Path]:
        """The image files, in its order."""
        images = [example.image for example in self.examples]
        return existing_paths(self.config.root, f"{SETTINGS}.root", images)

    @cached_property
    def picture_names(self) -> list[str]:
        """A file name per reference: class index and image id; the slot too where those repeat.

        A reference that is repeated, annotation and all, has the name of its first appearance.
        """
        seen: set[str] = set()
        names: dict[Hashable, str] = {}
        for example in self.examples:
            stem = f"{example.class_index}_{example.image.id}".replace("/", "_")
            name = f"{stem}_{example.slot}.png" if stem in seen else f"{stem}.png"
            names.setdefault(example.identity, name)
            seen.add(stem)
        return [names[example.identity] for example in self.examples]

    def __getstate__(self) -> dict[str, Any]:
        # A worker process reads images only.
        return {k: v for k, v in vars(self).items() if k not in ("annotations", "picks")}

    def _check_examples(self) -> None:
        for example in self.examples:
            _check_example(example, self.categories[example.class_index].id, self.config)


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
) -> list[Example]:
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
        Example(
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


def _check_example(example: Example, category_id: int, config: FillMemoryDataConfig) -> None:
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
        reference_box(example, config.context_ratio, image.height, image.width)


def reference_box(example: Example, context_ratio: float, height: int, width: int) -> PixelBox:
    """Where a reference is cut out of an image of that size; an InputError where it is not in."""
    try:
        return crop_box(example.annotation.bbox, context_ratio, height, width)
    except InputError as error:
        raise InputError(f"{example.source}: {error}; repair the json") from None
