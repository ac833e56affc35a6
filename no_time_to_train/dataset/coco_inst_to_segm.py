"""Measure COCO instance results as semantic segmentation (COCO-20i).

    python no_time_to_train/dataset/coco_inst_to_segm.py --class_split coco_semantic_split_1 \
        --pred_json inst_to_segm/coco_inst_semantic_split_1_5shot_42seed_results.json

Printed are the mIoU of label maps over the whole data set and, beside it, the number that the
published tool of this name printed, which is no mIoU of the fold.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.dataset.benchmarks import BENCHMARKS, data_root
from no_time_to_train.dataset.class_splits import benchmark_of, wanted_categories
from no_time_to_train.dataset.script_entry import run_script, score_threshold

PUBLISHED_TRUTH = Path("inst_to_segm/original/instances_val2017.json")
"""Where the published tool expects COCO's annotations."""
FOLD_PREFIX = "coco_semantic_split_"

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see --help."""
    from no_time_to_train.evaluation.semantic import evaluate_label_maps
    from no_time_to_train.evaluation.stored_results import read_results

    options = _parser().parse_args(arguments)
    benchmark_of(options.class_split)  # before files are read
    annotations = CocoAnnotations.read(options.gt_json or _own_truth())
    wanted = [each.id for each in wanted_categories(annotations, options.class_split, None)]
    records = read_results(options.pred_json, annotations)
    scores = evaluate_label_maps(annotations, wanted, records, options.score_thr)
    logger.info("%s", scores.text)


def _own_truth() -> Path:
    if PUBLISHED_TRUTH.exists():
        return PUBLISHED_TRUTH
    return data_root() / BENCHMARKS["coco20i"].test.annotations


def _split(text: str) -> str:
    """A fold's number stands for its class split."""
    return f"{FOLD_PREFIX}{text}" if text.isdecimal() else text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--pred_json", type=Path, required=True, help="COCO results with masks")
    add("--class_split", type=_split, required=True, help="coco_semantic_split_1 to _4, or 1 to 4")
    add(
        "--gt_json",
        type=Path,
        help=f"ground truth; by default {PUBLISHED_TRUTH} where it is there, else COCO's "
        "instances_val2017.json below the data sets",
    )
    add(
        "--score-thr",
        type=score_threshold,
        default=0.5,
        help="lowest score that counts, by default 0.5",
    )
    return parser


if __name__ == "__main__":
    run_script(main)
