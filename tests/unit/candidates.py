"""Rectangles as candidates."""

from __future__ import annotations

import torch
from torch import Tensor

from no_time_to_train.structures import Candidates, Proposals


def rectangle(x1: int, y1: int, x2: int, y2: int, side: int = 16) -> Tensor:
    """Logits of a rectangle with inclusive corners."""
    logits = torch.full((side, side), -1.0)
    logits[y1 : y2 + 1, x1 : x2 + 1] = 1.0
    return logits


def candidates(
    *logits: Tensor, ious: list[float], scores: list[float], labels: list[int]
) -> Candidates:
    features = torch.tensor([[1.0, 0.0]]).repeat(len(logits), 1)
    return Candidates(
        Proposals(torch.stack(logits), torch.tensor(ious)),
        features,
        torch.arange(len(logits)),
        torch.tensor(scores),
        torch.tensor(labels),
    )
