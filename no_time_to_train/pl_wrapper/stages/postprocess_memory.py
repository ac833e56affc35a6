"""Stage 2: what the references of a class have in common."""

from __future__ import annotations

from typing import Any

from no_time_to_train.config import TestMode
from no_time_to_train.pl_wrapper.stages.stage import Stage
from no_time_to_train.signs_of_life import said_while


class PostprocessMemory(Stage):
    """Makes classes of a filled memory; one step, the same on every rank."""

    mode = TestMode.postprocess_memory

    def step(self, batch: list[Any]) -> None:
        """Do all of it."""
        with said_while("making classes of the references"):
            self.segmenter.finalise()
