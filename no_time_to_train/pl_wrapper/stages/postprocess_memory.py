"""Stage 2: what the references of a class have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from no_time_to_train.config import TestMode
from no_time_to_train.memory.checkpoint import MemoryInfo
from no_time_to_train.memory.tensors import bank_from_tensors, statistics_to_tensors
from no_time_to_train.pl_wrapper.checks import check_filled
from no_time_to_train.pl_wrapper.stages.memory_files import read_fitting_memory, store_memory
from no_time_to_train.pl_wrapper.stages.stage import Command, Stage


class PostprocessMemory(Stage):
    """Condenses a filled memory into statistics per class; one step, the same on every rank."""

    mode = TestMode.postprocess_memory
    needs_encoder = False

    def load(self, path: Path) -> None:
        """Take up a filled memory."""
        self.memory = read_fitting_memory(path, self.model_cfg)
        check_filled(self.memory)
        with self.memory.in_use():
            max_patches = self.segmenter.most_patches
            self.segmenter.bank = bank_from_tensors(self.memory.tensors, max_patches)

    def step(self, batch: list[Any]) -> None:
        """Do all of it."""
        self.segmenter.finalise()

    @rank_zero_only
    def store(self, command: Command) -> None:
        """Write the memory, with the class names that were in it."""
        assert self.memory is not None and self.segmenter.statistics is not None
        names = self.memory.info.class_names if self.memory.info else []
        info = MemoryInfo(self.model_cfg.encoder_cfg.name, names)
        tensors = statistics_to_tensors(self.segmenter.statistics)
        store_memory(Path(command.settings.out_path), tensors, info)
