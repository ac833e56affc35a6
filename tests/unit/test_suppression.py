"""Suppression of boxes within a class."""

from __future__ import annotations

import torch

from no_time_to_train.models.suppression import suppress
from tests.unit.candidates import candidates, rectangle


def test_suppress__ranks_by_predicted_iou_and_not_by_score() -> None:
    same = rectangle(2, 2, 9, 9)
    found = suppress(
        candidates(same, same, ious=[0.5, 0.9], scores=[0.9, 0.3], labels=[0, 0]),
        nms_threshold=0.5,
        limit=10,
    )
    torch.testing.assert_close(found.scores, torch.tensor([0.3]))


def test_suppress__leaves_other_classes_alone_and_sorts_by_predicted_iou() -> None:
    same = rectangle(2, 2, 9, 9)
    found = suppress(
        candidates(same, same, ious=[0.5, 0.9], scores=[0.9, 0.3], labels=[0, 1]),
        nms_threshold=0.5,
        limit=10,
    )
    assert found.labels.tolist() == [1, 0]


def test_suppress__applies_the_limit_before_it_drops_zero_scores() -> None:
    corners = [rectangle(x, y, x + 2, y + 2) for x, y in ((0, 0), (5, 0), (0, 5))]
    found = suppress(
        candidates(*corners, ious=[0.9, 0.8, 0.7], scores=[0.0, 0.4, 0.5], labels=[0, 0, 0]),
        nms_threshold=0.5,
        limit=2,
    )
    torch.testing.assert_close(found.scores, torch.tensor([0.4]))
