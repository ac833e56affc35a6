"""Stage 2.1: one picture per reference, with the memory's clusters and components on it."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from lightning import LightningModule, Trainer

from no_time_to_train.config import DatasetsConfig, ModelConfig, TestMode
from no_time_to_train.files import StagingFolder, remove_leftovers
from no_time_to_train.memory.references import reference_weights
from no_time_to_train.pl_wrapper.stages.stage import Command, ReferenceStage
from no_time_to_train.structures import Reference
from no_time_to_train.visualization.memory import draw_reference
from no_time_to_train.visualization.predictions import save_picture

logger = logging.getLogger(__name__)


class VisMemory(ReferenceStage):
    """Draws references; the pictures of a rank appear together, when all are drawn."""

    mode = TestMode.vis_memory

    def __init__(self, model_cfg: ModelConfig, dataset_cfgs: DatasetsConfig) -> None:
        super().__init__(model_cfg, dataset_cfgs)
        self.folder = model_cfg.memory_visualizations_folder
        self._staged: StagingFolder | None = None

    def visualization_paths(self) -> list[Path]:
        """One picture per reference; repetitions share one."""
        return [self.folder / name for name in dict.fromkeys(self.data.picture_names)]

    @torch.inference_mode()
    def step(self, batch: list[Reference]) -> None:
        """Draw some references, each where it first appears."""
        names = self.data.picture_names
        for reference in batch:
            if names.index(names[reference.index]) == reference.index:
                self._draw(reference)

    def _draw(self, reference: Reference) -> None:
        statistics, encoder = self.segmenter.memory.statistics, self.segmenter.encoder
        assert encoder is not None
        features = self.segmenter.encode_patches([reference.image])[0].float().cpu()  # (N, C)
        index = reference.class_index
        name = self.data.picture_names[reference.index]
        picture = draw_reference(
            reference.image,
            reference.mask,
            features,
            reference_weights(reference, encoder.grid),
            statistics.centres[index],
            statistics.pca_mean[index],
            statistics.pca_components[index],
            self.data.class_names[index],
            repeats=self.data.picture_names.count(name),
        )
        save_picture(self._staging().path / name, picture, is_result=False)

    def _staging(self) -> StagingFolder:
        if self._staged is None:
            remove_leftovers(self.folder.parent)
            self._staged = StagingFolder(beside=self.folder)
        return self._staged

    def store(self, command: Command) -> None:
        """Move the pictures of this rank into their folder."""
        self._staging().publish()
        self._staged = None
        logger.info("Pictures in %s", self.folder)

    def on_exception(self, trainer: Trainer, module: LightningModule, error: BaseException) -> None:
        """Leave no picture of a run that failed; Lightning calls this."""
        if self._staged is not None:
            self._staged.remove()
            self._staged = None
