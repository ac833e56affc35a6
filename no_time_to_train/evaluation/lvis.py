"""Average precision on LVIS by its own protocol, and as the published code computed it.

An image of LVIS is annotated for some classes alone. What is found of a class that is neither
annotated in it nor known to be absent does not count; where not every instance of a class is
annotated, a detection that matches none is no false alarm; and the best 300 of an image count, over
all classes. Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation", 2019.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.entries import FREQUENCIES, Id
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.evaluation.coco import (
    PRINTED_CLASSES,
    Evaluation,
    class_table,
    compared,
    evaluate,
)
from no_time_to_train.evaluation.lvis_curves import MAX_DETECTIONS, LvisCurves, lvis_curves
from no_time_to_train.evaluation.scores import Scores

PUBLISHED_DETECTIONS = 100
"""Detections of an image that the published runs had."""
AS_PUBLISHED = "as published"
