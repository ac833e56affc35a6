"""The command line: `run_lightening.py test ...`, from arguments to stored results."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from no_time_to_train import termination
from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.commands import parsing
from no_time_to_train.commands.outputs import log_outputs, named_inputs, write_metrics
from no_time_to_train.dataset.image_log import FirstOfEachKind
from no_time_to_train.distributed import end_ranks_together
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.coco import evaluate
from no_time_to_train.files import WRITE_FAILURES
from no_time_to_train.output_checks import prepare_outputs
from no_time_to_train.pl_wrapper.limits import check_limit, limit_of
from no_time_to_train.pl_wrapper.sam2matcher_pl import Sam2MatcherLightningModel
from no_time_to_train.pl_wrapper.saved_config import SavedConfig
from no_time_to_train.pl_wrapper.stages import STAGES, check_flags
from no_time_to_train.pl_wrapper.stages.stage import Command

logger = logging.getLogger(__name__)

ABOUT = "Find and segment every instance of a class from a few annotated reference images."
MODES = "; ".join(
    (
        "fill_memory reads the references",
        "postprocess_memory condenses them into classes",
        "vis_memory draws them",
        "test segments the targets",
    )
)
PARSER_KWARGS: dict[str, Any] = {
    "parser_mode": parsing.PARSER_MODE,
    "description": ABOUT,
    "usage": "run_lightening.py test --config FILE.yaml [--SETTING VALUE ...]",
    "test": {
        "parser_mode": parsing.PARSER_MODE,
        "description": f"Run the stage that --model.test_mode names: {MODES}.",
        "usage": "run_lightening.py test --config FILE.yaml [--SETTING VALUE ...]",
        "epilog": "`--model.help` explains the settings of the method itself; --print_config shows "
        "what a command would use.",
    },
}


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
        optional: Any = int | None
        parser.add_argument(
            "--ckpt_path",
            type=str,
            help="Memory checkpoint of the stage before (postprocess_memory, vis_memory, test).",
        )
        parser.add_argument(
            "--out_path",
            type=str,
            help="Memory checkpoint to write (fill_memory, postprocess_memory).",
        )
        parser.add_argument(
            "--export_result", type=str, help="COCO results list to write, FILE.json (test)."
        )
        parser.add_argument("--n_shot", type=optional, help="Names the results file.")
        parser.add_argument("--seed", type=optional, help="Names the results file.")
        parser.add_argument("--coco_semantic_split", type=optional, help="Names the results file.")

    def _parse_ckpt_path(self) -> None:
        """Leave the command line alone: Lightning would let settings in --ckpt_path override it."""

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        """Describe `test` as it is here: Lightning takes the first line of the trainer's help."""
        super()._add_subcommands(parser, **kwargs)
        assert parser._subcommands_action is not None
        for listed in parser._subcommands_action._choices_actions:
            listed.help = kwargs[listed.dest]["description"]

    def instantiate_classes(self) -> None:
        """Build model and trainer; whatever breaks there over a setting is said in a sentence."""
        try:
            super().instantiate_classes()
        except Exception as error:
            sentence = _sentence(error) or parsing.explain_failure(error, self.config.test.trainer)
            raise InputError(sentence) from error

    def before_instantiate_classes(self) -> None:
        """Check the flags, before anything is read or built."""
        self.started = time.monotonic()
        settings = self.config.test
        parsing.check_trainer(settings.trainer)
        check_flags(settings)
        prepare_outputs(self._named_outputs(), named_inputs(settings))

    def _named_outputs(self) -> dict[str, Path]:
        settings = self.config.test
        return STAGES[settings.model.init_args.test_mode].outputs(settings)

    def after_instantiate_classes(self) -> None:
        """Check the outputs again, now that the images and the log folder are known."""
        stage = self.model.stage
        outputs: dict[str, Any] = self._named_outputs() | log_outputs(self.trainer)
        inputs: dict[str, Any] = named_inputs(self.config.test)
        outputs["the picture"], inputs["the image"] = (
            stage.visualization_paths(),
            stage.image_paths(),
        )
        prepare_outputs(outputs, inputs)

    def before_test(self) -> None:
        """Load the memory."""
        end_ranks_together(self.trainer)
        check_limit(self.trainer, self.model.stage, self.model.data_load_cfgs.batch_size)
        self.model.stage.load(Path(self.config.test.ckpt_path or ""))
        self.ready = time.monotonic()

    def after_test(self) -> None:
        """Store what the stage has left."""
        self.finished = time.monotonic()
        self.log_dir = self.trainer.log_dir  # asks all ranks
        self.model.stage.store(Command(self.config.test, limit_of(self.trainer), self._measure))

    def _measure(
        self,
        annotations: CocoAnnotations,
        category_ids: Sequence[int],
        records: Sequence[CocoRecord],
    ) -> None:
        evaluation = evaluate(annotations, category_ids, records)
        logger.info("%s", evaluation.text)
        if not self.log_dir:
            return
        path = Path(self.log_dir) / "metrics.json"
        write_metrics(
            path,
            config=self.config_dump,
            seconds={
                "prepare": self.ready - self.started,
                "segment": self.finished - self.ready,
                "evaluate": time.monotonic() - self.finished,
            },
            images=len(annotations.images),
            images_of_data_set=self.model.stage.samples,
            limited_by=limit_of(self.trainer),
            evaluation=evaluation,
        )
        logger.info("Metrics written to %s", path)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: As typed after the program's name; by default, those of this process.
    """
    # Trained attention leaves shares near 1e-40, with which a CPU multiplies far more slowly.
    torch.set_flush_denormal(True)
    _speak()
    parsing.register()
    try:
        NoTimeToTrainCLI(
            Sam2MatcherLightningModel,
            subclass_mode_model=True,
            parser_class=parsing.OneLineParser,
            parser_kwargs=PARSER_KWARGS,
            save_config_callback=SavedConfig,
            seed_everything_default=False,
            auto_configure_optimizers=False,
            args=[parsing.current_class_paths(each) for each in arguments or sys.argv[1:]],
        )
    except Exception as error:
        termination.await_failed_rank()
        sentence = _sentence(error)
        if sentence is None:
            raise
        _leave(sentence)


def _speak() -> None:
    """Send this project's messages to stdout; ranks above 0 only warn."""
    ours = logging.getLogger("no_time_to_train")
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(FirstOfEachKind())
    ours.handlers = [handler]
    first = int(os.environ.get("LOCAL_RANK", 0)) == 0
    ours.setLevel(logging.INFO if first else logging.WARNING)
    # Not for the user: how this module calls Lightning, and what Lightning does inside.
    warnings.filterwarnings("ignore", message=".*args parameter is intended to run from within.*")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()  # advertisements
    )


def _sentence(error: BaseException | None) -> str | None:
    """What an InputError says, also where jsonargparse or a worker process has wrapped it."""
    if isinstance(error, MisconfigurationException):
        return f"trainer: {' '.join(str(error).split())}{_without_gpu(error)}"
    while error is not None:
        if isinstance(error, InputError):
            # torch re-raises a worker's error with the traceback as text in front of the sentence.
            return " ".join(str(error).rpartition("InputError: ")[2].split())
        if isinstance(error, OSError) and error.errno in WRITE_FAILURES:
            what = error.filename or "a file of this run"
            return f"{what} cannot be written ({error.strerror}); make room or choose another place"
        error = error.__cause__ or error.__context__
    return None


def _without_gpu(error: MisconfigurationException) -> str:
    about_gpu = "gpu" in str(error).lower() and not torch.cuda.is_available()
    repair = "; add `--trainer.accelerator cpu --trainer.devices 1` on a machine without a GPU"
    return repair if about_gpu else ""


def _leave(sentence: str) -> NoReturn:
    with termination.signals_deferred():  # waits for ever where a signal has the last word
        sys.stderr.write(f"error: {sentence}\n")
    sys.exit(2)
