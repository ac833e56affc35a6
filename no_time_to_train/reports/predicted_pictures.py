"""Which pictures of a `predict` run are shown: what is drawn on them is read in a second pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from no_time_to_train.coco.annotations import image_path
from no_time_to_train.dataset.images import read_image
from no_time_to_train.reports.choice import PER_GROUP
from no_time_to_train.reports.content import Picture, PictureGroup
from no_time_to_train.reports.json_stream import stream_object
from no_time_to_train.reports.overview import ImageKey, Overview
from no_time_to_train.reports.pictures import Classes, Shown, picture


@dataclass(frozen=True)
class PredictedGallery:
    """Pictures of a run to choose from."""

    results: Sequence[Path]
    overview: Overview
    """Of these results."""
    classes: Classes
    root: Path
    """Folder of the pictures."""
    as_stored: bool
    """Whether EXIF orientations did not count."""

    def groups(self) -> list[PictureGroup]:
        """Surest, least sure, without a find, and random ones."""
        candidates = [] if self.overview.is_cut else self.overview.random.items()
        surest = self.overview.surest.items()
        least_sure = [key for key in self.overview.least_sure.items() if key not in surest]
        images, found = self._read({*candidates, *surest, *least_sure})
        rest = [key for key in candidates if key not in {*surest, *least_sure}]
        chosen = {
            ("Surest", "The highest mean score of what was found."): surest,
            ("Least sure", "The lowest mean score of what was found."): least_sure,
            ("Nothing found", "Chosen at random among the pictures in which nothing was found."): [
                key for key in rest if key not in found
            ][:PER_GROUP],
            ("Random", "Chosen at random among the others."): [key for key in rest if key in found][
                :PER_GROUP
            ],
        }
        return [
            PictureGroup(*text, [self._picture(images[key], found.get(key, [])) for key in keys])
            for text, keys in chosen.items()
            if keys
        ]

    def _read(
        self, keys: set[ImageKey]
    ) -> tuple[dict[ImageKey, Any], dict[ImageKey, list[Mapping[str, Any]]]]:
        """Entries of these images, and what was found in them."""
        images: dict[ImageKey, Any] = {}
        found: dict[ImageKey, list[Mapping[str, Any]]] = {}
        for number, path in enumerate(self.results):
            for name, entry in stream_object(path):
                if name == "images" and (key := (number, entry["id"])) in keys:
                    images[key] = entry
                elif name == "annotations" and (key := (number, entry["image_id"])) in keys:
                    found.setdefault(key, []).append(entry)
        return images, found

    def _picture(self, entry: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> Picture:
        name = str(entry["file_name"])
        instances = [
            Shown(each["category_id"], each["score"], each.get("segmentation"), each["bbox"])
            for each in found
        ]
        caption = f"{len(found)} found."
        if found:
            mean = sum(each["score"] for each in found) / len(found)
            caption = f"{len(found)} found, mean score {mean:.2f}."

        def read() -> Image.Image:
            return read_image(image_path(self.root, name), as_stored=self.as_stored)

        size = (entry["height"], entry["width"])
        return picture(read, name, size, instances, self.classes, caption)
