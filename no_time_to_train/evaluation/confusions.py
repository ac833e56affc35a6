"""Which class each detection was taken for: detections matched with ground truth of any class.

Average precision looks at one class at a time and never asks what a wrong detection was. Here the
detections of a picture, best first, each take one instance, whatever its class: of those that no
better detection has taken and that overlap it by an IoU of 0.5 or more, the one with the largest
IoU; of equal ones the one of its own class, then the first. So matches do not depend on a score
threshold: a higher one only takes detections away at the end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as rle_codec

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.entries import Id
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.evaluation.average_precision import AnnotationDict, ByCategory, IouType
from no_time_to_train.evaluation.instances import numbered

MIN_IOU = 0.5
Pair = tuple[int | None, int | None]
"""Category of the ground truth and category of the detection; None: nothing there, not found."""


@dataclass(frozen=True)
class MatchedDetection:
    """One detection."""

    score: float
    category_id: int
    truth: int | None
    """Position of the instance that it took."""


@dataclass(frozen=True)
class MatchedImage:
    """Ground truth and detections of one picture."""

    truths: Sequence[int]
    """Categories of the instances that can be found; crowds are left out."""
    detections: Sequence[MatchedDetection]
    """Best first; without those that took no instance and lie in a crowd."""

    def pairs(self, threshold: float) -> list[Pair]:
        """What detections were taken for, and what was missed.

        Args:
            threshold: Lowest score of a detection that counts.
        """
        counted = [each for each in self.detections if each.score >= threshold]
        taken = {each.truth for each in counted}
        found: list[Pair] = [
            (None if each.truth is None else self.truths[each.truth], each.category_id)
            for each in counted
        ]
        missed = [key for row, key in enumerate(self.truths) if row not in taken]
        return found + [(key, None) for key in missed]


def f1_score(pairs: Iterable[Pair]) -> float | None:
    """Twice the right detections over all detections and all instances.

    Returns:
        In [0, 1]; None where there is neither.
    """
    counts = Counter(pairs)
    right = sum(count for (truth, found), count in counts.items() if truth == found)
    truths = sum(count for (truth, _), count in counts.items() if truth is not None)
    found = sum(count for (_, found), count in counts.items() if found is not None)
    return 2 * right / (truths + found) if truths + found else None


def match_images(
    annotations: CocoAnnotations, category_ids: Sequence[int], records: Sequence[CocoRecord]
) -> dict[Id, MatchedImage]:
    """Match detections with the ground truth, picture by picture.

    Masks are compared where all have one, else boxes.

    Args:
        annotations: The data set.
        category_ids: Wanted classes; instances and results of others are not looked at.
        records: Results, of images of the data set.

    Returns:
        For every image of the data set, in its order.

    Raises:
        InputError: A segmentation of the ground truth is malformed.
    """
    wanted = set(category_ids)
    truths = [each for each in annotations.annotations if each.category_id in wanted]
    found = [record for record in records if record["category_id"] in wanted]
    with_masks = all(each.segmentation is not None for each in truths) and all(
        "segmentation" in record for record in found
    )
    iou_type: IouType = "segm" if with_masks else "bbox"
    instances = numbered(annotations, truths, found, with_masks)
    there, detected = _by_image(instances.truths), _by_image(instances.detections)
    matched = {
        image.id: match(there.get(number, []), detected.get(number, []), iou_type)
        for number, image in instances.images.items()
    }
    return {key: matched[key] for key in annotations.images}


def _by_image(groups: ByCategory) -> dict[int, list[AnnotationDict]]:
    images: defaultdict[int, list[AnnotationDict]] = defaultdict(list)
    for group in groups.values():
        for each in group:
            images[each["image_id"]].append(each)
    return images


def match(
    truths: Sequence[AnnotationDict], detections: Sequence[AnnotationDict], iou_type: IouType
) -> MatchedImage:
    """Match the detections of one picture, as the module says.

    Args:
        truths: With category_id, iscrowd, and segmentation or bbox.
        detections: With category_id, score, and segmentation or bbox; of equal scores the first
            comes first.
        iou_type: What overlaps: masks or boxes.
    """
    ordered = sorted(detections, key=lambda each: -each["score"])
    single = [each for each in truths if not each["iscrowd"]]
    crowds = [each for each in truths if each["iscrowd"]]
    overlaps = _overlaps(ordered, single, iou_type, is_crowd=0)  # (detections, truths)
    in_crowd = _overlaps(ordered, crowds, iou_type, is_crowd=1).max(axis=1, initial=0) >= MIN_IOU
    free = np.ones(len(single), dtype=bool)
    categories = np.array([each["category_id"] for each in single], dtype=np.int64)
    matched = []
    for row, detection in enumerate(ordered):
        truth = _best(overlaps[row] * free, categories == detection["category_id"])
        if truth is not None:
            free[truth] = False
        if truth is not None or not in_crowd[row]:
            matched.append(MatchedDetection(detection["score"], detection["category_id"], truth))
    return MatchedImage(categories.tolist(), matched)


def _best(overlaps: npt.NDArray[np.float64], is_own_class: npt.NDArray[np.bool_]) -> int | None:
    """The instance that a detection takes, of overlaps (M,) and whether the class is its own."""
    if overlaps.max(initial=0) < MIN_IOU:
        return None
    return int(np.lexsort((~is_own_class, -overlaps))[0])


def _overlaps(
    detections: Sequence[AnnotationDict],
    truths: Sequence[AnnotationDict],
    iou_type: IouType,
    is_crowd: int,
) -> npt.NDArray[np.float64]:
    """IoU of each pair, (detections, truths); with a crowd, the share inside of it."""
    if not detections or not truths:
        return np.zeros((len(detections), len(truths)))
    key = "segmentation" if iou_type == "segm" else "bbox"
    found, there = [each[key] for each in detections], [each[key] for each in truths]
    return np.asarray(rle_codec.iou(found, there, [is_crowd] * len(there)))


def confusion_matrix(pairs: Iterable[Pair], category_ids: Sequence[int]) -> npt.NDArray[np.int64]:
    """Count pairs.

    Args:
        pairs: Of any number of pictures.
        category_ids: The K classes, in the order of rows and columns.

    Returns:
        (K + 1, K + 1): rows are the ground truth, the last one nothing, and columns what was found,
        the last one nothing.
    """
    place: dict[int | None, int] = {key: row for row, key in enumerate(category_ids)}
    place[None] = len(category_ids)
    matrix = np.zeros((len(place), len(place)), dtype=np.int64)
    for (truth, found), count in Counter(pairs).items():
        matrix[place[truth], place[found]] += count
    return matrix


def by_threshold(
    images: Iterable[MatchedImage], thresholds: Sequence[float]
) -> dict[str, npt.NDArray[np.float64]]:
    """Precision, recall and F1 of all classes together, a detection of another class being wrong.

    Args:
        images: Whose pairs are counted together.
        thresholds: T lowest scores of a detection that counts.

    Returns:
        `precision` (1 where nothing is found), `recall` and `F1`, (T,) each in [0, 1].
    """
    images = list(images)
    scored = [(each.score, is_right(image, each)) for image in images for each in image.detections]
    scores = np.array([score for score, _ in scored])
    right = np.array([is_one for _, is_one in scored], dtype=bool)
    truths = sum(len(image.truths) for image in images)
    found = np.array([(scores >= each).sum() for each in thresholds], dtype=np.float64)
    hits = np.array([(right & (scores >= each)).sum() for each in thresholds], dtype=np.float64)
    return {
        "precision": np.divide(hits, found, out=np.ones_like(hits), where=found > 0),
        "recall": hits / max(truths, 1),
        "F1": 2 * hits / np.maximum(found + truths, 1),
    }


def is_right(image: MatchedImage, detection: MatchedDetection) -> bool:
    """Whether a detection of a picture is of the class of the instance that it took."""
    return detection.truth is not None and image.truths[detection.truth] == detection.category_id
