"""What a search has found, at any threshold, without running the networks again."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from no_time_to_train.api import ImagePrediction
from no_time_to_train.app.marking import fitted, resampled
from no_time_to_train.coco.segmentation import from_rle
from no_time_to_train.exports.coco_document import write_coco
from no_time_to_train.exports.instances_csv import Row, instance_rows, write_csv
from no_time_to_train.exports.label_maps import write_label_map
from no_time_to_train.exports.output_names import OutputNames
from no_time_to_train.exports.picture_results import PictureResult
from no_time_to_train.visualization.predictions import Instance, RgbImage, draw_instances

MIN_PREVIEW, MAX_PREVIEW = 480, 960
"""Longer side of a picture among the results, in pixels; smaller ones are enlarged."""


@dataclass(frozen=True, eq=False)
class SearchedPicture:
    """A picture and all that was found in it, whatever its score."""

    result: PictureResult
    preview: bytes
    """A JPEG, its longer side from MIN_PREVIEW to MAX_PREVIEW pixels."""
    small: Sequence[dict[str, Any]]
    """Of each instance the mask at the size of the preview, as run lengths."""

    @classmethod
    def of(cls, prediction: ImagePrediction, number: int, name: str) -> SearchedPicture:
        """Keep what results are drawn from.

        Args:
            prediction: Of the picture.
            number: Its position among the pictures of the search, from 1.
            name: Of its file.
        """
        result = prediction.to_result(number, name)
        preview = fitted(Image.fromarray(prediction.image), MIN_PREVIEW, MAX_PREVIEW)
        small = [run_lengths(resampled(each.mask, preview.shape[:2])) for each in result.instances]
        return cls(result, _jpeg(preview), small)

    def above(self, threshold: float) -> PictureResult:
        """The instances with at least this score."""
        kept = [each for each in self.result.instances if each.score >= threshold]
        return replace(self.result, instances=kept)

    def drawn(self, threshold: float, class_names: Sequence[str]) -> RgbImage:
        """The preview with the instances of at least this score."""
        with Image.open(io.BytesIO(self.preview)) as file:
            picture = np.asarray(file)
        scale = picture.shape[1] / self.result.width
        instances = [
            Instance(from_rle(small), _scaled(each.bbox, scale), each.label, each.score)
            for each, small in zip(self.result.instances, self.small, strict=True)
            if each.score >= threshold
        ]
        return draw_instances(picture, instances, class_names)


@dataclass(frozen=True, eq=False)
class Found:
    """The results of one search."""

    class_names: Sequence[str]
    """By label."""
    pictures: Sequence[SearchedPicture]
    skipped: Sequence[str]
    """Why a picture was not searched, a sentence each."""

    def above(self, threshold: float) -> list[PictureResult]:
        """By picture, the instances with at least this score."""
        return [picture.above(threshold) for picture in self.pictures]

    def overlays(self, threshold: float) -> Iterator[tuple[RgbImage, str]]:
        """Each picture with its instances, and what to write below it."""
        for picture in self.pictures:
            count = len(picture.above(threshold).instances)
            yield picture.drawn(threshold, self.class_names), f"{picture.result.file_name}: {count}"

    def rows(self, threshold: float) -> list[Row]:
        """The instances with at least this score, as `instances.csv` lists them."""
        results = self.above(threshold)
        names = OutputNames(result.file_name for result in results)
        return [row for result in results for row in self._rows(result, names)]

    def _rows(self, result: PictureResult, names: OutputNames) -> Iterator[Row]:
        masks = [_mask_name(names, result)] * len(result.instances)
        return instance_rows(result.file_name, result.instances, self.class_names, masks)

    def summary(self, threshold: float) -> str:
        """How many there are, in a sentence."""
        results = self.above(threshold)
        labels = Counter(each.label for result in results for each in result.instances)
        pictures = counted(len(results), "picture")
        if not labels:
            return f"Nothing in {pictures} has a score of {threshold:.2f} or more. {self._best()}"
        hits = sum(bool(result.instances) for result in results)
        classes = ", ".join(
            f"{self.class_names[label]} {labels[label]}" for label in sorted(labels)
        )
        return (
            f"{counted(labels.total(), 'instance')} with a score of {threshold:.2f} or more, in "
            f"{hits} of {pictures}: {classes}."
        )

    def _best(self) -> str:
        scores = [picture.result.best_score for picture in self.pictures]
        best = max((score for score in scores if score is not None), default=None)
        return "Nothing was found at all." if best is None else f"The best score is {best:.2f}."

    def write_zip(self, path: Path, threshold: float) -> None:
        """Write label maps, results.json and instances.csv into one file.

        Args:
            path: Of the zip file.
            threshold: Lowest score that counts.
        """
        results = self.above(threshold)
        names = OutputNames(result.file_name for result in results)
        with TemporaryDirectory(dir=path.parent) as name:
            folder = Path(name)
            write_coco(folder / "results.json", results, self.class_names)
            write_csv(folder / "instances.csv", self.rows(threshold))
            for result in results:
                write_label_map(folder / _mask_name(names, result), result)
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
                for each in sorted(folder.rglob("*")):
                    file.write(each, each.relative_to(folder))


def counted(number: int, what: str) -> str:
    """`1 picture`, `2 pictures`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask (H, W) in little space; `from_rle` gives it back."""
    from pycocotools import mask as rle_codec

    return dict(rle_codec.encode(np.asfortranarray(mask, dtype=np.uint8)))


def _mask_name(names: OutputNames, result: PictureResult) -> str:
    return f"masks/{names.of(result.file_name, '.png')}"


def _scaled(bbox: Sequence[int], scale: float) -> tuple[float, float, float, float]:
    """From xywh to the first and last column and row, at another size."""
    x, y, width, height = bbox
    return x * scale, y * scale, (x + width) * scale - 1, (y + height) * scale - 1


def _jpeg(picture: RgbImage) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()
