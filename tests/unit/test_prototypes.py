from __future__ import annotations

import torch

from no_time_to_train.memory.references import overlapped_patches, patch_weights, weighted_mean
from no_time_to_train.memory.statistics import (
    class_average,
    class_prototypes,
    leave_one_out_similarity,
)


def test_patch_weights__takes_the_nearest_value_and_keeps_fractions() -> None:
    mask = torch.tensor(
        [[0.25, 9.0, 0.5, 9.0], [9.0] * 4, [0.0, 9.0, 1.0, 9.0], [9.0] * 4]
    )  # of every 2 x 2 cell, nearest takes the upper left
    assert patch_weights(mask, grid=2).tolist() == [0.25, 0.5, 0.0, 1.0]


def test_overlapped_patches__finds_a_line_that_nearest_misses() -> None:
    mask = torch.zeros(4, 4)
    mask[1, :2] = 0.3  # one row high, between the sampled rows 0 and 2
    assert patch_weights(mask, grid=2).sum() == 0
    assert overlapped_patches(mask, grid=2).tolist() == [1.0, 0.0, 0.0, 0.0]


def test_weighted_mean__weighs_by_the_mask() -> None:
    features = torch.tensor([[4.0, 0.0], [0.0, 8.0], [100.0, 100.0]])
    weights = torch.tensor([0.75, 0.25, 0.0])
    assert weighted_mean(features, weights).tolist() == [3.0, 2.0]


def test_class_prototypes__average_only_the_references_that_exist() -> None:
    means = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[0.0, 5.0], [77.0, 77.0]]])
    found = class_prototypes(means, counts=torch.tensor([2, 1]))
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, 1.0]]))


def test_class_average__weighs_references_by_their_area() -> None:
    means = torch.tensor([[1.0], [5.0]])
    assert class_average(means, torch.tensor([3.0, 1.0])).tolist() == [2.0]


def test_class_average__one_of_unknown_area_counts_as_much_as_the_others_do() -> None:
    means = torch.tensor([[1.0], [5.0], [5.0]])
    nan = float("nan")
    assert class_average(means, torch.tensor([3.0, 1.0, nan])).tolist() == [(3 + 5 + 10) / 6]
    assert class_average(means[:2], torch.tensor([nan, nan])).tolist() == [3.0]


def test_leave_one_out_similarity__of_opposite_references_is_zero() -> None:
    means = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert leave_one_out_similarity(means, torch.tensor([5, 7])).item() == 0


def test_leave_one_out_similarity__of_a_single_reference_is_one() -> None:
    assert leave_one_out_similarity(torch.tensor([[1.0, 2.0]]), torch.tensor([5])).item() == 1
