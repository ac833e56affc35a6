from __future__ import annotations

import torch
import torch.nn.functional as F

from no_time_to_train.models.matching import ALL_CLASSES, classify, mask_features


def test_mask_features__equal_pooling_the_upsampled_map() -> None:
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(5 * 5, 7, generator=generator)
    masks = torch.rand(4, 16, 16, generator=generator) > 0.6
    pixels = F.interpolate(patches.T.view(1, 7, 5, 5), size=16, mode="bilinear")[0]  # (C, h, w)
    expected = torch.stack([pixels[:, mask].mean(dim=1) for mask in masks])
    torch.testing.assert_close(mask_features(patches, masks), F.normalize(expected, dim=1))


def test_mask_features__a_mask_of_one_patch_has_its_feature() -> None:
    patches = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    masks = torch.zeros(1, 2, 2, dtype=torch.bool)
    masks[0, 0, 0] = True
    torch.testing.assert_close(mask_features(patches, masks), torch.tensor([[0.6, 0.8]]))


def test_classify__picks_the_nearest_class_and_clamps_at_zero() -> None:
    prototypes = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    features = torch.tensor([[0.6, 0.8], [-0.6, -0.8]])
    scores, labels = classify(features, prototypes, per_mask=1)
    torch.testing.assert_close(scores, torch.tensor([[0.8], [0.0]]))
    assert labels[0].tolist() == [1]


def test_classify__two_classes_per_mask_come_best_first() -> None:
    scores, labels = classify(torch.tensor([[0.6, 0.8, 0.0]]), torch.eye(3), per_mask=2)
    torch.testing.assert_close(scores, torch.tensor([[0.8, 0.6]]))
    assert labels.tolist() == [[1, 0]]


def test_classify__more_classes_than_there_are_gives_all() -> None:
    scores, _ = classify(torch.tensor([[0.6, 0.8]]), torch.eye(2), per_mask=5)
    assert scores.shape == (1, 2)


def test_classify__all_classes_drops_those_far_below_the_best() -> None:
    features = torch.tensor([[0.8, 0.5, 0.4]])  # 0.6 * 0.8 = 0.48 lies between 0.5 and 0.4
    scores, labels = classify(features, torch.eye(3), per_mask=ALL_CLASSES)
    torch.testing.assert_close(scores, torch.tensor([[0.8, 0.5, 0.0]]))
    assert labels.tolist() == [[0, 1, 2]]
