"""`check`: looks at what a `test` with the same arguments will read, write and take; a second."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from no_time_to_train.commands import early_checks, parsing
from no_time_to_train.commands.checking.data import (
    check_data,
    check_input_size,
    tell_classes,
)
from no_time_to_train.commands.checking.duration import tell_duration
from no_time_to_train.commands.checking.findings import Findings, Setup, size_of
from no_time_to_train.commands.checking.memory import check_memory
from no_time_to_train.commands.checking.space import check_outputs
from no_time_to_train.commands.checking.trainer import (
    check_limit,
    check_trainer_settings,
    tell_unfinished,
    trainer_settings,
)
from no_time_to_train.commands.checking.weights import check_weights, published_encoder
from no_time_to_train.commands.command_parser import CommandParser
from no_time_to_train.commands.input_checks import input_checks
from no_time_to_train.commands.outputs import named_inputs
from no_time_to_train.config import dinov2_side
from no_time_to_train.errors import InputError
from no_time_to_train.pl_wrapper.run_identity import FILES_OF
from no_time_to_train.pl_wrapper.stages import STAGES, check_flags

logger = logging.getLogger(__name__)

LABEL_WIDTH = 14


def main(arguments: list[str]) -> None:
    """Look at a set-up, and exit with 0 if it can run, with 2 and all that is wrong if not.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: The settings cannot be read.
    """
    parser = CommandParser("check", epilog="All other arguments are those of `test`.")
    parser.add_argument(
        "--costs",
        type=Path,
        metavar="FILE.json",
        help="What parts of a run cost, as `scripts/benchmark.py --plan --out FILE.json` has "
        "measured it; by default the last run in the log folder.",
    )
    options, rest = parser.parse_known_args(arguments)
    parsing.register()
    findings = Findings()
    setup = _read_setup(rest, findings)
    if setup is not None:
        _check(setup, findings, options.costs)
    _conclude(findings)


def _read_setup(arguments: Sequence[str], findings: Findings) -> Setup | None:
    parser = early_checks.build_parser(with_names=False)
    try:
        config = parser.parse_args(["test", *early_checks.own_arguments(list(arguments))])
        settings = config.test
        parsing.apply_flags(settings)
        with findings.attempt():
            check_flags(settings)
        with findings.attempt():
            model = early_checks.build_model(parser, config)
            trainer = trainer_settings(arguments)
            return Setup(
                settings,
                model.test_mode,
                model.model_cfg,
                model.dataset_cfgs,
                model.data_load_cfgs,
                trainer,
            )
    except parsing.LeftToLightning:
        raise InputError(
            f"model.class_path names another class than {early_checks.PUBLISHED_CLASS}, the only "
            "one that check knows; leave it out, or run the command itself"
        ) from None
    return None


def _check(setup: Setup, findings: Findings, costs: Path | None) -> None:
    findings.tell("stage", setup.mode.value)
    _tell_inputs(setup, findings)
    findings.attempt_each(
        input_checks(setup.mode, setup.model, setup.datasets, setup.settings.ckpt_path)
    )
    check_trainer_settings(setup, findings)
    check_weights(setup, findings)
    _check_networks(setup, findings)
    data = check_data(setup, findings)
    check_limit(setup, findings, data.samples)
    memory = check_memory(setup, findings, data.class_names)
    tell_classes(setup, findings, data, memory)
    check_outputs(setup, findings, data, memory)
    tell_unfinished(setup, findings)
    tell_duration(setup, findings, data, costs)


def _tell_inputs(setup: Setup, findings: Findings) -> None:
    row, named = STAGES[setup.mode], named_inputs(setup.settings)
    read = ["--config", *(name for part in row.reads for name in FILES_OF[part])]
    read += ["--ckpt_path"] if "ckpt_path" in row.needs else []
    for name in (name for name in read if name in named):
        paths = named[name]
        for path in [paths] if isinstance(paths, Path) else paths:
            findings.tell("reads", f"{name} {path} ({size_of(path)})")


def _check_networks(setup: Setup, findings: Findings) -> None:
    """Compare the encoder's sizes with the settings; of other packages' networks PyTorch tells."""
    encoder, reads = setup.model.encoder_cfg, STAGES[setup.mode].reads
    preset = published_encoder(encoder.name)
    if preset and setup.model.proposer_cfg.name == "point_grid":
        if "encoder" in reads:
            with findings.attempt():
                encoder.check_sizes(preset.patch_size, dinov2_side(encoder))
            check_input_size(setup, findings, dinov2_side(encoder))
        return
    from no_time_to_train.commands.checking.networks import check_other_networks  # takes seconds

    check_other_networks(setup, findings)


def _conclude(findings: Findings) -> None:
    before = None
    for about, text in findings.lines:
        label = "" if about == before else about
        logger.info("%-*s%s", LABEL_WIDTH, label, text)
        before = about
    if not findings.problems:
        logger.info("This run can start; what is in the images and the weights it sees itself.")
        return
    for problem in findings.problems:
        sys.stderr.write(f"error: {problem}\n")
    sys.exit(2)
