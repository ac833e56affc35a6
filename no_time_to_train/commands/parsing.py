"""How arguments are read: published class paths, lists of names, errors of one line."""

from __future__ import annotations

import re
import sys
from typing import Any, ClassVar, NoReturn

import yaml
from jsonargparse import (
    ArgumentParser,
    Namespace,
    get_loader,
    set_loader,
    set_parsing_settings,
)
from jsonargparse.typing import register_type

from no_time_to_train import config_files, setting_paths
from no_time_to_train.commands import ABOUT, COMMANDS, USAGE
from no_time_to_train.commands.messages import describe, explain, shortened
from no_time_to_train.config import ClassNames, OnBadImage, read_class_names
from no_time_to_train.errors import InputError

PARSER_MODE = "published_yaml"
PARSER_KWARGS: dict[str, Any] = {
    "parser_mode": PARSER_MODE,
    "description": ABOUT,
    "usage": USAGE,
    "test": {
        "parser_mode": PARSER_MODE,
        "description": COMMANDS["test"].summary,
        "usage": USAGE,
        "epilog": "`--model.help` explains the settings of the method itself; --print_config shows "
        "what a command would use.",
    },
}
MAX_DEVICES = 1024
"""Each is a process of its own."""


def current_class_paths(text: str) -> str:
    """Rename the package that published configs take callbacks and loggers from."""
    return re.sub(r"\bpytorch_lightning\.", "lightning.pytorch.", text)


def register() -> None:
    """Teach jsonargparse what this project's YAML and types look like."""
    load_yaml = get_loader("yaml")

    def load(text: str) -> Any:
        config_files.check_yaml(text)
        try:
            return load_yaml(current_class_paths(text))
        except ValueError as error:  # a number of too many digits
            raise yaml.YAMLError(str(error)) from None

    set_loader(PARSER_MODE, load, exceptions=(yaml.YAMLError,))
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    register_type(
        ClassNames, serializer=list, deserializer=read_class_names, fail_already_registered=False
    )


def add_flags(parser: ArgumentParser) -> None:
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
        "--export_result",
        type=str,
        help="COCO results list to write, FILE.json, or a table of instances, FILE.csv (test).",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="Write report.html, a page about the run, into its log folder (test).",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="Go on where a run of the same inputs was ended, with any number of devices; without "
        "one, begin anew (fill_memory, test; the others take seconds and always begin anew).",
    )
    for name in ("n_shot", "seed", "coco_semantic_split"):
        parser.add_argument(f"--{name}", type=optional, help="Names the results file.")
    on_bad_image: Any = OnBadImage | None
    parser.add_argument(
        "--on_bad_image",
        type=on_bad_image,
        help="Short for dataset_cfgs.test.on_bad_image (test); a bad reference always ends a run.",
    )


def apply_flags(settings: Namespace) -> None:
    """Put the flags that are short for a setting in its place.

    Args:
        settings: Of a command, as parsed; changed.
    """
    if settings.on_bad_image:
        settings.model.init_args.dataset_cfgs.test.on_bad_image = settings.on_bad_image


class LeftToLightning(Exception):
    """Only Lightning's own parser can judge these settings."""


class OneLineParser(ArgumentParser):
    """An argument parser whose errors are one sentence, with the nearest setting that exists."""

    file: str | None = None
    """The settings file that is being read."""
    texts: ClassVar[dict[str, str]] = {}
    """Of the settings files read so far, by name; parsers inside the parser share them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Also for the parsers inside, of the model's settings: abbreviations hide typing errors.
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_path(self, path: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Read a settings file, whose name stands in what is said about it."""
        self.file = str(path)
        self.texts[self.file] = config_files.read_config(path)
        try:
            config: Namespace = super().parse_path(path, *args, **kwargs)
            return config
        finally:
            self.file = None

    def parse_string(self, content: str, *args: Any, **kwargs: Any) -> Namespace:
        """Read settings; an empty file changes none, and paths may stand beside their file."""
        if self.file is not None:
            content = self.texts[self.file]
        empty = self.file is not None and config_files.safe_load(content) is None
        config: Namespace = super().parse_string("{}" if empty else content, *args, **kwargs)
        return config

    def parse_args(self, *args: Any, **kwargs: Any) -> Namespace:  # type: ignore[override]
        """Read arguments; whatever breaks in a library over one of them is said in a sentence."""
        self.texts.clear()
        setting_paths.forget_places()
        try:
            return super().parse_args(*args, **kwargs)
        except Exception as error:
            if isinstance(error, InputError | LeftToLightning) or not self.exit_on_error:
                raise
            raise InputError(f"the settings cannot be read: {describe(error)}") from error

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the sentence and leave with exit code 2."""
        if not self.exit_on_error:  # a parser inside the parser: the outer one reports it
            super().error(message, ex)
        sentence = explain(message)
        file = self.file or self._file_with_wrong_key(sentence)
        sys.stderr.write(f"error: {file}: {sentence}\n" if file else f"error: {sentence}\n")
        sys.exit(2)

    def _file_with_wrong_key(self, sentence: str) -> str | None:
        """Where a setting stands that does not exist: jsonargparse looks for those last."""
        missing = re.match(r"there is no setting (?:\S+\.)?([^\s.;]+)", sentence)
        key = rf"""(?m)^[\s-]*["']?{re.escape(missing[1])}["']?\s*:""" if missing else "$^"
        return next((file for file, text in self.texts.items() if re.search(key, text)), None)


def check_trainer(trainer: Namespace) -> None:
    """Refuse what the trainer would take without a word, and drop a bar that is switched off.

    Args:
        trainer: Its settings; `enable_progress_bar: false` takes the bars out of its callbacks,
            which published configs name.

    Raises:
        InputError: A precision beside that of the networks, or more devices than there can be.
    """
    if str(trainer.precision) not in ("None", "32", "32-true"):
        raise InputError(
            f"trainer.precision is {trainer.precision}, which would change results beside "
            "model_cfg.compute_cfg.precision; set that one, and leave the trainer's at 32"
        )
    for name in ("devices", "num_nodes"):
        digits = re.fullmatch(r"\s*0*(\d+)\s*", str(trainer[name]))
        if digits and (len(digits[1]) > 9 or int(digits[1]) > MAX_DEVICES):
            shown = shortened(digits[1])
            raise InputError(f"trainer.{name} must be {MAX_DEVICES} or less, got {shown}")
    if trainer.enable_progress_bar is False and trainer.callbacks:
        callbacks = (
            trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
        )
        trainer.callbacks = [each for each in callbacks if not _is_progress_bar(each)]


def _is_progress_bar(callback: Any) -> bool:
    return str(callback.get("class_path", "")).endswith("ProgressBar")
