"""Stage 1: the references go into the memory."""

from __future__ import annotations

from pathlib import Path

from no_time_to_train.config import TestMode
from no_time_to_train.distributed import gather_everywhere
from no_time_to_train.pl_wrapper.stages.stage import ReferenceStage
from no_time_to_train.structures import Reference


class FillMemory(ReferenceStage):
    """Encodes the references, each rank a share of them, into one memory."""

    mode = TestMode.fill_memory

    def load(self, path: Path) -> None:
        """Begin with an empty memory."""

    def step(self, batch: list[Reference]) -> None:
        """Remember some references."""
        self.segmenter.remember(batch)

    def gather(self) -> None:
        """Give every rank the whole memory."""
        memory = self.segmenter.memory
        memory.set_references(gather_everywhere(memory.references))
