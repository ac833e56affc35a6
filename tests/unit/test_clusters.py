from __future__ import annotations

import torch

from no_time_to_train.memory.clusters import principal_components, spherical_kmeans


def test_spherical_kmeans__finds_the_directions_whatever_their_length() -> None:
    features = torch.tensor([[9.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 7.0]])
    centres = spherical_kmeans(features, k=2)
    assert sorted(centres.tolist()) == [[0.0, 1.0], [1.0, 0.0]]


def test_spherical_kmeans__fewer_patches_than_clusters_gives_no_nan() -> None:
    centres = spherical_kmeans(torch.tensor([[3.0, 4.0]]), k=4)
    torch.testing.assert_close(centres, torch.tensor([[0.6, 0.8]]).expand(4, 2))


def test_spherical_kmeans__identical_patches_give_no_nan() -> None:
    centres = spherical_kmeans(torch.ones(10, 3), k=4)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(4))


def test_principal_components__follow_the_largest_spread() -> None:
    features = torch.tensor([[-2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    mean, components = principal_components(features, count=2)
    assert mean.tolist() == [0.0, 1.0, 0.0]
    torch.testing.assert_close(components.abs(), torch.eye(3)[:2], atol=1e-6, rtol=0)


def test_principal_components__missing_ones_are_zero() -> None:
    mean, components = principal_components(torch.tensor([[1.0, 2.0, 3.0]]), count=3)
    assert mean.tolist() == [1.0, 2.0, 3.0]
    assert components[1:].tolist() == [[0.0] * 3] * 2
