"""Stage 1: the references go into the memory."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from no_time_to_train.config import DatasetsConfig, ModelConfig, TestMode
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.distributed import gather_everywhere
from no_time_to_train.memory.bank import MemoryBank
from no_time_to_train.memory.checkpoint import MemoryInfo
from no_time_to_train.memory.tensors import bank_to_tensors
from no_time_to_train.pl_wrapper.checks import read_references
from no_time_to_train.pl_wrapper.stages.memory_files import store_memory
from no_time_to_train.pl_wrapper.stages.stage import Command, Stage
from no_time_to_train.structures import Reference


class FillMemory(Stage):
    """Encodes the references, each rank a share of them, into one memory."""

    mode = TestMode.fill_memory
    data: ReferenceDataset

    def __init__(self, model_cfg: ModelConfig, dataset_cfgs: DatasetsConfig) -> None:
        super().__init__(model_cfg, dataset_cfgs)
        self.data = read_references(model_cfg, dataset_cfgs)

    def step(self, batch: list[Reference]) -> None:
        """Remember some references."""
        self.segmenter.remember(batch)

    def gather(self) -> None:
        """Give every rank the whole memory."""
        self.segmenter.bank = MemoryBank(gather_everywhere(self.segmenter.bank.summaries))

    @rank_zero_only
    def store(self, command: Command) -> None:
        """Write the memory."""
        info = MemoryInfo(self.model_cfg.encoder_cfg.name, self.data.class_names)
        tensors = bank_to_tensors(self.segmenter.bank)
        store_memory(Path(command.settings.out_path), tensors, info)
