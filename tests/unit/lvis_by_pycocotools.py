"""The LVIS protocol in terms of COCO, as pycocotools computes it."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Mapping, Sequence
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def lvis_numbers(
    document: Mapping[str, Any], records: Sequence[Any], iou_type: str
) -> dict[str, float]:
    """Numbers of the LVIS API for all classes of a small LVIS json.

    Results are cut to 300 of an image and sorted out by hand; where a class is not exhaustively
    annotated, a crowd of it fills the image, and COCOeval ignores what matches a crowd alone.
    """
    truths = [{**each, "iscrowd": 0} for each in document["annotations"]]
    crowds = [
        _crowd(image, category_id)
        for image in document["images"]
        for category_id in image["not_exhaustive_category_ids"]
    ]
    annotations = [{**each, "id": n} for n, each in enumerate([*truths, *crowds], start=1)]
    coco = COCO()
    coco.dataset = {**copy.deepcopy(document), "info": {}, "annotations": annotations}
    kept = [each for image in document["images"] for each in _counted(image, truths, records)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(kept)), iou_type)
        evaluation.params.maxDets = [300]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"][..., 0], evaluation.eval["recall"][..., 0]
    frequency = {each["id"]: each["frequency"] for each in document["categories"]}
    rare = [frequency[category_id] == "r" for category_id in evaluation.params.catIds]
    parts = {"AP": precision[..., 0], "AP50": precision[0, ..., 0], "APm": precision[..., 2]}
    parts |= {"APr": precision[:, :, rare, 0], "AR@300": recall[..., 0]}
    return {name: float(part[part > -1].mean()) for name, part in parts.items()}


def _crowd(image: Mapping[str, Any], category_id: int) -> dict[str, Any]:
    height, width = image["height"], image["width"]
    return {
        "image_id": image["id"],
        "category_id": category_id,
        "bbox": [0, 0, width, height],
        "area": height * width,
        "iscrowd": 1,
        "segmentation": [[0, 0, width, 0, width, height, 0, height]],
    }


def _counted(image: Mapping[str, Any], truths: Sequence[Any], records: Sequence[Any]) -> list[Any]:
    verified = {each["category_id"] for each in truths if each["image_id"] == image["id"]}
    verified |= set(image["neg_category_ids"])
    here = [each for each in records if each["image_id"] == image["id"]]
    here.sort(key=lambda each: each["score"], reverse=True)
    return [each for each in here[:300] if each["category_id"] in verified]
