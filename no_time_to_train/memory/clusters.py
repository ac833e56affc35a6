"""Cluster centres and principal components of a class's patches, for the pictures of its memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

KMEANS_ITERATIONS = 100


def spherical_kmeans(features: Tensor, k: int) -> Tensor:
    """Cluster directions: k-means with cosine similarity (Dhillon and Modha, 2001).

    The start is deterministic: the patch closest to the mean direction, then each time the patch
    that the centres so far represent worst. A cluster that loses all its members restarts in that
    way too.

    Args:
        features: (P, C), P >= 1.
        k: Number of clusters.

    Returns:
        (k, C) centres of unit length; some repeat where there are fewer distinct patches than
        clusters.
    """
    directions = F.normalize(features.float(), dim=1)  # (P, C)
    centres = _spread_out(directions, k)
    for _ in range(KMEANS_ITERATIONS):
        similarity, assigned = (directions @ centres.T).max(dim=1)  # (P,), (P,)
        sums = torch.zeros_like(centres).index_add_(0, assigned, directions)  # (k, C)
        empty = assigned.bincount(minlength=k) == 0  # (k,)
        sums[empty] = directions[similarity.argmin()]
        moved = F.normalize(sums, dim=1)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def _spread_out(directions: Tensor, k: int) -> Tensor:
    first = (directions @ directions.mean(dim=0)).argmax()
    centres = [directions[first]]
    nearest = directions @ centres[0]  # (P,) similarity to the closest centre so far
    for _ in range(k - 1):
        centres.append(directions[nearest.argmin()])
        nearest = torch.maximum(nearest, directions @ centres[-1])
    return torch.stack(centres)


def principal_components(features: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean and first principal components of patch features.

    Args:
        features: (P, C), P >= 1.
        count: Number of components.

    Returns:
        (C,) mean and (count, C) orthonormal components, strongest first; rows of zeros where there
        are fewer patches or channels than components.
    """
    # Two seconds of imports that only this stage pays.
    from sklearn.decomposition import PCA

    available = min(count, len(features) - 1, features.shape[1])
    components = torch.zeros(count, features.shape[1])
    if available == 0:
        return features[0].float().cpu(), components
    pca = PCA(n_components=available, random_state=0).fit(features.float().cpu().numpy())
    components[:available] = torch.from_numpy(pca.components_)
    return torch.from_numpy(pca.mean_).float(), components
