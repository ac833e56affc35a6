"""What the memory keeps of a reference: its clusters and its principal components, on the crop."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from no_time_to_train.visualization.captions import add_fitting_title
from no_time_to_train.visualization.palette import class_colours
from no_time_to_train.visualization.text import usual_font_size

MARGIN = 5
"""White pixels between panels."""
BACKDROP = 0.35
"""Brightness of the crop around what is painted."""


def draw_reference(
    image: Tensor,
    mask: Tensor,
    patch_features: Tensor,
    patch_mask: Tensor,
    centres: Tensor,
    pca_mean: Tensor,
    pca_components: Tensor,
    class_name: str,
    repeats: int = 1,
) -> NDArray[np.uint8]:
    """Draw a reference crop, its clusters and its principal components side by side.

    Both are painted over a dark grey crop where the mask is positive: per patch, the colour of the
    nearest centre by cosine; per patch, the first three components as red, green and blue, each
    stretched from its lowest to its highest value on the foreground. Nothing is painted where no
    patch belongs to the foreground.

    Args:
        image: The crop, RGB in [0, 1], (3, S, S).
        mask: The instance, positive inside, (S, S).
        patch_features: Of the crop, (N, C), row-major on a square grid.
        patch_mask: Positive on foreground patches, (N,).
        centres: Cluster centres of the class, (k, C).
        pca_mean: Mean of the class's foreground patches, (C,).
        pca_components: Principal directions, strongest first, (n, C).
        class_name: Written above the crop.
        repeats: How often the memory holds this reference.

    Returns:
        Three panels with titles above and white margins between them, RGB; each panel is as wide as
        the crop, or as its title where the crop is narrower, (band + S, 3 S + 10 or more, 3).
    """
    features = patch_features.float().cpu()  # (N, C)
    foreground = patch_mask.cpu() > 0  # (N,)
    clusters = _cluster_colours(features, centres.float().cpu())  # (N, 3)
    components = _component_colours(
        features, foreground, pca_mean.float().cpu(), pca_components.float().cpu()
    )  # (N, 3)
    crop = (image.float().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0)  # (S, S, 3)
    painted = (mask.cpu() > 0) & foreground.any()  # (S, S)
    panels = (crop, _paint(crop, painted, clusters), _paint(crop, painted, components))
    times = f" x{repeats}" if repeats > 1 else ""
    titles = ((class_name, f": reference{times}"), ("clusters", ""), ("principal components", ""))
    pairs = zip(panels, titles, strict=True)
    return _side_by_side([_titled(panel.numpy(), *title) for panel, title in pairs])


def _titled(panel: NDArray[np.uint8], name: str, suffix: str) -> NDArray[np.uint8]:
    """The panel below its title, whose name is cut to the panel's width."""
    size = usual_font_size(*panel.shape[:2])
    return add_fitting_title(panel, name, suffix, size)


def _side_by_side(panels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Panels of one height in a row, with white margins between them."""
    margin = np.full((len(panels[0]), MARGIN, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (margin, panel)]
    return np.concatenate(parts[1:], axis=1)


def _cluster_colours(features: Tensor, centres: Tensor) -> Tensor:
    """The palette's colour of each patch's nearest centre, (N, 3) uint8."""
    similarity = F.normalize(features, dim=1) @ F.normalize(centres, dim=1).T  # (N, k)
    # Published checkpoints can hold NaN for an empty cluster, which no patch is near to.
    nearest = similarity.nan_to_num(nan=-2).argmax(dim=1)  # (N,)
    return torch.from_numpy(class_colours(len(centres)).copy())[nearest]


def _component_colours(
    features: Tensor, foreground: Tensor, mean: Tensor, components: Tensor
) -> Tensor:
    """The first components as colours, (N, 3) uint8; channels without one are half bright."""
    channels = torch.full((len(features), 3), 0.5)
    values = (features - mean) @ components[:3].T  # (N, up to 3)
    inside = values[foreground]  # (foreground N, up to 3)
    if len(inside):
        low, high = inside.amin(dim=0), inside.amax(dim=0)
        stretched = ((values - low) / (high - low)).nan_to_num(nan=0.5)  # one value only: 0 / 0
        channels[:, : values.shape[1]] = stretched.clamp(0, 1)
    return (channels * 255).round().byte()


def _paint(crop: Tensor, painted: Tensor, colours: Tensor) -> Tensor:
    """Colour the patches (N, 3) onto a dark grey crop where `painted` (S, S), (S, S, 3)."""
    grey = crop.float().mean(dim=2, keepdim=True).expand_as(crop)  # (S, S, 3)
    patches = colours.view(isqrt(len(colours)), -1, 3).permute(2, 0, 1)  # (3, side, side)
    blown_up = F.interpolate(patches[None], size=painted.shape, mode="nearest")[0]
    backdrop = (BACKDROP * grey).round().byte()
    return torch.where(painted[..., None], blown_up.permute(1, 2, 0), backdrop)
