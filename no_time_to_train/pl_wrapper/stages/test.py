"""Stage 3: every instance of the remembered classes in the targets."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from no_time_to_train.coco.annotations import CocoAnnotations, image_path
from no_time_to_train.coco.results import CocoRecord, to_records, warn_if_all_below, write_records
from no_time_to_train.config import DatasetsConfig, ModelConfig, TestMode
from no_time_to_train.dataset.image_files import existing_paths
from no_time_to_train.dataset.targets import TargetDataset
from no_time_to_train.distributed import gather_to_first
from no_time_to_train.errors import InputError, naming
from no_time_to_train.exports.instances_csv import write_csv
from no_time_to_train.exports.record_rows import record_rows
from no_time_to_train.networks import WeightsError
from no_time_to_train.pl_wrapper import checks
from no_time_to_train.pl_wrapper.background_writer import BackgroundWriter
from no_time_to_train.pl_wrapper.journal import Payload
from no_time_to_train.pl_wrapper.prediction_visualizations import Style, write_visualizations
from no_time_to_train.pl_wrapper.setting_checks import check_classes
from no_time_to_train.pl_wrapper.stages.outputs import is_table, result_outputs
from no_time_to_train.pl_wrapper.stages.stage import Command, Stage
from no_time_to_train.proposers import build_proposer
from no_time_to_train.structures import BadImage, Prediction, Target

logger = logging.getLogger(__name__)


class Test(Stage):
    """Segments targets; COCO results, accuracy and pictures are of all that ran."""

    __test__ = False  # not a test case, whatever pytest makes of the name
    mode = TestMode.test
    unit = "images"
    data: TargetDataset

    def __init__(self, model_cfg: ModelConfig, dataset_cfgs: DatasetsConfig) -> None:
        super().__init__(model_cfg, dataset_cfgs)
        self.category_ids = [category.id for category in self.data.categories]
        self.records: dict[int, list[CocoRecord]] = {}
        """Results by position in the data set."""
        self.bad_images: dict[int, BadImage] = {}
        """Those that could not be read, by position in the data set; their results are empty."""
        self.best_score = 0.0
        """Of all proposals, dropped ones included."""
        self._writer = BackgroundWriter()

    def read_data(self) -> TargetDataset:
        """Read the targets' json; look for the images that pictures will be drawn over."""
        targets, config = TargetDataset(self.dataset_cfgs.test), self.model_cfg.test
        check_classes(self.model_cfg, targets.class_names, "test")
        if config.online_vis and config.imgs_path:
            images = targets.annotations.images.values()
            existing_paths(config.imgs_path, "model_cfg.test.imgs_path", images)
        return targets

    def image_paths(self) -> list[Path]:
        """The targets, and what their pictures are drawn over."""
        paths, other_root = super().image_paths(), self.model_cfg.test.imgs_path
        return paths + (self._paths_in(other_root) if other_root else [])

    def visualization_paths(self) -> list[Path]:
        """One picture per target, where they are wanted."""
        wanted = self.model_cfg.test.online_vis
        return self._paths_in(self.model_cfg.visualizations_folder) if wanted else []

    def _paths_in(self, folder: str | Path) -> list[Path]:
        images = self.data.annotations.images.values()
        return [image_path(folder, image.file_name) for image in images]

    def build(self) -> None:
        """Build both networks."""
        super().build()
        if self.segmenter.proposer is None:
            with naming(checks.SAM2_WEIGHTS, WeightsError):
                side, images = self.dataset_cfgs.test.image_size, self.data.annotations.images
                self.segmenter.proposer = build_proposer(self.model_cfg, side, images)

    def step(self, batch: list[Target | BadImage]) -> None:
        """Segment some targets; their results are encoded while the next ones are segmented."""
        targets = [each for each in batch if isinstance(each, Target)]
        predictions = self.segmenter.segment(targets) if targets else []
        assert self.segmenter.proposer is not None
        self.best_score = max(self.best_score, self.segmenter.proposer.best_score)
        for target, prediction in zip(targets, predictions, strict=True):
            self._writer.call(self._record, target, prediction.cpu(), self.best_score)
        for bad in (each for each in batch if isinstance(each, BadImage)):
            self.bad_images[bad.index] = bad
            self.records[bad.index] = []

    def _record(self, target: Target, prediction: Prediction, best_score: float) -> None:
        records = to_records(prediction, target.image_id, self.category_ids)
        self.keep(target.index, {"best_score": best_score, "records": records})
        self.records[target.index] = records

    def restore(self, payloads: Mapping[int, Payload]) -> None:
        """Take up results."""
        for index, payload in payloads.items():
            self.records[index] = payload["records"]
            self.best_score = max(self.best_score, payload["best_score"])

    def settle(self) -> None:
        """Wait until all results are encoded."""
        self._writer.finish()

    def gather(self) -> None:
        """Give rank 0 all results, in data set order."""
        self.settle()
        self.records = gather_to_first(self.records)
        self.bad_images = gather_to_first(self.bad_images)
        self.best_score = max(gather_to_first({self.best_score: None}), default=0.0)

    @rank_zero_only
    def store(self, command: Command) -> None:
        """Write results, measure them, and draw them where that is wanted."""
        self._check_read()
        records = [record for image in self.records.values() for record in image]
        for path in result_outputs(command.settings).values():
            self._write(path, records)
            logger.info("%d results written to %s", len(records), path)
        annotations = self._annotations_of_run(command.limited_by)
        self._warn_if_empty()
        bad = list(self.bad_images.values())
        command.measure(annotations, self.category_ids, records, bad)
        if bad:
            logger.warning(
                "%d of %d images could not be read and count as without detections",
                *(len(bad), len(self.records)),
            )
        if self.model_cfg.test.online_vis:
            self._draw(self._readable(annotations), records)

    def _write(self, path: Path, records: Sequence[CocoRecord]) -> None:
        if is_table(path):
            write_csv(path, record_rows(records, self.data.annotations, self.data.categories))
        else:
            write_records(path, records)

    def _check_read(self) -> None:
        """Refuse to measure a run that has seen no image."""
        if len(self.bad_images) == len(self.records):
            raise InputError(
                f"none of {len(self.records)} images could be read, so there are no results; of "
                f"the first one: {next(iter(self.bad_images.values())).reason}"
            )

    def _readable(self, annotations: CocoAnnotations) -> CocoAnnotations:
        bad = {each.image_id for each in self.bad_images.values()}
        return annotations.restricted_to([key for key in annotations.images if key not in bad])

    def _annotations_of_run(self, limited_by: str | None) -> CocoAnnotations:
        """The ground truth of the images that ran."""
        image_ids = list(self.data.annotations.images)
        annotations = self.data.annotations.restricted_to([image_ids[i] for i in self.records])
        if len(annotations.images) < len(image_ids):
            numbers = len(annotations.images), len(image_ids)
            logger.info("Evaluated on the %d of %d images that ran (%s)", *numbers, limited_by)
        return annotations

    def _warn_if_empty(self) -> None:
        """Tell how far a run that found nothing was from finding something."""
        if not any(self.records.values()):
            logger.warning(
                "Nothing was found in %d images: the best score of a proposal was %.2f, "
                "and sam2_infer_cfgs.iou_thr is %s",
                len(self.records),
                self.best_score,
                self.model_cfg.sam2_infer_cfgs.iou_thr,
            )

    def _draw(self, annotations: CocoAnnotations, records: Sequence[CocoRecord]) -> None:
        config, data = self.model_cfg, self.dataset_cfgs.test
        style = Style(
            self.data.categories,
            config.test.vis_thr,
            config.test.colour_by,
            with_truth=self.data.has_truth,
        )
        paths = write_visualizations(
            annotations,
            records,
            config.test.imgs_path or data.root,
            config.visualizations_folder,
            style,
            data.orientation,
        )
        logger.info("%d pictures in %s", len(paths), config.visualizations_folder)
        warn_if_all_below(records, config.test.vis_thr)
