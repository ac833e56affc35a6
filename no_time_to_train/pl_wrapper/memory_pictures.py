"""One picture per reference: its crop, and the memory's clusters and components on it."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning import Callback, LightningModule, Trainer

from no_time_to_train.files import StagingFolder, remove_leftovers
from no_time_to_train.memory.bank import reference_weights
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.structures import Reference
from no_time_to_train.visualization.memory import draw_reference
from no_time_to_train.visualization.predictions import save_picture


class MemoryPictures(Callback):
    """Pictures of one run; they appear in their folder together, when all are drawn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._staged: StagingFolder | None = None

    @torch.inference_mode()
    def draw(self, segmenter: Segmenter, reference: Reference, name: str) -> None:
        """Draw one reference.

        Args:
            segmenter: With an encoder and post-processed classes.
            reference: As it went into the memory.
            name: Of the picture's file.
        """
        statistics, encoder = segmenter.memory.statistics, segmenter.encoder
        assert encoder is not None
        features = segmenter.encode_patches([reference.image])[0].float().cpu()  # (N, C)
        index = reference.class_index
        picture = draw_reference(
            reference.image,
            reference.mask,
            features,
            reference_weights(reference, encoder.grid),
            statistics.centres[index],
            statistics.pca_mean[index],
            statistics.pca_components[index],
        )
        save_picture(self._stage().path / name, picture, is_result=False)

    def finish(self) -> None:
        """Move the pictures of this rank into their folder.

        Raises:
            InputError: They cannot be written there.
        """
        self._stage().publish()
        self._staged = None

    def discard(self) -> None:
        """Remove what was not finished."""
        if self._staged is not None:
            self._staged.remove()
            self._staged = None

    def on_exception(self, trainer: Trainer, module: LightningModule, error: BaseException) -> None:
        """Leave no picture of a run that failed; Lightning calls this."""
        self.discard()

    def _stage(self) -> StagingFolder:
        if self._staged is None:
            remove_leftovers(self.folder.parent)
            self._staged = StagingFolder(beside=self.folder)
        return self._staged
