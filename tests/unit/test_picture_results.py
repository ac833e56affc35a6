from __future__ import annotations

import json

import numpy as np
import torch

from no_time_to_train.exports.picture_results import PictureResult, picture_result
from no_time_to_train.structures import Prediction


def prediction() -> Prediction:
    masks = torch.zeros(2, 4, 6, dtype=torch.bool)
    masks[0, 1:3, 2:5] = True
    masks[1, 0, 0] = True
    boxes = torch.tensor([[2, 1, 4, 2], [0, 0, 0, 0]])
    return Prediction(masks, boxes, torch.tensor([0.75, 0.25]), torch.tensor([1, 0]))


def test_picture_result__keeps_what_reaches_the_threshold() -> None:
    result = picture_result(prediction(), 7, "a b/c.png", (4, 6), 0.75)
    (instance,) = result.instances
    assert (instance.label, instance.score, instance.area) == (1, 0.75, 6)
    assert instance.bbox == (2, 1, 3, 2)  # columns 2, 3, 4 and rows 1, 2
    assert np.array_equal(instance.mask, prediction().masks[0].numpy())
    assert (result.candidates, result.best_score) == (2, 0.75)
    assert (result.image_id, result.height, result.width) == (7, 4, 6)


def test_picture_result__survives_json() -> None:
    result = picture_result(prediction(), 7, "a b/c.png", (4, 6), 0.0)
    assert PictureResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_picture_result__without_candidates_has_no_best_score() -> None:
    nothing = Prediction(*(each[:0] for each in vars(prediction()).values()))
    result = picture_result(nothing, 1, "a.png", (4, 6), 0.5)
    assert (list(result.instances), result.candidates, result.best_score) == ([], 0, None)
