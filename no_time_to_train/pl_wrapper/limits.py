"""Runs that the trainer is told to cut short: what may be left out, and what is said about it."""

from __future__ import annotations

from lightning import Trainer

from no_time_to_train.pl_wrapper.batch_limits import allowed_batches, check_batches
from no_time_to_train.pl_wrapper.stages.stage import Stage


def limit_of(trainer: Trainer) -> str | None:
    """The setting that lets fewer batches run than there are, as a user writes it."""
    fast: int | bool = trainer.fast_dev_run  # type: ignore[attr-defined]  # set, not declared
    if fast:
        return f"--trainer.fast_dev_run {fast}"
    limit = trainer.limit_test_batches
    whole = isinstance(limit, float) and limit == 1
    return None if whole else f"--trainer.limit_test_batches {limit}"


def samples_to_run(trainer: Trainer, stage: Stage, batch_size: int) -> list[int]:
    """Positions of the samples that the trainer's limit lets all ranks together run.

    Args:
        trainer: With its limit, and the number of ranks.
        stage: What is to run.
        batch_size: Of one rank.
    """
    world, samples = trainer.num_devices * trainer.num_nodes, stage.samples
    shares = [range(rank, samples, world) for rank in range(world)]
    limit = trainer.limit_test_batches
    allowed = [allowed_batches(limit, -(-len(share) // batch_size)) for share in shares]
    pairs = zip(shares, allowed, strict=True)
    return sorted(index for share, count in pairs for index in share[: count * batch_size])


def check_limit(trainer: Trainer, stage: Stage, batch_size: int) -> None:
    """Refuse a limit that leaves nothing to do, or leaves references out of a memory.

    Args:
        trainer: With its limit, and the number of ranks.
        stage: What is to run; a test may run on some of its images.
        batch_size: Of one rank.

    Raises:
        InputError: No batch would run, or too few.
    """
    at_once = trainer.num_devices * trainer.num_nodes, batch_size
    setting, limit = limit_of(trainer), trainer.limit_test_batches
    check_batches(stage.mode, setting, limit, stage.samples, at_once)
