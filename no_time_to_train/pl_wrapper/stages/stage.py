"""What the stages have in common."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lightning import Callback
from lightning.pytorch.utilities import rank_zero_only

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.config import DatasetsConfig, ModelConfig, TestMode
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.dataset.targets import TargetDataset
from no_time_to_train.encoders import build_encoder, input_size
from no_time_to_train.errors import naming
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import MemoryFile, read_memory, write_memory
from no_time_to_train.memory.description import EncoderSpec
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.networks import WeightsError
from no_time_to_train.pl_wrapper import checks
from no_time_to_train.pl_wrapper.journal import Journal, Payload
from no_time_to_train.pl_wrapper.setting_checks import check_image_size
from no_time_to_train.pl_wrapper.stages import STAGES
from no_time_to_train.structures import BadImage

logger = logging.getLogger(__name__)

Measure = Callable[[CocoAnnotations, Sequence[int], Sequence[CocoRecord], Sequence[BadImage]], None]


@dataclass(frozen=True)
class Command:
    """What a stage has to know of the command that runs it, to store what it has made."""

    settings: Any
    """As parsed."""
    limited_by: str | None
    """The setting that let fewer batches run than there are."""
    measure: Measure
    """Compares results with the annotations of the images that ran, for categories by id, and
    reports the accuracy, and which of these images could not be read."""


class Stage(ABC, Callback):
    """What one test mode reads, builds, does with a batch, gathers and stores.

    It is a callback too, since Lightning tells those of errors.
    """

    mode: ClassVar[TestMode]
    unit: ClassVar[str | None] = None
    """What its samples are called, where finished ones are kept for a run that goes on."""
    keep_seconds: ClassVar[float] = 0
    """Of work, less than which is not worth a file."""
    data: ReferenceDataset | TargetDataset | None = None
    """What batches are made of; None for a stage that is a single step without images."""
    journal: Journal | None = None
    """Where finished samples are kept while it runs."""

    def __init__(self, model_cfg: ModelConfig, dataset_cfgs: DatasetsConfig) -> None:
        """Check everything that needs no network.

        Args:
            model_cfg: Networks, memory, and what to do with masks.
            dataset_cfgs: References and targets.

        Raises:
            InputError: Settings contradict each other or the data, or data are missing.
        """
        self.model_cfg, self.dataset_cfgs = model_cfg, dataset_cfgs
        self.memory_file: MemoryFile | None = None
        checks.check_networks(model_cfg, needs_encoder=self._needs_encoder)
        self.data = self.read_data()
        names = self.data.class_names if self.data else []
        memory = Memory.from_config(model_cfg, names, model_cfg.memory_bank_cfg.length)
        self.segmenter = Segmenter(model_cfg.sam2_infer_cfgs, memory=memory)

    def read_data(self) -> ReferenceDataset | TargetDataset | None:
        """Read annotations and check them; by default there are none to read."""
        return None

    @property
    def _needs_encoder(self) -> bool:
        return "encoder" in STAGES[self.mode].reads

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
        with naming("--ckpt_path"):
            file = read_memory(path)
        file.check_size(self.model_cfg.memory_bank_cfg)
        file.check_kind(finalised=STAGES[self.mode].needs_classes)
        if self.data is not None:
            file.check_class_names(self.data.class_names)
        self.segmenter.set_memory(file.load(self.segmenter.memory))
        self.memory_file = file

    def build(self) -> None:
        """Build the networks that it needs, on every rank.

        Raises:
            InputError: Weights are unusable, or the encoder does not fit memory or data.
        """
        if self._needs_encoder and self.segmenter.encoder is None:
            self._build_encoder()

    def _build_encoder(self) -> None:
        with naming(checks.ENCODER_WEIGHTS, WeightsError):
            encoder = self.segmenter.encoder = build_encoder(self.model_cfg)
        spec = EncoderSpec(self.model_cfg.encoder_cfg.name, input_size(encoder))
        if self.memory_file is not None:
            self.memory_file.check_encoder(spec)
            self.memory_file.check_width(spec.name, encoder.width)
        self.segmenter.memory.encoder = spec

    @abstractmethod
    def step(self, batch: list[Any]) -> None:
        """Do the work on one batch of `data`."""

    def keep(self, index: int, payload: Payload) -> None:
        """Keep a finished sample.

        Args:
            index: Its position in the data set.
            payload: What `restore` needs, for json.

        Raises:
            InputError: The disk is full.
        """
        if self.journal is not None:
            self.journal.append(index, payload)

    def restore(self, payloads: Mapping[int, Payload]) -> None:
        """Take up what an earlier run has kept, by position in the data set."""

    def settle(self) -> None:
        """Wait until all that was given to `step` is finished; by default it always is."""

    def gather(self) -> None:
        """Bring the results of the ranks together, in data set order; by default all have them."""

    @rank_zero_only
    def store(self, command: Command) -> None:
        """Write what it has made, which is by default the memory; called on every rank."""
        path = Path(command.settings.out_path)
        write_memory(path, self.segmenter.memory)
        logger.info("Memory written to %s (%.2f MB)", path, path.stat().st_size / 1e6)


class ReferenceStage(Stage):
    """A stage whose batches are references."""

    data: ReferenceDataset

    def read_data(self) -> ReferenceDataset:
        """Read the reference set."""
        return checks.read_references(self.model_cfg, self.dataset_cfgs)

    def build(self) -> None:
        """Build the encoder, whose input is to be as large as the references."""
        super().build()
        assert self.segmenter.encoder is not None
        check_image_size(self.dataset_cfgs, input_size(self.segmenter.encoder))
