"""What the stages have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lightning import Callback

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.config import DatasetsConfig, ModelConfig, TestMode
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.dataset.targets import TargetDataset
from no_time_to_train.encoders import build_encoder, input_size
from no_time_to_train.memory.checkpoint import MemoryFile
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.pl_wrapper import checks
from no_time_to_train.proposers import build_proposer

Measure = Callable[[CocoAnnotations, Sequence[int], Sequence[CocoRecord]], None]


@dataclass(frozen=True)
class Command:
    """What a stage has to know of the command that runs it, to store what it has made."""

    settings: Any
    """As parsed."""
    limited_by: str | None
    """The setting that let fewer batches run than there are."""
    measure: Measure
    """Compares results with the annotations of the images that ran, for categories by id, and
    reports the accuracy."""


class Stage(ABC, Callback):
    """What one test mode reads, builds, does with a batch, gathers and stores.

    It is a callback too, since Lightning tells those of errors.
    """

    mode: ClassVar[TestMode]
    needs_encoder = True
    needs_proposer = False
    may_be_limited = False
    """Whether a part of the batches will do."""
    data: ReferenceDataset | TargetDataset | None = None
    """What batches are made of; None for a stage that is a single step without images."""

    def __init__(self, model_cfg: ModelConfig, dataset_cfgs: DatasetsConfig) -> None:
        """Check everything that needs no network.

        Args:
            model_cfg: Networks, memory, and what to do with masks.
            dataset_cfgs: References and targets.

        Raises:
            InputError: Settings contradict each other or the data, or data are missing.
        """
        self.model_cfg, self.dataset_cfgs = model_cfg, dataset_cfgs
        self.memory: MemoryFile | None = None
        checks.check_weights(model_cfg, self.needs_encoder, self.needs_proposer)
        self.segmenter = Segmenter(model_cfg.sam2_infer_cfgs, most_patches=max_patches(model_cfg))

    @property
    def samples(self) -> int:
        """References or targets, all ranks together."""
        return 1 if self.data is None else len(self.data)

    def image_paths(self) -> list[Path]:
        """The images that it reads."""
        return list(self.data.paths) if self.data else []

    def visualization_paths(self) -> list[Path]:
        """The pictures that it draws."""
        return []

    def load(self, path: Path) -> None:
        """Take up the memory that an earlier stage, or the published code, has stored.

        Raises:
            InputError: It is missing, unreadable, or does not fit settings, data or stage.
        """

    def build(self) -> None:
        """Build the networks that it needs, on every rank.

        Raises:
            InputError: Weights are unusable, or the encoder is not the one of the memory.
        """
        if self.needs_encoder and self.segmenter.encoder is None:
            with checks.naming(checks.ENCODER_WEIGHTS):
                encoder = self.segmenter.encoder = build_encoder(self.model_cfg)
            checks.check_width(self.memory, self.model_cfg, encoder.width)
            if isinstance(self.data, ReferenceDataset):
                checks.check_image_size(self.dataset_cfgs, input_size(encoder))
        if self.needs_proposer and self.segmenter.proposer is None:
            with checks.naming(checks.SAM2_WEIGHTS):
                side = self.dataset_cfgs.test.image_size
                images = (
                    self.data.annotations.images if isinstance(self.data, TargetDataset) else None
                )
                self.segmenter.proposer = build_proposer(self.model_cfg, side, images)

    @abstractmethod
    def step(self, batch: list[Any]) -> None:
        """Do the work on one batch of `data`."""

    def gather(self) -> None:
        """Bring the results of the ranks together, in data set order; by default all have them."""

    @abstractmethod
    def store(self, command: Command) -> None:
        """Write what it has made, on every rank."""


def max_patches(model: ModelConfig) -> int:
    """Foreground patches kept per reference, so that all of them fit the memory set aside."""
    bank = model.memory_bank_cfg
    bytes_per_patch = 2 * 1024  # float16, as wide as the published encoder
    budget = bank.patch_memory_mb * 2**20 // (bank.category_num * bank.length * bytes_per_patch)
    return max(budget, model.sam2_infer_cfgs.kmeans_k)
