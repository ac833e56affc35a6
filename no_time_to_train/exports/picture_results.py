"""What was found in one picture: the record that every output is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from no_time_to_train.coco.boxes import xywh_to_xyxy
from no_time_to_train.coco.results import run_lengths
from no_time_to_train.coco.run_lengths import CompressedRle, decode
from no_time_to_train.coco.segmentation import area

if TYPE_CHECKING:  # torch takes seconds to import, and readers of records do without it
    from no_time_to_train.structures import Prediction


@dataclass(frozen=True)
class FoundInstance:
    """One object."""

    label: int
    """Class index."""
    score: float
    """In [0, 1]."""
    bbox: tuple[int, int, int, int]
    """(x, y, w, h) in pixels as COCO annotations have it: w columns and h rows, the last included;
    unlike in COCO results of `test`, which keep the published width, one less."""
    area: int
    """Pixels of the mask."""
    segmentation: CompressedRle

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W), decoded anew at each call."""
        left, top, right, bottom = xywh_to_xyxy(self.bbox)
        return decode(self.segmentation, (left, top, right - 1, bottom - 1))


@dataclass(frozen=True)
class PictureResult:
    """One picture."""

    image_id: int
    """Its position among the pictures of the run, from 1."""
    file_name: str
    """Relative to the folder of the pictures, with forward slashes."""
    height: int
    """In pixels, as shown."""
    width: int
    """In pixels, as shown."""
    instances: Sequence[FoundInstance]
    """At or above the threshold, best first."""
    candidates: int
    """How many were found whatever their score."""
    best_score: float | None
    """Of all candidates; None where there is none."""

    def to_json(self) -> dict[str, Any]:
        """Its fields by name, for json."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PictureResult:
        """The record that `to_json` was called on."""
        instances = [
            FoundInstance(**{**each, "bbox": tuple(each["bbox"])}) for each in content["instances"]
        ]
        return cls(**{**content, "instances": instances})


def picture_result(
    prediction: Prediction, image_id: int, file_name: str, size: tuple[int, int], threshold: float
) -> PictureResult:
    """Put down what was found in a picture.

    Args:
        prediction: Best first.
        image_id: Position among the pictures of the run, from 1.
        file_name: Relative to the folder of the pictures.
        size: (height, width) in pixels.
        threshold: Lowest score that counts.
    """
    scores = prediction.scores.tolist()
    kept = [row for row, score in enumerate(scores) if score >= threshold]
    instances = []
    for row in kept:
        rle = run_lengths(prediction, row)
        left, top, right, bottom = prediction.boxes[row].tolist()
        instances.append(
            FoundInstance(
                label=int(prediction.labels[row]),
                score=scores[row],
                bbox=(left, top, right - left + 1, bottom - top + 1),
                area=area({**rle}),
                segmentation=rle,
            )
        )
    best = max(scores, default=None)
    return PictureResult(image_id, file_name, *size, instances, len(scores), best)
