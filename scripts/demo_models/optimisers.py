"""How the trainings step: AdamW, and Muon for the matrices of the segmenter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

BETAS, WEIGHT_DECAY = (0.9, 0.98), 0.05
MUON_SHARE, MOMENTUM = 2.0, 0.95
"""Learning rate of Muon beside that of AdamW, and how long it remembers."""
NEWTON_SCHULZ, ITERATIONS = (3.4445, -4.7750, 2.0315), 5
"""Coefficients of x, x^3 and x^5 that bring all singular values near 1, and how often."""


class Muon(Optimizer):
    """Momentum, made orthogonal: all directions of a matrix learn equally fast.

    By Jordan et al., kellerjordan.github.io/posts/muon; steps are as long as those of AdamW, by Liu
    et al., arXiv 2502.16982. `torch.optim.Muon` computes in bfloat16, which takes twenty times as
    long on processors that have none: longer than everything else in a training step.

    Args:
        matrices: Parameters of two dimensions.
        share: Learning rate beside that of the other parameters.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], share: float) -> None:
        super().__init__(matrices, {"lr": 0.0, "share": share})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Take a step."""
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                if not state:
                    state["mean"] = torch.zeros_like(matrix)
                mean = state["mean"].lerp_(matrix.grad, 1 - MOMENTUM)
                step = orthogonal(matrix.grad.lerp(mean, MOMENTUM))
                matrix.mul_(1 - group["lr"] * WEIGHT_DECAY)
                matrix.add_(step, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with its singular values brought near 1, by Newton-Schulz iterations."""
    first, third, fifth = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=third, alpha=fifth), x, beta=first)
    return x.T if tall else x


def adamw(parameters: Iterable[nn.Parameter]) -> AdamW:
    """Decay for matrices and kernels only."""
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in wanted if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in wanted if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW([group | {"share": 1.0} for group in groups], betas=BETAS)


def muon_and_adamw(model: nn.Module) -> tuple[Optimizer, ...]:
    """Muon for the weights of linear layers, AdamW for all else."""
    matrices = [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear)]
    known = set(map(id, matrices))
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return adamw(others), Muon(matrices, MUON_SHARE)
