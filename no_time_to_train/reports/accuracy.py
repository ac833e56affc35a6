"""What is measured, as tables and charts of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from no_time_to_train.evaluation.average_precision import NUMBERS
from no_time_to_train.evaluation.coco import Evaluation
from no_time_to_train.evaluation.confusions import (
    MatchedImage,
    Pair,
    by_threshold,
    confusion_matrix,
    is_right,
)
from no_time_to_train.evaluation.scores import known, percent
from no_time_to_train.reports.content import (
    BINS,
    BarRow,
    BarTable,
    ConfusionMatrix,
    Curves,
    Histogram,
    Series,
    Table,
)

STEPS = [step / 100 for step in range(101)]
"""Thresholds of the curves."""
MAX_MATRIX = 20
"""Classes that a matrix is drawn of."""
MAX_FREQUENT = 15
"""Pairs of classes in the list of confusions."""
SIZES = {"small": "s", "medium": "m", "large": "l"}
"""By the letter that COCO's numbers end with."""
Numbers = Mapping[str, Mapping[str, float] | None]
"""COCOeval's 12 numbers of `box` and `mask`."""


def summary_table(numbers: Numbers) -> list[Table]:
    """The numbers that do not depend on size; no table without any."""
    shown = [name for name in NUMBERS if name[-1] not in SIZES.values()]
    rows = [
        [kind, *(_cell(values.get(name)) for name in shown)]
        for kind, values in numbers.items()
        if values
    ]
    caption = "Average precision and recall, x 100 (COCO)"
    return [Table(caption, ["", *shown], rows)] if rows else []


def _cell(value: float | None) -> str:
    value = known(value)
    return "no ground truth" if value is None else percent(value)


def class_bars(per_class: Any) -> BarTable | None:
    """AP of each class, the best first; those without ground truth last.

    Args:
        per_class: As metrics.json has it.
    """
    if not isinstance(per_class, list) or not per_class:
        return None
    columns = {"mask_ap": "mask AP", "mask_ap50": "mask AP50", "box_ap": "box AP"}
    shown = [key for key in columns if any(row.get(key) is not None for row in per_class)]
    if not shown:
        return None
    rows = [
        BarRow(str(row["name"]), row.get("instances"), [known(row.get(key)) for key in shown])
        for row in per_class
    ]
    rows.sort(key=lambda row: -1.0 if row.values[0] is None else row.values[0], reverse=True)
    titles = [columns[key] for key in shown]
    return BarTable("Classes, x 100, the best first", "class", "instances", titles, rows).limited()


def size_bars(numbers: Numbers) -> BarTable | None:
    """AP by the size of what is to be found."""
    measured = {kind: values for kind, values in numbers.items() if values}
    if not measured:
        return None
    rows = [
        BarRow(name, None, [known(values.get(f"AP{letter}")) for values in measured.values()])
        for name, letter in SIZES.items()
    ]
    columns = [f"{kind} AP" for kind in measured]
    caption = "By size, x 100: small is below 32 x 32 pixels, large from 96 x 96"
    return BarTable(caption, "size", None, columns, rows)


def precision_curves(evaluation: Evaluation) -> list[Curves]:
    """Precision by recall of masks and of boxes."""
    charts = []
    for kind, found in (("masks", evaluation.mask_curves), ("boxes", evaluation.box_curves)):
        curves = found.by_recall() if found else {}
        if curves:
            series = [Series(f"IoU {name}", values.tolist()) for name, values in curves.items()]
            title = f"Precision by recall of {kind}, mean of the classes"
            charts.append(Curves(title, "recall", "precision", series))
    return charts


def threshold_curves(images: Iterable[MatchedImage]) -> Curves:
    """What each score threshold would give."""
    found = by_threshold(images, STEPS)
    series = [Series(name, values.tolist()) for name, values in found.items()]
    return Curves("All classes together, by threshold", "score threshold", "value", series)


def score_histogram(images: Iterable[MatchedImage], threshold: float) -> Histogram:
    """Scores of right and of wrong detections."""
    scores: dict[str, list[float]] = {"right": [], "of another class": [], "none left": []}
    for image in images:
        for each in image.detections:
            wrong = "none left" if each.truth is None else "of another class"
            scores["right" if is_right(image, each) else wrong].append(each.score)
    parts = [
        Series(name, np.histogram(values, BINS, (0, 1))[0].tolist())
        for name, values in scores.items()
    ]
    return Histogram("Scores of right and wrong detections", "score", parts, threshold)


def plain_histogram(images: Iterable[MatchedImage], threshold: float) -> Histogram:
    """Scores of all detections, where there is no ground truth."""
    scores = [each.score for image in images for each in image.detections]
    counts = Series("detections", np.histogram(scores, BINS, (0, 1))[0].tolist())
    return Histogram("Scores of all detections", "score", [counts], threshold)


def confusions(
    images: Iterable[MatchedImage], names: Mapping[int, str], threshold: float
) -> ConfusionMatrix:
    """What was found as what.

    Args:
        images: Whose detections are counted together.
        names: Of the classes, by category id.
        threshold: Lowest score of a detection that counts.
    """
    pairs = list(chain.from_iterable(image.pairs(threshold) for image in images))
    matrix = confusion_matrix(pairs, list(names)).tolist()
    is_small = len(names) <= MAX_MATRIX
    shown = list(names.values()) if is_small else []
    return ConfusionMatrix(threshold, shown, matrix if is_small else [], _frequent(pairs, names))


def _frequent(pairs: Sequence[Pair], names: Mapping[int, str]) -> Table:
    counts = Counter(
        (names[truth], names[found])
        for truth, found in pairs
        if truth is not None and found is not None and truth != found
    )
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MAX_FREQUENT]
    rows = [[truth, found, str(count)] for (truth, found), count in ordered]
    return Table("The most frequent confusions", ["is", "was found as", "times"], rows)
