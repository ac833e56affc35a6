"""How many batches of a stage may be left out; judged without Lightning."""

from __future__ import annotations

import math

from no_time_to_train.config import TestMode
from no_time_to_train.errors import InputError
from no_time_to_train.pl_wrapper.stages import STAGES


def allowed_batches(limit: int | float, batches: int) -> int:
    """Of so many batches, those that the trainer's limit lets run: a number, or a share."""
    return int(batches * limit) if isinstance(limit, float) else min(limit, batches)


def check_batches(
    mode: TestMode, setting: str | None, limit: int | float, samples: int, at_once: tuple[int, int]
) -> None:
    """Refuse a limit that leaves nothing to do, or leaves references out of a memory.

    Args:
        mode: What is to run; a test may run on some of its images.
        setting: The limit, as a user writes it.
        limit: Of batches, a number or a share.
        samples: References or targets, all ranks together.
        at_once: Number of ranks, and batch size of one.

    Raises:
        InputError: No batch would run, or too few.
    """
    ranks, batch_size = at_once
    of_a_rank = math.ceil(samples / ranks)
    batches = math.ceil(of_a_rank / batch_size)
    allowed, may_be_limited = allowed_batches(limit, batches), STAGES[mode].may_be_limited
    if may_be_limited and allowed == 0:
        raise InputError(f"{setting} lets no image run; allow at least one batch")
    if not may_be_limited and allowed < batches:
        raise InputError(
            f"{setting} lets {allowed} of {batches} batches run, but {mode.value} needs them all; "
            "only a test can be limited"
        )
