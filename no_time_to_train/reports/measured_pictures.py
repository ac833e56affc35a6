"""Which pictures of a `test` run are shown, and what is drawn on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from no_time_to_train.coco.annotations import CocoAnnotations, image_path
from no_time_to_train.coco.boxes import pixel_corners, xyxy_to_xywh
from no_time_to_train.coco.entries import Id
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.config import Orientation
from no_time_to_train.dataset.images import read_entry
from no_time_to_train.evaluation.confusions import MatchedImage, f1_score
from no_time_to_train.reports.choice import PER_GROUP, Best, draw
from no_time_to_train.reports.content import Picture, PictureGroup
from no_time_to_train.reports.pictures import Classes, Shown, picture


@dataclass(frozen=True)
class Gallery:
    """Pictures of a data set with results, to choose from."""

    annotations: CocoAnnotations
    """Of the images that ran."""
    records: Sequence[CocoRecord]
    matched: Mapping[Id, MatchedImage]
    """Detections and ground truth of every image."""
    classes: Classes
    threshold: float
    """Lowest score of a detection that counts."""
    root: Path
    """Folder of the images."""
    orientation: Orientation

    def groups(self) -> list[PictureGroup]:
        """The best, the worst and random ones; where there is no ground truth, by scores."""
        best, worst, words = Best[Id](PER_GROUP), Best[Id](PER_GROUP), self._words()
        for image_id, matched in self.matched.items():
            value = self._value(matched)
            if value is not None:
                weight = len(matched.truths) + len(matched.detections)
                best.offer((value, weight), image_id)
                worst.offer((-value, weight), image_id)
        first = best.items()
        last = [each for each in worst.items() if each not in first]
        chosen = [first, last, self._random({*first, *last})]
        records = self._records_of({image_id for group in chosen for image_id in group})
        return [
            PictureGroup(*text, [self._picture(each, records[each]) for each in group])
            for text, group in zip(words, chosen, strict=True)
            if group
        ]

    @property
    def _has_truth(self) -> bool:
        return any(matched.truths for matched in self.matched.values())

    def _words(self) -> list[tuple[str, str]]:
        at = f"at a threshold of {self.threshold:.2f}"
        random = ("Random", "Chosen at random among the others.")
        if self._has_truth:
            return [("Best", f"The highest F1 {at}."), ("Worst", f"The lowest F1 {at}."), random]
        return [
            ("Surest", f"The highest mean score of what was found {at}."),
            ("Least sure", f"The lowest mean score of what was found {at}."),
            random,
        ]

    def _value(self, matched: MatchedImage) -> float | None:
        if self._has_truth:
            return f1_score(matched.pairs(self.threshold))
        scores = [each.score for each in matched.detections if each.score >= self.threshold]
        return sum(scores) / len(scores) if scores else None

    def _random(self, without: set[Id]) -> list[Id]:
        random = Best[Id](PER_GROUP)
        for image_id, image in self.annotations.images.items():
            if image_id not in without:
                random.offer(draw(image.file_name), image_id)
        return random.items()

    def _records_of(self, image_ids: set[Id]) -> defaultdict[Id, list[CocoRecord]]:
        records: defaultdict[Id, list[CocoRecord]] = defaultdict(list)
        for record in self.records:
            if record["image_id"] in image_ids and record["category_id"] in self.classes.names:
                records[record["image_id"]].append(record)
        return records

    def _picture(self, image_id: Id, records: Sequence[CocoRecord]) -> Picture:
        entry = self.annotations.images[image_id]
        shown = [
            Shown(each["category_id"], each["score"], each.get("segmentation"), each["bbox"])
            for each in records
        ]
        shown += [
            Shown(each.category_id, None, each.segmentation, xyxy_to_xywh(pixel_corners(each.bbox)))
            for each in self.annotations.of_image(image_id)
            if each.category_id in self.classes.names and not each.iscrowd
        ]

        def read() -> Image.Image:
            path = image_path(self.root, entry.file_name)
            return read_entry(entry, path, self.orientation)[0]

        size = (entry.height, entry.width) if entry.height and entry.width else None
        caption = self._caption(self.matched[image_id])
        return picture(read, entry.file_name, size, shown, self.classes, caption)

    def _caption(self, matched: MatchedImage) -> str:
        pairs = matched.pairs(self.threshold)
        found = sum(each[1] is not None for each in pairs)
        at = f"At {self.threshold:.2f}:"
        if not self._has_truth:
            return f"{at} {found} found."
        right = sum(truth == detected for truth, detected in pairs)
        f1 = f1_score(pairs)
        counts = f"{right} right, {found - right} wrong, {len(matched.truths) - right} missed."
        return f"{at} {counts}" if f1 is None else f"{at} F1 {f1:.2f}, {counts}"
