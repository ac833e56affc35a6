"""The method as a LightningModule that predicts: networks, this rank's pictures, the loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader, SequentialSampler

from no_time_to_train.dataset.pictures import OpenedPicture, PictureDataset
from no_time_to_train.distributed import gather_everywhere
from no_time_to_train.errors import InputError
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.pl_wrapper.loading import ImageLoader
from no_time_to_train.pl_wrapper.prediction.job import MEMORY, Job, PictureEntry
from no_time_to_train.pl_wrapper.prediction.keeping import Keeping
from no_time_to_train.pl_wrapper.prediction.networks import build_segmenter, load_memory
from no_time_to_train.structures import BadImage

REMAINING = "remaining.json"
"""In the folder of an unfinished run: the pictures that are left to do, one a line."""


class PicturePrediction(LightningModule):
    """Segments pictures; what is found is written by `Keeping`, and nothing is returned.

    Args:
        job: What to do.
        run_folder: Where the unfinished run is kept; None in ranks that are told of it.
        segmenter: With its memory, where it is there already.
    """

    def __init__(
        self, job: Job, run_folder: Path | None = None, segmenter: Segmenter | None = None
    ) -> None:
        super().__init__()
        self.job, self.run_folder, self.segmenter = job, run_folder, segmenter
        self.keeping = Keeping(self)
        self.entries: dict[int, PictureEntry] = {}
        """The pictures of this rank, by their position among all."""

    @property
    def class_names(self) -> list[str]:
        """By label."""
        return self._built.memory.class_names

    @property
    def _built(self) -> Segmenter:
        assert self.segmenter is not None, "configure_model builds it"
        return self.segmenter

    def configure_callbacks(self) -> list[Callback]:
        """Have what is found kept."""
        return [self.keeping]

    def setup(self, stage: str) -> None:
        """Learn from rank 0 what is left to do; Lightning calls this on every rank.

        Raises:
            InputError: This machine does not see the folder of the results.
        """
        here = {"folder": self.run_folder} if self.run_folder else {}
        self.run_folder = gather_everywhere(here)["folder"]
        assert self.run_folder is not None
        if not (self.run_folder / REMAINING).is_file():
            raise InputError(
                f"rank {self.global_rank} does not see {self.job.out}; put --out where all "
                "machines see it"
            )
        ranks, rank = self.trainer.world_size, self.global_rank
        entries = read_remaining(self.run_folder)
        self.entries = {each.index: each for n, each in enumerate(entries) if n % ranks == rank}

    def configure_model(self) -> None:
        """Build the networks, unless they are there; Lightning calls this on every rank."""
        if self.segmenter is None:
            self.segmenter = build_segmenter(self.job.settings)
            load_memory(self.segmenter, self.job.out / MEMORY)

    def predict_dataloader(self) -> DataLoader[Any] | ImageLoader:
        """Pictures of this rank; where it has none, one empty step, since hooks need one."""
        if not self.entries:
            return DataLoader([None], collate_fn=lambda nothing: [])  # type: ignore[arg-type]
        assert self._built.proposer is not None
        data = PictureDataset(
            self.job.root,
            [(entry.index, entry.file_name) for entry in self.entries.values()],
            self._built.proposer.image_size,
            as_stored=self.job.settings.datasets.test.orientation == "stored",
            with_pixels=self.job.files.overlays,
        )
        return ImageLoader(data, SequentialSampler(data), self.job.settings.loading)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, index: int) -> Any:
        """Leave batches where they are: the segmenter moves the tensors that it needs."""
        return batch

    def predict_step(self, batch: list[OpenedPicture | BadImage], batch_idx: int) -> tuple[()]:
        """Segment some pictures; files are written while the next ones are segmented."""
        pictures = [each for each in batch if isinstance(each, OpenedPicture)]
        targets = [each.target for each in pictures]
        predictions = self._built.segment(targets) if targets else []
        for picture, prediction in zip(pictures, predictions, strict=True):
            self.keeping.keep(picture, prediction.cpu())
        for bad in batch:
            if isinstance(bad, BadImage):
                self.keeping.keep_bad(bad)
        return ()  # Lightning warns of None


def write_remaining(folder: Path, entries: Iterator[PictureEntry]) -> None:
    """Tell all ranks what is left to do.

    Args:
        folder: Of the run.
        entries: In the order of the run.
    """
    with (folder / REMAINING).open("w", encoding="utf-8") as file:
        for entry in entries:
            file.write(json.dumps([entry.index, entry.file_name, entry.output]) + "\n")


def read_remaining(folder: Path) -> Iterator[PictureEntry]:
    """What `write_remaining` has written."""
    with (folder / REMAINING).open(encoding="utf-8") as file:
        for line in file:
            yield PictureEntry(*json.loads(line))
