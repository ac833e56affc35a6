"""Multi-layer perceptron, shared by the trunk, the decoder and its heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def gelu_(x: Tensor) -> Tensor:
    """GELU in place: a new block of this size would be fetched from the system piece by piece."""
    return torch.ops.aten.gelu_(x)


class MLP(nn.Module):
    """Linear layers with an activation between them, none after the last.

    Args:
        widths: Channels before, between and after the layers.
        activation: Applied to the output of every layer but the last.
    """

    def __init__(self, widths: Sequence[int], activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, after) for width, after in pairwise(widths))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map the last dimension of `x` from the first width to the last."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)
