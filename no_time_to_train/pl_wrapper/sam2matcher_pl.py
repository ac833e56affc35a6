"""The method as a LightningModule, which loops over the batches of a stage."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule
from torch.utils.data import DataLoader, Subset

from no_time_to_train.config import DataLoadConfig, DatasetsConfig, ModelConfig, TestMode
from no_time_to_train.distributed import RankSampler
from no_time_to_train.pl_wrapper.loading import ImageLoader
from no_time_to_train.pl_wrapper.resumption import Resumption
from no_time_to_train.pl_wrapper.stages import STAGES

DEFAULT_LOADING = DataLoadConfig()


class Sam2MatcherLightningModel(LightningModule):
    """Fills, finalises, shows or uses a reference memory, as the test mode says.

    Construction checks settings and data; networks are built when the trainer starts. Results are
    left in `stage` for the command line to store.
    """

    def __init__(
        self,
        model_cfg: ModelConfig,
        dataset_cfgs: DatasetsConfig,
        data_load_cfgs: DataLoadConfig = DEFAULT_LOADING,
        test_mode: TestMode = TestMode.test,
    ) -> None:
        """Check everything that needs no network.

        Args:
            model_cfg: Networks, memory, and what to do with masks.
            dataset_cfgs: References and targets.
            data_load_cfgs: How images are read.
            test_mode: The stage to run.

        Raises:
            InputError: Settings contradict each other or the data, or data are missing.
        """
        super().__init__()
        self.data_load_cfgs = data_load_cfgs
        self.stage = STAGES[test_mode].load()(model_cfg, dataset_cfgs)
        self.segmenter = self.stage.segmenter  # here too, for Lightning to move it to a device
        self.resumption: Resumption | None = None

    def configure_model(self) -> None:
        """Build the networks; Lightning calls this on every rank."""
        self.stage.build()

    def configure_callbacks(self) -> list[Callback]:
        """Let the stage know of errors."""
        return [self.stage]

    def test_dataloader(self) -> DataLoader[Any] | ImageLoader:
        """Images of this rank; for a stage without images, or with none left, one empty step."""
        data = self.stage.data
        if data is None:
            return DataLoader([None], collate_fn=list)  # type: ignore[arg-type]
        left = range(len(data)) if self.resumption is None else self.resumption.remaining
        if not left:
            return DataLoader([None], collate_fn=lambda nothing: [])  # type: ignore[arg-type]
        part = Subset(data, left)
        sampler = RankSampler(part, self.trainer.world_size, self.trainer.global_rank)
        return ImageLoader(part, sampler, self.data_load_cfgs)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, index: int) -> Any:
        """Leave batches where they are: the segmenter moves the tensors that it needs."""
        return batch

    def test_step(self, batch: list[Any], batch_idx: int) -> None:
        """Run the stage on one batch."""
        if batch:
            self.stage.step(batch)

    def on_test_epoch_end(self) -> None:
        """Bring the ranks' results together."""
        self.stage.gather()
