"""Arguments of `test`, checked in a second, before PyTorch and Lightning are imported.

The settings of the method, the flags and the files that they name are parsed and checked here by
the rules that hold later too. What belongs to Lightning, such as `trainer`, is left to its own
parser, which reads all of the arguments again.
"""

from __future__ import annotations

import os
import re
from argparse import SUPPRESS
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import Namespace, get_loader, set_loader

from no_time_to_train.commands import user_message
from no_time_to_train.commands.input_checks import input_checks
from no_time_to_train.commands.messages import own_settings, trainer_arguments
from no_time_to_train.commands.outputs import named_inputs
from no_time_to_train.commands.parsing import (
    PARSER_KWARGS,
    PARSER_MODE,
    LeftToLightning,
    OneLineParser,
    add_flags,
    apply_flags,
    current_class_paths,
)
from no_time_to_train.config import DataLoadConfig, DatasetsConfig, ModelConfig, TestMode
from no_time_to_train.errors import InputError
from no_time_to_train.output_checks import prepare_outputs
from no_time_to_train.pl_wrapper.stages import STAGES, check_flags

OWN_PARSER_MODE = "published_yaml_without_trainer"
PUBLISHED_CLASS = "no_time_to_train.pl_wrapper.sam2matcher_pl.Sam2MatcherLightningModel"
CLASS_READ_HERE = f"{__name__}.Sam2MatcherLightningModel"
TRAINER_FLAG = re.compile(r"--trainer(?![^.=+])")
SETTINGS_FLAG = re.compile(r"--(model|trainer)\b")
"""Of flags whose value may name a file of settings."""
PRINT_FLAG = re.compile(r"--print_config(=|$)")
LIGHTNING_HELP = re.compile(r"--trainer\..*\.help\b")
DEFAULT_LOADING = DataLoadConfig()


class Sam2MatcherLightningModel:
    """Fills, condenses, shows or uses a reference memory, as the test mode says.

    Here its settings alone, under the name that errors and help texts know.
    """

    def __init__(
        self,
        model_cfg: ModelConfig,
        dataset_cfgs: DatasetsConfig,
        data_load_cfgs: DataLoadConfig = DEFAULT_LOADING,
        test_mode: TestMode = TestMode.test,
    ) -> None:
        """Keep what the checks of files need.

        Args:
            model_cfg: Networks, memory, and what to do with masks.
            dataset_cfgs: References and targets.
            data_load_cfgs: How images are read.
            test_mode: The stage to run.
        """
        self.model_cfg, self.dataset_cfgs, self.test_mode = model_cfg, dataset_cfgs, test_mode
        self.data_load_cfgs = data_load_cfgs


class SettingsParser(OneLineParser):
    """Knows the settings of this project alone."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the sentence and leave, unless it is about another class of models."""
        named = re.search(r"Problem with given class_path '(.*)'|Import path (.*) does", message)
        if named and CLASS_READ_HERE not in named.groups():
            raise LeftToLightning
        super().error(message, ex)


def check(arguments: list[str]) -> None:
    """Refuse what can be seen to be wrong; with --help, print it and leave.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: A setting, a flag, or a file that one of them names cannot work.
    """
    if any(LIGHTNING_HELP.match(each) for each in arguments):
        return
    _refuse_pipes(arguments)
    parser = build_parser(with_names={"-h", "--help"}.intersection(arguments) != set())
    try:
        config = parser.parse_args(["test", *own_arguments(arguments)])
        if not any(PRINT_FLAG.match(each) for each in arguments):
            _check_settings(parser, config)
    except LeftToLightning:
        return


def _refuse_pipes(arguments: list[str]) -> None:
    """Refuse a named pipe where a file of settings may be named: reading it never ends."""
    for flag, value in pairwise([*arguments, ""]):
        name, equals, given = flag.partition("=")
        path = given if equals else value
        if SETTINGS_FLAG.match(name) and os.path.exists(path) and Path(path).is_fifo():
            raise InputError(f"{name} {path} is a named pipe; give settings or the name of a file")


def _check_settings(parser: SettingsParser, config: Namespace) -> None:
    settings = config.test
    apply_flags(settings)
    check_flags(settings)
    outputs = STAGES[settings.model.init_args.test_mode].outputs(settings)
    prepare_outputs(outputs, named_inputs(settings))
    model = build_model(parser, config)
    for check in input_checks(
        model.test_mode, model.model_cfg, model.dataset_cfgs, settings.ckpt_path
    ):
        check()


def build_model(parser: SettingsParser, config: Namespace) -> Sam2MatcherLightningModel:
    """The settings of the method as dataclasses.

    Raises:
        InputError: They contradict each other.
        LeftToLightning: They are about something else.
    """
    try:
        model: Sam2MatcherLightningModel = parser.instantiate(config).test.model
    except Exception as error:
        if user_message(error) is None:
            raise LeftToLightning from error
        raise
    return model


def own_arguments(arguments: list[str]) -> list[str]:
    """The arguments that are neither for the trainer nor for printing, with the class read here."""
    kept = []
    for each, before in zip(arguments, ["", *arguments], strict=False):
        follows_flag = TRAINER_FLAG.match(before) and "=" not in before
        is_value = follows_flag and not each.startswith("--")
        if not (is_value or TRAINER_FLAG.match(each) or PRINT_FLAG.match(each)):
            kept.append(_class_read_here(each))
    return kept


def _class_read_here(text: str) -> str:
    return re.sub(rf"\b{re.escape(PUBLISHED_CLASS)}\b", CLASS_READ_HERE, current_class_paths(text))


def _load(text: str) -> Any:
    """Settings in YAML, without those of the trainer."""
    settings = get_loader(PARSER_MODE)(_class_read_here(text))
    if isinstance(settings, dict):
        settings.pop("trainer", None)
    return settings


def build_parser(with_names: bool) -> SettingsParser:
    """Takes the arguments of `test`.

    Args:
        with_names: Whether its help lists settings, for which the trainer's source is read.
    """
    set_loader(OWN_PARSER_MODE, _load, exceptions=(yaml.YAMLError,))
    kwargs = {**PARSER_KWARGS, "parser_mode": OWN_PARSER_MODE}
    test = SettingsParser(**kwargs.pop("test") | {"parser_mode": OWN_PARSER_MODE})
    test.add_argument(
        "-c", "--config", action="config", help="YAML file of settings; later ones win."
    )
    boolean_or_number: Any = bool | int
    test.add_argument("--seed_everything", type=boolean_or_number, default=False)
    add_flags(test)
    test.add_subclass_arguments(
        Sam2MatcherLightningModel, "model", fail_untyped=False, required=True, help=SUPPRESS
    )
    if with_names:
        _list_settings(test)
    parser = SettingsParser(**kwargs)
    parser.add_subcommands().add_subcommand("test", test)
    return parser


def _list_settings(parser: SettingsParser) -> None:
    parser.add_argument_group(
        "settings of the method",
        "--model.init_args.NAME VALUE, or in a YAML file; `--model.help` explains them: "
        + ", ".join(own_settings()),
    )
    parser.add_argument_group(
        "settings of Lightning's Trainer",
        "--trainer.NAME VALUE, or in a YAML file; `--config FILE.yaml --print_config=comments` "
        "explains them after some seconds: " + ", ".join(trainer_arguments()),
    )
