"""The two numbers of episodic few-shot segmentation: mIoU and FB-IoU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.annotations import Category
from no_time_to_train.evaluation.scores import Scores


@dataclass(frozen=True)
class PixelCounts:
    """How a query's mask and the mask that was found for it overlap, in pixels."""

    category_id: int
    intersection: int
    union: int
    background_intersection: int
    background_union: int


def count_pixels(
    category_id: int, truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]
) -> PixelCounts:
    """Compare two masks, (H, W)."""
    both, either = int((truth & found).sum()), int((truth | found).sum())
    return PixelCounts(category_id, both, either, truth.size - either, truth.size - both)


def evaluate_episodes(categories: Sequence[Category], episodes: Iterable[PixelCounts]) -> Scores:
    """Sum pixels over episodes, then divide.

    Args:
        categories: The classes of the fold.
        episodes: At least one.

    Returns:
        mIoU, the mean over the classes that were asked for of their summed intersection over their
        summed union; FB-IoU, the mean of foreground and background with all classes together.
    """
    sums = {category.id: np.zeros(4, np.int64) for category in categories}
    counts = dict.fromkeys(sums, 0)
    for each in episodes:
        foreground = each.intersection, each.union
        background = each.background_intersection, each.background_union
        sums[each.category_id] += (*foreground, *background)
        counts[each.category_id] += 1
    iou = {key: _ratio(*total[:2]) if counts[key] else None for key, total in sums.items()}
    known = [value for value in iou.values() if value is not None]
    total = np.sum([*sums.values()], axis=0)  # (4,)
    numbers = {
        "mIoU": sum(known) / len(known),
        "FB-IoU": (_ratio(*total[:2]) + _ratio(*total[2:])) / 2,
    }
    per_class = [
        {
            "category_id": each.id,
            "name": each.name,
            "IoU": iou[each.id],
            "episodes": counts[each.id],
        }
        for each in categories
    ]
    return Scores(numbers, per_class, _text(numbers, per_class))


def _ratio(intersection: int, union: int) -> float:
    return float(intersection / max(union, 1))


def _text(numbers: Mapping[str, float], per_class: Sequence[Mapping[str, Any]]) -> str:
    width = max(len(name) for name in (*numbers, *(row["name"] for row in per_class)))
    lines = [f"{'class':<{width}}  IoU     episodes"]
    for row in per_class:
        value = "-" if row["IoU"] is None else f"{row['IoU']:.4f}"
        lines.append(f"{row['name']:<{width}}  {value:<6}  {row['episodes']:>8}")
    lines += ["", *(f"{name:<{width}}  {value:.4f}" for name, value in numbers.items())]
    return "\n".join(lines) + "\n"
