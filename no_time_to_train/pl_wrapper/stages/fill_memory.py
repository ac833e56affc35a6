"""Stage 1: the references go into the memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from no_time_to_train.config import TestMode
from no_time_to_train.distributed import gather_everywhere
from no_time_to_train.memory.reference_json import summary_from_json, summary_to_json
from no_time_to_train.pl_wrapper.journal import Payload
from no_time_to_train.pl_wrapper.stages.stage import ReferenceStage
from no_time_to_train.structures import Reference


class FillMemory(ReferenceStage):
    """Encodes the references, each rank a share of them, into one memory."""

    mode = TestMode.fill_memory
    unit = "references"
    keep_seconds = 2

    def load(self, path: Path) -> None:
        """Begin with an empty memory."""

    def step(self, batch: list[Reference]) -> None:
        """Remember some references."""
        self.segmenter.remember(batch)
        references = self.segmenter.memory.references
        for reference in batch:
            place = reference.class_index, reference.slot
            summary = summary_to_json(references[place])
            self.keep(reference.index, {"place": place, "summary": summary})

    def restore(self, payloads: Mapping[int, Payload]) -> None:
        """Take up references."""
        for payload in payloads.values():
            class_index, slot = payload["place"]
            summary = summary_from_json(payload["summary"])
            self.segmenter.memory.add(class_index, slot, summary)

    def gather(self) -> None:
        """Give every rank the whole memory."""
        memory = self.segmenter.memory
        memory.set_references(gather_everywhere(memory.references))
