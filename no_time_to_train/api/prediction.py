"""What the Python API gives back for an image."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from no_time_to_train.api.arguments import (
    check_category_ids,
    check_colour_by,
    check_image_id,
    check_path,
    check_score,
    check_wanted_names,
)
from no_time_to_train.api.instance import ImageInstance
from no_time_to_train.api.rows import chosen_rows, is_number
from no_time_to_train.coco.boxes import xyxy_to_xywh
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.config import ColourBy
from no_time_to_train.errors import InputError
from no_time_to_train.exports.detections import to_detections
from no_time_to_train.exports.instances_csv import instance_rows, write_csv
from no_time_to_train.exports.labelme import write_labelme
from no_time_to_train.exports.picture_results import PictureResult, picture_result
from no_time_to_train.structures import Prediction
from no_time_to_train.visualization.captions import found_caption
from no_time_to_train.visualization.predictions import Instance, draw_instances

if TYPE_CHECKING:
    from supervision import Detections


@dataclass(frozen=True, eq=False)
class ImagePrediction:
    """The instances found in one image, best first, with the image and the names of the classes.

    It has a length, gives an `ImageInstance` for a number and for each turn of a loop, and another
    prediction for a slice, a mask or a list of numbers. Masks are kept as run lengths.
    """

    instances: tuple[ImageInstance, ...]
    image: npt.NDArray[np.uint8]
    """(H, W, 3) RGB."""
    class_names: tuple[str, ...]
    """By label."""
    thresholds: tuple[float, ...]
    """By label: the lowest score that `draw` and `above` take unless they are told another."""
    source: Path | None = None
    """The file of the image, if it was given as one."""
    colour_by: ColourBy = "class"
    """What `draw` gives a colour of its own, unless it is told another."""

    @classmethod
    def of(
        cls,
        prediction: Prediction,
        image: npt.NDArray[np.uint8],
        class_names: Sequence[str],
        thresholds: Sequence[float],
        source: Path | None = None,
        colour_by: ColourBy = "class",
    ) -> ImagePrediction:
        """Compress what was found in an image.

        Args:
            prediction: Best first.
            image: (H, W, 3) RGB.
            class_names: By label.
            thresholds: By label.
            source: The file of the image.
            colour_by: What gets a colour of its own by default.
        """
        result = picture_result(prediction, 1, "", (image.shape[0], image.shape[1]), -math.inf)
        names = tuple(class_names)
        instances = [
            ImageInstance(**vars(each), name=names[each.label]) for each in result.instances
        ]
        return cls(tuple(instances), image, names, tuple(thresholds), source, colour_by)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def names(self) -> list[str]:
        """Class name of each instance."""
        return [each.name for each in self.instances]

    @property
    def boxes(self) -> Tensor:
        """(M, 4) int64 (x1, y1, x2, y2): first and last pixel column and row of each mask."""
        return torch.tensor([each.box for each in self.instances], dtype=torch.int64).view(-1, 4)

    @property
    def scores(self) -> Tensor:
        """(M,) float32 in [0, 1]."""
        return torch.tensor([each.score for each in self.instances], dtype=torch.float32)

    @property
    def labels(self) -> Tensor:
        """(M,) int64 class index."""
        return torch.tensor([each.label for each in self.instances], dtype=torch.int64)

    @property
    def masks(self) -> Tensor:
        """(M, H, W) bool at the image's size, all of them decoded anew at each access.

        Of a large image they take hundreds of megabytes; a loop over the prediction decodes one at
        a time.
        """
        masks = torch.zeros(len(self), *self.size, dtype=torch.bool)
        for mask, instance in zip(masks, self.instances, strict=True):
            mask.copy_(torch.from_numpy(instance.mask))
        return masks

    def __len__(self) -> int:
        return len(self.instances)

    def __iter__(self) -> Iterator[ImageInstance]:
        return iter(self.instances)

    @overload
    def __getitem__(self, chosen: int) -> ImageInstance: ...

    @overload
    def __getitem__(self, chosen: slice | npt.ArrayLike | Tensor) -> ImagePrediction: ...

    def __getitem__(self, chosen: Any) -> ImageInstance | ImagePrediction:
        """One instance, or some of them in the order asked for.

        Args:
            chosen: A number; or a slice, a mask (M,) or numbers of instances.

        Raises:
            IndexError: There is no such instance.
            InputError: It is of another kind.
        """
        if isinstance(chosen, slice):
            return replace(self, instances=self.instances[chosen])
        if is_number(chosen):
            return self.instances[index(chosen)]
        return self._rows(chosen_rows(chosen, len(self)))

    def above(self, threshold: float | None = None) -> ImagePrediction:
        """Instances with at least this score.

        Args:
            threshold: For all classes; by default each class has its own, see `thresholds`.

        Raises:
            InputError: The threshold is no number.
        """
        if threshold is not None:
            return self.filter(min_score=check_score(threshold, "threshold"))
        return self._rows(np.flatnonzero([e.score >= self.thresholds[e.label] for e in self]))

    def filter(
        self, *, min_score: float | None = None, names: str | Iterable[str] | None = None
    ) -> ImagePrediction:
        """Instances with at least this score, of these classes.

        Args:
            min_score: By default any score counts.
            names: One class or several; by default any class counts.

        Raises:
            InputError: The score is no number, or there is no such class.
        """
        lowest = -math.inf if min_score is None else check_score(min_score, "min_score")
        wanted = self.class_names if names is None else check_wanted_names(names, self.class_names)
        return self._rows(
            [row for row, each in enumerate(self) if each.score >= lowest and each.name in wanted]
        )

    def to_coco(
        self, image_id: int | str = 0, category_ids: Sequence[int] | None = None
    ) -> list[CocoRecord]:
        """Put the instances down as COCO results.

        Args:
            image_id: Of this image in the data set.
            category_ids: By label; by default the labels themselves, counted from 1.

        Raises:
            InputError: An id is of another type, or there are not as many as classes.
        """
        ids = check_category_ids(category_ids, len(self.class_names))
        image_id = check_image_id(image_id)
        return [
            CocoRecord(
                image_id=image_id,
                category_id=ids[each.label],
                bbox=xyxy_to_xywh(each.box),
                score=each.score,
                segmentation=each.segmentation,
            )
            for each in self
        ]

    def to_result(self, image_id: int = 1, file_name: str | None = None) -> PictureResult:
        """Put the instances down as the record that the exports of `predict` are made from.

        Args:
            image_id: Of this image among others.
            file_name: Of this image; by default that of its file.
        """
        name = (self.source or Path()).name if file_name is None else file_name
        best = max((each.score for each in self), default=None)
        return PictureResult(image_id, name, *self.size, self.instances, len(self), best)

    def to_csv(self, path: str | Path | None = None) -> str | None:
        """Put the instances down as a table: picture, class, score, box, area.

        Args:
            path: Of the file, which appears whole or not at all; by default the text is returned.

        Raises:
            InputError: The file cannot be written.
        """
        result = self.to_result()
        rows = instance_rows(result.file_name, result.instances, self.class_names)
        if path is not None:
            write_csv(check_path(path), rows)
            return None
        text = io.StringIO()
        write_csv(text, rows)
        return text.getvalue()

    def to_labelme(self, path: str | Path, picture: str | Path | None = None) -> None:
        """Write the instances as Labelme json, to look through and correct them by hand.

        Args:
            path: Of the json, which appears whole or not at all.
            picture: The image that the json points to; by default the file that was segmented.

        Raises:
            InputError: The file cannot be written, or the image was given as pixels, so that there
                is none to point to.
        """
        target = check_path(path)
        source = self.source if picture is None else check_path(picture, "picture")
        if source is None:
            raise InputError(
                "picture is None, but the image was given as pixels; save it, and give its path"
            )
        write_labelme(target, self.to_result(), self.class_names, source)

    def to_supervision(self) -> Detections:
        """Put the instances down as `supervision.Detections`, names under `class_name`.

        Raises:
            InputError: The package supervision is not installed.
        """
        return to_detections(self.to_result(), self.class_names)

    def draw(
        self, threshold: float | None = None, colour_by: ColourBy | None = None
    ) -> Image.Image:
        """Draw the instances into the image; where there is none, how close the best one is.

        Args:
            threshold: Lowest score that is drawn; by default each class has its own, which is that
                of the configuration where none was set.
            colour_by: `class`, or `instance`, which tells overlapping instances of one class apart;
                by default that of the configuration.

        Raises:
            InputError: The threshold is no number, or colours can not be chosen by that.
        """
        by = self.colour_by if colour_by is None else check_colour_by(colour_by)
        instances = [
            Instance(each.mask, each.box, each.label, each.score) for each in self.above(threshold)
        ]
        note = "" if instances else self._caption(threshold)
        drawn = draw_instances(self.image, instances, self.class_names, by, empty_note=note)
        return Image.fromarray(drawn)

    def _caption(self, threshold: float | None) -> str:
        """Why nothing is drawn."""
        if threshold is None:  # that of the class which came closest
            threshold = self.thresholds[self.instances[0].label] if self.instances else 0.0
        best = max((each.score for each in self), default=None)
        return found_caption(0, len(self), best, threshold)

    def _rows(self, rows: Iterable[int]) -> ImagePrediction:
        return replace(self, instances=tuple(self.instances[row] for row in rows))
