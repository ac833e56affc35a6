"""The public benchmarks: their class splits, and what references are drawn from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CLASS_LISTS = Path(__file__).with_name("class_splits")
"""Text files, one class name per line."""


@dataclass(frozen=True)
class Benchmark:
    """A data set with the ways in which papers split its classes."""

    splits: Mapping[str, Path]
    """Name of each split -> its list of classes, one name per line."""
    train: Path
    """Annotations that references are drawn from, below `data_root`."""
    repeats: bool = False
    """Whether a class with too few references starts over, instead of stopping the draw."""


def data_root() -> Path:
    """The folder of all data sets: the environment variable DATASETS_ROOT, or ./data."""
    return Path(os.environ.get("DATASETS_ROOT") or "./data")


def _listed(*splits: str) -> dict[str, Path]:
    return {split: CLASS_LISTS / f"{split}.txt" for split in splits}


COCO_TRAIN = Path("coco", "annotations", "instances_train2017.json")

BENCHMARKS = {
    "COCO": Benchmark(
        {"coco": CLASS_LISTS / "default_classes.txt"}
        | _listed("default_classes", "few_shot_classes"),
        COCO_TRAIN,
    ),
    "COCO-20i": Benchmark(
        _listed(*(f"coco_semantic_split_{fold}" for fold in (1, 2, 3, 4))), COCO_TRAIN
    ),
    "Pascal VOC": Benchmark(
        _listed(*(f"pascal_voc_split_{split}" for split in (1, 2, 3))),
        Path("pascal_voc", "annotations", "voc0712_trainval_with_segm.json"),
    ),
    "LVIS": Benchmark(
        _listed(
            *(
                f"{images}{frequency}"
                for images in ("lvis", "lvis_minival")
                for frequency in ("", "_common", "_frequent", "_rare")
            )
        ),
        Path("lvis", "lvis_v1_train.json"),
        repeats=True,
    ),
}
"""Every split belongs to one of them."""
