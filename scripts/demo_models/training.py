"""What both trainings share: command line, learning rate, steps, progress, and files."""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.optim import Optimizer

from no_time_to_train.files import atomic_write

log = logging.getLogger("training")

Step = TypeVar("Step")
LOG_EVERY = 50
"""Steps between two lines of progress, at each of which a training can be taken up again."""
WARM_UP = 100
CLIP = 1.0


def read_command_line(doc: str) -> argparse.Namespace:
    """Read `--seed` and `--out`, and switch progress on."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of all randomness, 0 by default")
    parser.add_argument("--out", type=Path, required=True, help="file for the weights")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return parser.parse_args()


def lr_factor(step: int, share: float) -> float:
    """Which share of the greatest learning rate to use: warm-up, then half a cosine.

    Args:
        step: How many steps have been taken since the optimiser started.
        share: How much of the whole training is over, in [0, 1].
    """
    return min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * share))


class Training:
    """Takes optimisation steps, logs them, and resumes a training that was stopped.

    The state for that lies beside the weights to come, in a file ending in `.unfinished`.

    Args:
        module: The parameters to train.
        optimisers: Of its parameters; each group says which "share" of the learning rate is its.
        rng: Source of all randomness after the start.
        seed: What `rng` began with.
        out: Where the weights will be.
        names: The metrics of a step, in order.

    Raises:
        SystemExit: What was left unfinished began with another seed.
    """

    def __init__(
        self,
        module: nn.Module,
        optimisers: Sequence[Optimizer],
        rng: Generator,
        seed: int,
        out: Path,
        names: Sequence[str],
    ) -> None:
        self.optimisers = tuple(optimisers)
        self.module, self.rng, self.seed, self.names = module, rng, seed, tuple(names)
        self.unfinished = out.with_name(f"{out.name}.unfinished")
        self.done = 0
        self.recent: list[Tensor] = []
        if self.unfinished.exists():
            self._load_state()
        self.began = time.monotonic()

    def remaining(self, steps: Sequence[Step]) -> Iterator[Step]:
        """Go through the steps that have not been taken."""
        yield from steps[self.done :]
        self.unfinished.unlink(missing_ok=True)

    def step(self, rate: float, loss: Tensor, *metrics: Tensor) -> None:
        """Take one step down the gradient of a loss."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * group["share"]
        self.module.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), CLIP)
        for optimiser in self.optimisers:
            optimiser.step()
        self.done += 1
        self.recent.append(torch.stack([loss, *metrics]).detach())
        if self.done % LOG_EVERY == 0:
            self._log_progress()
            self._save_state()

    def _log_progress(self) -> None:
        means = torch.stack(self.recent).mean(dim=0).tolist()
        named = zip(("loss", *self.names), means, strict=True)
        told = ", ".join(f"{name} {mean:.3f}" for name, mean in named)
        log.info("step %d, %.0f s: %s", self.done, time.monotonic() - self.began, told)
        self.recent.clear()

    def _save_state(self) -> None:
        state = {
            "seed": self.seed,
            "done": self.done,
            "module": self.module.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "rng": self.rng.bit_generator.state,
        }
        with atomic_write(self.unfinished, "wb") as file:
            torch.save(state, file)

    def _load_state(self) -> None:
        state = torch.load(self.unfinished, weights_only=True)
        if state["seed"] != self.seed:
            raise SystemExit(
                f"{self.unfinished} is of seed {state['seed']}, not of {self.seed}: go on with"
                " that seed, or delete the file, or name another --out."
            )
        self.done = state["done"]
        self.module.load_state_dict(state["module"])
        for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.rng.bit_generator.state = state["rng"]
        log.info("going on after step %d of %s", self.done, self.unfinished)


def half_precision(model: nn.Module) -> dict[str, Tensor]:
    """All tensors of a model, rounded to 16 bits."""
    return {name: value.half() for name, value in model.state_dict().items()}
