"""The method as a LightningModule: one row of a table per test mode."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule
from torch.utils.data import DataLoader

from no_time_to_train.coco.annotations import image_path
from no_time_to_train.coco.results import CocoRecord, to_records
from no_time_to_train.config import DataLoadConfig, DatasetsConfig, ModelConfig, TestMode
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.dataset.targets import TargetDataset
from no_time_to_train.distributed import RankSampler, gather_everywhere, gather_to_first
from no_time_to_train.encoders import build_encoder, input_size
from no_time_to_train.errors import InputError
from no_time_to_train.memory.bank import MemoryBank
from no_time_to_train.memory.checkpoint import MemoryFile, MemoryInfo, read_memory
from no_time_to_train.memory.tensors import (
    bank_from_tensors,
    bank_to_tensors,
    statistics_from_tensors,
    statistics_to_tensors,
)
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.pl_wrapper import preflight
from no_time_to_train.pl_wrapper.background import Background
from no_time_to_train.pl_wrapper.loading import ImageLoader
from no_time_to_train.pl_wrapper.memory_pictures import MemoryPictures
from no_time_to_train.proposers import build_proposer
from no_time_to_train.structures import Prediction, Reference, Target

logger = logging.getLogger(__name__)

DEFAULT_LOADING = DataLoadConfig()


@dataclass(frozen=True)
class Stage:
    """What one test mode reads, runs and gathers."""

    step: Callable[[Sam2MatcherLightningModel, list[Any]], None]
    gather: Callable[[Sam2MatcherLightningModel], None]
    references: bool = False
    targets: bool = False
    encoder: bool = False
    proposer: bool = False


class Sam2MatcherLightningModel(LightningModule):
    """Fills, finalises, shows or uses a reference memory, as the test mode says.

    Construction checks settings and data; networks are built when the trainer starts. Results are
    left in `segmenter`, `records`, `best_score` (of all proposals, dropped ones too) and `pictures`
    for the command line to store.
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
        self.model_cfg = model_cfg
        self.dataset_cfgs = dataset_cfgs
        self.data_load_cfgs = data_load_cfgs
        self.test_mode = test_mode
        self.stage = STAGES[test_mode]
        self.memory: MemoryFile | None = None
        self.records: dict[int, list[CocoRecord]] = {}
        self.best_score = 0.0
        preflight.check_weights(model_cfg, self.stage.encoder, self.stage.proposer)
        self.references = self._read_references() if self.stage.references else None
        self.targets = self._read_targets() if self.stage.targets else None
        self.segmenter = Segmenter(model_cfg.sam2_infer_cfgs, most_patches=most_patches(model_cfg))
        self.pictures = MemoryPictures(model_cfg.memory_pictures_folder)

    def _read_references(self) -> ReferenceDataset:
        preflight.check_references(self.model_cfg, self.dataset_cfgs)
        references = ReferenceDataset(self.dataset_cfgs.fill_memory)
        preflight.check_classes(self.model_cfg, references.class_names, "fill_memory")
        return references

    def _read_targets(self) -> TargetDataset:
        targets = TargetDataset(self.dataset_cfgs.test)
        preflight.check_classes(self.model_cfg, targets.class_names, "test")
        preflight.check_picture_sources(self.model_cfg.test, targets)
        return targets

    def image_paths(self) -> list[Path]:
        """The images that this stage reads."""
        paths = [*(self.references.paths if self.references else ())]
        if self.targets:
            paths += self.targets.paths
            if self.model_cfg.test.imgs_path:
                names = [image.file_name for image in self.targets.annotations.images.values()]
                paths += [image_path(self.model_cfg.test.imgs_path, name) for name in names]
        return paths

    def picture_paths(self) -> list[Path]:
        """The pictures that this stage draws."""
        if self.test_mode is TestMode.vis_memory and self.references:
            return [self.pictures.folder / name for name in self.references.picture_names]
        if self.targets and self.model_cfg.test.online_vis:
            folder, images = self.model_cfg.pictures_folder, self.targets.annotations.images
            return [image_path(folder, image.file_name) for image in images.values()]
        return []

    def load_memory(self, path: Path) -> None:
        """Take up the memory that an earlier stage, or the published code, has stored.

        Raises:
            InputError: It is missing, unreadable, or does not fit settings, data or test mode.
        """
        try:
            memory = read_memory(path)
        except InputError as error:
            raise InputError(f"--ckpt_path: {error}") from None
        preflight.check_memory(memory, self.model_cfg)
        if self.test_mode is TestMode.postprocess_memory:
            preflight.check_filled(memory)
            with memory.in_use():
                self.segmenter.bank = bank_from_tensors(memory.tensors, self.segmenter.most_patches)
        else:
            preflight.check_postprocessed(memory)
            self.segmenter.use(statistics_from_tensors(memory.tensors))
        data = self.references or self.targets
        if data is not None:
            preflight.check_same_classes(memory, data.class_names)
        self.memory = memory

    def memory_tensors(self) -> dict[str, torch.Tensor]:
        """What --out_path is to hold after this stage."""
        if self.segmenter.statistics is not None:
            return statistics_to_tensors(self.segmenter.statistics)
        return bank_to_tensors(self.segmenter.bank)

    def memory_info(self) -> MemoryInfo:
        """Where that memory comes from."""
        names = self.references.class_names if self.references else []
        if self.memory and self.memory.info:
            names = self.memory.info.class_names
        return MemoryInfo(self.model_cfg.encoder_cfg.name, names)

    def configure_model(self) -> None:
        """Build the networks that the stage needs; Lightning calls this on every rank."""
        if self.stage.encoder and self.segmenter.encoder is None:
            with preflight.naming(preflight.ENCODER_WEIGHTS):
                encoder = self.segmenter.encoder = build_encoder(self.model_cfg)
            self._check_width(encoder.width)
            if self.references:
                preflight.check_image_size(self.dataset_cfgs, input_size(encoder))
        if self.stage.proposer and self.segmenter.proposer is None:
            side = self.dataset_cfgs.test.image_size
            images = self.targets.annotations.images if self.targets else None
            with preflight.naming(preflight.SAM2_WEIGHTS):
                self.segmenter.proposer = build_proposer(self.model_cfg, side, images)

    def _check_width(self, width: int) -> None:
        found = self.memory.size.channels if self.memory else width
        if self.memory and found != width:
            raise InputError(
                f"{self.memory.path} holds features of {found} channels, but "
                f"{self.model_cfg.encoder_cfg.name} makes {width}; use the encoder that filled it"
            )

    def configure_callbacks(self) -> list[Callback]:
        """Let the pictures know of errors."""
        return [self.pictures]

    def test_dataloader(self) -> DataLoader[Any] | ImageLoader:
        """Images of this rank; for a stage without images, one empty step."""
        data = self.references or self.targets
        if data is None:
            return DataLoader([None], collate_fn=list)  # type: ignore[arg-type]
        sampler = RankSampler(data, self.trainer.world_size, self.trainer.global_rank)
        return ImageLoader(data, sampler, self.data_load_cfgs)

    def warn_if_empty(self) -> None:
        """Tell how far a run that found nothing was from finding something."""
        if not any(self.records.values()):
            logger.warning(
                "Nothing was found in %d images: the best score of a proposal was %.2f, "
                "and sam2_infer_cfgs.iou_thr is %s",
                len(self.records),
                self.best_score,
                self.model_cfg.sam2_infer_cfgs.iou_thr,
            )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, index: int) -> Any:
        """Leave batches where they are: the segmenter moves the tensors that it needs."""
        return batch

    def on_test_epoch_start(self) -> None:
        """Get ready to write results while the next image is segmented."""
        self.background = Background()

    def test_step(self, batch: list[Any], batch_idx: int) -> None:
        """Run the stage on one batch."""
        self.stage.step(self, batch)

    def on_test_epoch_end(self) -> None:
        """Bring the ranks' results together, in data set order."""
        self.stage.gather(self)

    def _remember(self, batch: list[Reference]) -> None:
        self.segmenter.remember(batch)

    def _gather_bank(self) -> None:
        self.segmenter.bank = MemoryBank(gather_everywhere(self.segmenter.bank.summaries))

    def _finalise(self, batch: list[Any]) -> None:
        self.segmenter.finalise()

    def _draw(self, batch: list[Reference]) -> None:
        assert self.references is not None
        for reference in batch:
            name = self.references.picture_names[reference.index]
            self.pictures.draw(self.segmenter, reference, name)

    def _segment(self, batch: list[Target]) -> None:
        for target, prediction in zip(batch, self.segmenter.segment(batch), strict=True):
            self.background.call(self._record, target, prediction.cpu())

    def _record(self, target: Target, prediction: Prediction) -> None:
        assert self.targets is not None
        category_ids = [category.id for category in self.targets.categories]
        self.records[target.index] = to_records(prediction, target.image_id, category_ids)

    def _gather_records(self) -> None:
        self.background.finish()
        self.records = gather_to_first(self.records)
        assert self.segmenter.proposer is not None
        best = self.segmenter.proposer.best_score
        self.best_score = max(gather_to_first({self.global_rank: best}).values(), default=best)

    def _gather_nothing(self) -> None:
        """Every rank has the same already."""


STAGES = {
    TestMode.fill_memory: Stage(
        Sam2MatcherLightningModel._remember,
        Sam2MatcherLightningModel._gather_bank,
        references=True,
        encoder=True,
    ),
    TestMode.postprocess_memory: Stage(
        Sam2MatcherLightningModel._finalise,
        Sam2MatcherLightningModel._gather_nothing,
    ),
    TestMode.vis_memory: Stage(
        Sam2MatcherLightningModel._draw,
        Sam2MatcherLightningModel._gather_nothing,
        references=True,
        encoder=True,
    ),
    TestMode.test: Stage(
        Sam2MatcherLightningModel._segment,
        Sam2MatcherLightningModel._gather_records,
        targets=True,
        encoder=True,
        proposer=True,
    ),
}


def most_patches(model: ModelConfig) -> int:
    """Foreground patches kept per reference, so that all of them fit the memory set aside."""
    bank = model.memory_bank_cfg
    bytes_per_patch = 2 * 1024  # float16, as wide as the published encoder
    budget = bank.patch_memory_mb * 2**20 // (bank.category_num * bank.length * bytes_per_patch)
    return max(budget, model.sam2_infer_cfgs.kmeans_k)
