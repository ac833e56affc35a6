"""`test` as a LightningCLI: from arguments that passed the first checks to stored results."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.commands import parsing, user_message
from no_time_to_train.commands.messages import explain_failure
from no_time_to_train.commands.outputs import log_outputs, named_inputs, write_metrics
from no_time_to_train.commands.parsing import OneLineParser
from no_time_to_train.commands.provenance import git_state, machine, peak_memory_mb
from no_time_to_train.config import TestMode
from no_time_to_train.distributed import end_ranks_together
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.coco import evaluate
from no_time_to_train.output_checks import prepare_outputs
from no_time_to_train.pl_wrapper.heartbeat import Heartbeat
from no_time_to_train.pl_wrapper.limits import check_limit, limit_of, samples_to_run
from no_time_to_train.pl_wrapper.live_bar import LiveBar
from no_time_to_train.pl_wrapper.resumption import Resumption, unfinished_folder
from no_time_to_train.pl_wrapper.sam2matcher_pl import Sam2MatcherLightningModel
from no_time_to_train.pl_wrapper.saved_config import SavedConfig
from no_time_to_train.pl_wrapper.stages import STAGES, check_flags
from no_time_to_train.pl_wrapper.stages.outputs import result_outputs
from no_time_to_train.pl_wrapper.stages.stage import Command
from no_time_to_train.pl_wrapper.used_settings import used_settings
from no_time_to_train.reports import write_test_report
from no_time_to_train.reports.measured import Measured
from no_time_to_train.signs_of_life import said_while
from no_time_to_train.structures import BadImage

logger = logging.getLogger(__name__)


class LightningParser(OneLineParser, LightningArgumentParser):
    """The same, for what Lightning adds to it."""


class NoTimeToTrainCLI(LightningCLI):
    """Adds this project's flags, and does what comes before and after a test."""

    model: Sam2MatcherLightningModel

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Offer `test` alone: nothing here is trained."""
        loading = {"ckpt_path", "weights_only"}  # Lightning is not to load memories as weights
        return {"test": {"model", "dataloaders", "datamodule", "verbose"} | loading}

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add trainer and model; the model brings its own data."""
        parser.add_lightning_class_args(self.trainer_class, "trainer")
        parser.add_lightning_class_args(
            Sam2MatcherLightningModel, "model", subclass_mode=self.subclass_mode_model
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the published flags of `test`."""
        parsing.add_flags(parser)

    def _parse_ckpt_path(self) -> None:
        """Leave the command line alone: Lightning would let settings in --ckpt_path override it."""

    def instantiate_classes(self) -> None:
        """Build model and trainer; whatever breaks there over a setting is said in a sentence."""
        try:
            super().instantiate_classes()
        except Exception as error:
            known = isinstance(error, MisconfigurationException) or user_message(error)
            if known:
                raise
            raise InputError(explain_failure(error, self.config.test.trainer)) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Leave out progress bars where lines tell the progress: a file would fill with them."""
        settings = self._get(self.config_init, "trainer")
        wanted = settings.enable_progress_bar
        if self.model.stage.unit and wanted is None and not sys.stdout.isatty():
            named = settings.callbacks or []
            named = named if isinstance(named, list) else [named]
            kwargs["callbacks"] = [each for each in named if not isinstance(each, ProgressBar)]
            kwargs["enable_progress_bar"] = False
        return super().instantiate_trainer(**kwargs)

    def before_instantiate_classes(self) -> None:
        """Check the flags, before anything is read or built."""
        self.started = time.monotonic()
        settings = self.config.test
        parsing.apply_flags(settings)
        parsing.check_trainer(settings.trainer)
        check_flags(settings)
        prepare_outputs(self._named_outputs(), named_inputs(settings))

    def _named_outputs(self) -> dict[str, Path]:
        settings = self.config.test
        return STAGES[settings.model.init_args.test_mode].outputs(settings)

    def after_instantiate_classes(self) -> None:
        """Check the outputs again, now that the images and the log folder are known."""
        stage = self.model.stage
        outputs: dict[str, Any] = self._named_outputs()
        outputs |= log_outputs(self.trainer, self._wants_report)
        inputs: dict[str, Any] = named_inputs(self.config.test)
        outputs["the picture"], inputs["the image"] = (
            stage.visualization_paths(),
            stage.image_paths(),
        )
        prepare_outputs(outputs, inputs)

    def before_test(self) -> None:
        """Load the memory."""
        end_ranks_together(self.trainer)
        self.trainer.callbacks.append(LiveBar())  # type: ignore[attr-defined]  # set, not declared
        stage, batch_size = self.model.stage, self.model.data_load_cfgs.batch_size
        check_limit(self.trainer, stage, batch_size)
        self.limited_by = limit_of(self.trainer)
        stage.load(Path(self.config.test.ckpt_path or ""))
        if stage.unit:
            self._prepare_resumption(samples_to_run(self.trainer, stage, batch_size))
        self.ready = time.monotonic()

    def _prepare_resumption(self, positions: Sequence[int]) -> None:
        settings = self.config.test
        resumption = self.model.resumption = Resumption(
            self.model.stage,
            positions,
            settings.ckpt_path,
            self._named_outputs().values(),
            unfinished_folder(self.trainer),
        )
        self.trainer.limit_test_batches = 1.0  # the positions are what it allows
        callbacks: list[Callback] = [resumption]
        if not sys.stdout.isatty():
            callbacks.append(Heartbeat(resumption))
        self.trainer.callbacks += callbacks  # type: ignore[attr-defined]  # set, not declared
        resumption.look_back(settings.resume)

    def after_test(self) -> None:
        """Store what the stage has left."""
        self.finished = time.monotonic()
        self.log_dir = self.trainer.log_dir  # asks all ranks
        self.model.stage.store(Command(self.config.test, self.limited_by, self._measure))
        if self.model.resumption:
            self.model.resumption.forget()

    def _measure(
        self,
        annotations: CocoAnnotations,
        category_ids: Sequence[int],
        records: Sequence[CocoRecord],
        bad_images: Sequence[BadImage],
    ) -> None:
        with said_while("measuring accuracy"):
            evaluation = evaluate(annotations, category_ids, records)
        logger.info("%s", evaluation.text)
        if not self.log_dir:
            return
        path = Path(self.log_dir) / "metrics.json"
        write_metrics(
            path,
            config=used_settings(self.config_dump),
            seconds={
                "prepare": self.ready - self.started,
                "segment": self.finished - self.ready,
                "evaluate": time.monotonic() - self.finished,
            },
            image_ids=list(annotations.images),
            images_of_data_set=self.model.stage.samples,
            resumed_images=len(self.model.resumption.earlier) if self.model.resumption else 0,
            limited_by=self.limited_by,
            bad_images=bad_images,
            evaluation=evaluation,
            about=self._about(),
        )
        logger.info("Metrics written to %s", path)
        if self._wants_report:
            measured = Measured(annotations, category_ids, records, evaluation)
            written = write_test_report(path.parent, measured)
            logger.info("Report written to %s", written)

    @property
    def _wants_report(self) -> bool:
        settings = self.config.test
        return bool(settings.report and settings.model.init_args.test_mode is TestMode.test)

    def _about(self) -> dict[str, Any]:
        """What tells this run from others, beside its settings."""
        resumption = self.model.resumption
        return {
            "command": sys.argv,
            "written": datetime.now().astimezone().isoformat(timespec="seconds"),
            "git": git_state(),
            "files": dict(resumption.identity.files) if resumption else {},
            "results": [str(path) for path in result_outputs(self.config.test).values()],
            "peak_memory_mb": peak_memory_mb(),
            "machine": machine(str(self.trainer.strategy.root_device))
            | {"devices": self.trainer.world_size},
        }


def run(arguments: list[str]) -> None:
    """Run `test`.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: Something that the user gave cannot work.
    """
    # Trained attention leaves shares near 1e-40, with which a CPU multiplies far more slowly.
    torch.set_flush_denormal(True)
    _filter_messages()
    parsing.register()
    try:
        NoTimeToTrainCLI(
            Sam2MatcherLightningModel,
            subclass_mode_model=True,
            parser_class=LightningParser,
            parser_kwargs=parsing.PARSER_KWARGS,
            save_config_callback=SavedConfig,
            seed_everything_default=False,
            auto_configure_optimizers=False,
            args=["test", *map(parsing.current_class_paths, arguments)],
        )
    except MisconfigurationException as error:
        message = " ".join(str(error).split())
        raise InputError(f"trainer: {message}{_without_gpu(message)}") from error


def _filter_messages() -> None:
    """Drop what is not for the user: how Lightning is called here, and what it does inside."""
    warnings.filterwarnings("ignore", message=".*args parameter is intended to run from within.*")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()  # advertisements
    )


def _without_gpu(message: str) -> str:
    about_gpu = "gpu" in message.lower() and not torch.cuda.is_available()
    repair = "; add `--trainer.accelerator cpu --trainer.devices 1` on a machine without a GPU"
    return repair if about_gpu else ""
