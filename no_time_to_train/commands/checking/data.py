"""Annotations, classes and images of the references and of the targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from no_time_to_train.coco.annotations import Category, image_path
from no_time_to_train.commands.checking.findings import Findings, Setup
from no_time_to_train.config import TestMode
from no_time_to_train.dataset.image_files import existing_paths, missing_files
from no_time_to_train.dataset.reference_files import ReferenceFiles
from no_time_to_train.dataset.target_files import TargetFiles
from no_time_to_train.errors import listed
from no_time_to_train.memory.description import MemoryDescription
from no_time_to_train.pl_wrapper.setting_checks import check_classes, check_image_size
from no_time_to_train.pl_wrapper.stages import STAGES

ROWS_SHOWN = 100
"""Classes that are listed one by one: 1203 would bury what is above them."""


@dataclass
class Data:
    """What a stage reads besides networks and memory."""

    samples: int = 1
    """References or targets."""
    categories: Sequence[Category] = ()
    """By class index."""
    counts: Mapping[int, int] = field(default_factory=dict)
    """References, or annotations of targets, by category id."""
    images: Sequence[Path] = ()
    """That it reads."""
    pictures: Sequence[Path] = ()
    """That it draws."""
    picture_pixels: int = 0
    """Of all of them."""

    @property
    def class_names(self) -> list[str]:
        """By class index."""
        return [category.name for category in self.categories]


def check_data(setup: Setup, findings: Findings) -> Data:
    """Read what the stage reads, and check all but what is in the images."""
    data, reads = Data(), STAGES[setup.mode].reads
    if "references" in reads:
        files = ReferenceFiles(setup.datasets.fill_memory)
        findings.attempt_each(files.checks())
        with findings.attempt():
            _tell_references(setup, findings, files, data)
    if "targets" in reads:
        targets = TargetFiles(setup.datasets.test)
        findings.attempt_each(targets.checks())
        with findings.attempt():
            _tell_targets(setup, findings, targets, data)
    return data


def _tell_references(setup: Setup, findings: Findings, files: ReferenceFiles, data: Data) -> None:
    data.categories = files.categories
    with findings.attempt():
        check_classes(setup.model, data.class_names, "fill_memory")
    counts = {each.id: len(files.picks.get(each.id, ())) for each in data.categories}
    data.counts, length = counts, setup.model.memory_bank_cfg.length
    data.samples = sum(counts.values())
    short = [each.name for each in data.categories if counts[each.id] < length]
    less = f"; fewer than {length}: {listed(short)}" if short else ""
    findings.tell(
        "references",
        f"{data.samples} for {len(counts)} classes, {min(counts.values(), default=0)} to "
        f"{max(counts.values(), default=0)} for each{less}",
    )
    data.images = files.paths
    folder = setup.model.memory_visualizations_folder
    if setup.mode is TestMode.vis_memory:
        data.pictures = [folder / name for name in dict.fromkeys(files.picture_names)]
        data.picture_pixels = len(data.pictures) * setup.datasets.fill_memory.image_size**2


def _tell_targets(setup: Setup, findings: Findings, files: TargetFiles, data: Data) -> None:
    data.samples = len(files.images)
    without = sum(None in (image.height, image.width) for image in files.images)
    findings.tell(
        "targets",
        f"{data.samples} images in {files.config.json_file}; {len(missing_files(files.paths))} "
        f"are not in {files.config.root}, {without} have no size in the json",
    )
    data.categories = files.categories
    with findings.attempt():
        check_classes(setup.model, data.class_names, "test")
    wanted = {each.id for each in data.categories}
    truths = [each for each in files.annotations.annotations if each.category_id in wanted]
    data.counts = Counter(each.category_id for each in truths)
    findings.tell("ground truth", f"{len(truths)} annotations of {len(wanted)} classes")
    data.images = files.paths
    if setup.model.test.online_vis:
        _tell_pictures(setup, findings, files, data)


def _tell_pictures(setup: Setup, findings: Findings, files: TargetFiles, data: Data) -> None:
    folder, other_root = setup.model.visualizations_folder, setup.model.test.imgs_path
    data.pictures = [image_path(folder, image.file_name) for image in files.images]
    sizes = [(image.height or 0) * (image.width or 0) for image in files.images]
    panes = 2 if files.has_truth else 1  # ground truth beside predictions
    data.picture_pixels = panes * sum(sizes)
    if other_root:
        with findings.attempt():
            others = existing_paths(other_root, "model_cfg.test.imgs_path", files.images)
            data.images = [*data.images, *others]


def check_input_size(setup: Setup, findings: Findings, side: int) -> None:
    """Compare the crops of the references with the input of the encoder."""
    if "references" in STAGES[setup.mode].reads:
        with findings.attempt():
            check_image_size(setup.datasets, side)


def tell_classes(
    setup: Setup, findings: Findings, data: Data, memory: MemoryDescription | None
) -> None:
    """List the classes by index, and compare their names with those of the memory."""
    of_references = "references" in STAGES[setup.mode].reads
    what = "references" if of_references else "annotations"
    for index, category in enumerate(data.categories[:ROWS_SHOWN]):
        row = f"{index:>4}  {category.name}: {what} {data.counts.get(category.id, 0)}"
        if memory is not None and index < len(memory.counts):
            row += f", references in the memory {memory.counts[index]}"
            if memory.class_names and memory.class_names[index] != category.name:
                row += f", where its name is {memory.class_names[index]!r}"
        findings.tell("classes", row)
    if len(data.categories) > ROWS_SHOWN:
        findings.tell("classes", f"... and {len(data.categories) - ROWS_SHOWN} more classes")
