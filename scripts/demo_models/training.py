"""What both trainings share: their command line, the learning rate, progress, and the files."""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn

log = logging.getLogger("training")

LOG_EVERY = 50
WARM_UP = 100


def read_command_line(doc: str) -> argparse.Namespace:
    """Read `--seed` and `--out`, and switch progress on."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of all randomness, 0 by default")
    parser.add_argument("--out", type=Path, required=True, help="file for the weights")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return parser.parse_args()


def rate_share(step: int, share: float) -> float:
    """Which share of the greatest learning rate to use: warm-up, then half a cosine.

    Args:
        step: How many steps have been taken since the optimiser started.
        share: How much of the whole training is over, in [0, 1].
    """
    return min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * share))


class Progress:
    """Means over the last steps, told every LOG_EVERY steps.

    Args:
        names: What is reported, in order.
    """

    def __init__(self, *names: str) -> None:
        self.names = names
        self.began = time.monotonic()
        self.step = 0
        self.recent: list[Tensor] = []

    def take(self, *figures: Tensor) -> bool:
        """Note the figures of a step; whether they were told, a good moment to save."""
        self.step += 1
        self.recent.append(torch.stack(figures).detach())
        if self.step % LOG_EVERY:
            return False
        means = torch.stack(self.recent).mean(dim=0).tolist()
        told = ", ".join(f"{name} {mean:.3f}" for name, mean in zip(self.names, means, strict=True))
        log.info("step %d, %.0f s: %s", self.step, time.monotonic() - self.began, told)
        self.recent.clear()
        return True


def half_precision(model: nn.Module) -> dict[str, Tensor]:
    """All tensors of a model, rounded to 16 bits."""
    return {name: value.half() for name, value in model.state_dict().items()}
