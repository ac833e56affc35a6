"""What is found in a whole run of `predict`, counted in one pass over its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from no_time_to_train.errors import InputError
from no_time_to_train.reports.choice import PER_GROUP, Best, draw
from no_time_to_train.reports.content import BINS
from no_time_to_train.reports.json_stream import stream_object

RESULTS_FILE = "results.json"
TABLES = "tables"
"""Folder of the results of a run that has a file for each folder of pictures."""
CANDIDATES = 64
"""Random pictures that are chosen from."""
MAX_INSTANCES = 1_000_000
"""Read for the numbers and for the choice of pictures: some 10 s."""
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}
"""Pixels of the mask, as COCO has it."""
ImageKey = tuple[int, Any]
"""Which file of the results a picture is in, and its id there."""


@dataclass
class Overview:
    """What was counted, and which pictures are worth showing."""

    images: int = 0
    instances: int = 0
    with_instances: int = 0
    is_cut: bool = False
    """Whether there are more instances than are read."""
    names: dict[int, str] = field(default_factory=dict)
    """By category id."""
    per_class: Counter[int] = field(default_factory=Counter)
    bins: list[int] = field(default_factory=lambda: [0] * BINS)
    """Instances by score."""
    sizes: Counter[str] = field(default_factory=Counter)
    surest: Best[ImageKey] = field(default_factory=lambda: Best(PER_GROUP))
    least_sure: Best[ImageKey] = field(default_factory=lambda: Best(PER_GROUP))
    random: Best[ImageKey] = field(default_factory=lambda: Best(CANDIDATES))

    def count_image(self, key: ImageKey, found: Sequence[Mapping[str, Any]]) -> None:
        """Count the instances of a picture."""
        self.with_instances += 1
        for each in found:
            self.per_class[each["category_id"]] += 1
            self.bins[min(int(each["score"] * BINS), BINS - 1)] += 1
            self.sizes[_size(each["area"])] += 1
        mean = sum(each["score"] for each in found) / len(found)
        self.surest.offer((mean, len(found)), key)
        self.least_sure.offer((-mean, len(found)), key)


def _size(area: float) -> str:
    return next(name for name, (low, high) in SIZES.items() if low <= area < high)


def result_files(folder: Path) -> list[Path]:
    """The results of all pictures; a run may have a file for each folder of pictures.

    Raises:
        InputError: There are none.
    """
    if (folder / RESULTS_FILE).is_file():
        return [folder / RESULTS_FILE]
    files = sorted((folder / TABLES).rglob(RESULTS_FILE))
    if not files:
        raise InputError(f"there is no {RESULTS_FILE} in {folder}; name the folder of a whole run")
    return files


def overview_of(paths: Sequence[Path]) -> Overview:
    """Go through results.

    Raises:
        InputError: A file is damaged.
    """
    overview = Overview()
    for number, path in enumerate(paths):
        try:
            entries = _entries(number, path, overview)
            for image_id, group in groupby(entries, key=lambda each: each["image_id"]):
                overview.count_image((number, image_id), list(group))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path} is not what `predict` writes ({error!r})") from None
    return overview


def _entries(number: int, path: Path, overview: Overview) -> Iterator[Mapping[str, Any]]:
    """The instances, which stand picture by picture; what else there is is counted on the way."""
    for name, entry in stream_object(path):
        if name == "images":
            overview.images += 1
            overview.random.offer(draw(str(entry["file_name"])), (number, entry["id"]))
        elif name == "categories":
            overview.names[entry["id"]] = str(entry["name"])
        elif name == "annotations":
            overview.is_cut = overview.instances == MAX_INSTANCES
            if overview.is_cut:
                return
            overview.instances += 1
            yield entry
