"""How arguments are read: published class paths, lists of names, errors of one line."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, ClassVar, NoReturn, get_type_hints

import yaml
from jsonargparse import Namespace, get_loader, set_loader, set_parsing_settings
from jsonargparse.typing import register_type
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from no_time_to_train import config_files
from no_time_to_train.config import (
    ClassNames,
    DataLoadConfig,
    DatasetsConfig,
    ModelConfig,
    read_class_names,
)
from no_time_to_train.errors import InputError

PARSER_MODE = "published_yaml"
FLAGS = ("config", "ckpt_path", "out_path", "export_result", "n_shot", "seed", "test_mode")
MAX_DEVICES = 1024
"""Each is a process of its own."""
LONGEST_WORD = 200
"""Characters without a space that an error message repeats."""

REWRITES = (  # of what jsonargparse says, into what a person would say
    (r"Expected an? <class '([\w.]+)'>\. Got value: ", r"expected \1, got "),
    (r"Expected a typing\.Literal\[(.*?)\]\. Got value: ", r"expected one of \1, got "),
    (r"Expected a member of <enum '\w+'>: \{(.*?)\}\. Got value: ", r"expected one of \1, got "),
    (r"^(?:Group|Subcommand) '.*?' does not accept option '(.*)'$", r"there is no setting \1"),
    (r"^Option '(.*)' is not accepted$", r"there is no setting \1"),
    (r"^unrecognized arguments: --([^\s=]+).*$", r"there is no setting \1"),
    (r"^unrecognized arguments: (\S+).*$", r"'\1' belongs to no setting; is there a stray space?"),
    (r"^Not of type ClassNames: ", ""),
    (r"^Unexpected config:$", "--config needs the name of a YAML file, got an empty one"),
    (r"^Unexpected config: (.*)$", r"expected settings by name, such as `trainer:`, got \1"),
    (
        r"Expected a dot import path string: (.*)\. Got value: .*$",
        r"expected the name of a class such as package.Class, got \1",
    ),
    (r"^Problems parsing config: ", ""),
    (r"Exceeds the limit \(\d+ digits\).*$", "a number of thousands of digits is too long"),
    (r"^ambiguous option: --(\S+) could match.*$", r"there is no setting \1"),
    (r"^Parser key \"(.*?)\": ", r"\1: "),
    (r"^.*are required: test\.model$", "no --config was given; add one of configs/*.yaml"),
    (r"^.*\bsubcommand\b.*$", "the command is `test`: run_lightening.py test --config FILE.yaml"),
)


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


class OneLineParser(LightningArgumentParser):
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
        """Read settings; an empty file changes none."""
        empty = self.file is not None and config_files.safe_load(content) is None
        config: Namespace = super().parse_string("{}" if empty else content, *args, **kwargs)
        return config

    def parse_args(self, *args: Any, **kwargs: Any) -> Namespace:  # type: ignore[override]
        """Read arguments; whatever breaks in a library over one of them is said in a sentence."""
        self.texts.clear()
        try:
            return super().parse_args(*args, **kwargs)
        except Exception as error:
            if isinstance(error, InputError) or not self.exit_on_error:
                raise
            raise InputError(f"the settings cannot be read: {_described(error)}") from error

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the sentence and leave with exit code 2."""
        if not self.exit_on_error:  # a parser inside the parser: the outer one speaks
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


def explain(message: str) -> str:
    """Put an error message of jsonargparse into one sentence.

    Args:
        message: Often a tree: a key, the types that it may have, and why it is none of them.
    """
    place, cause = "", textwrap.dedent(message).strip()
    while True:
        head, _, rest = cause.partition("\n")
        if key := re.fullmatch(r"Parser key \"(.*)\":", head):
            place, cause = key[1], rest
        elif path := re.fullmatch(r"Problem with given class_path '(.*)':", head):
            place, cause = path[1].rsplit(".", 1)[-1], rest
        elif head.startswith("- Expected a path but"):
            cause = rest.removeprefix("- ")  # what is wrong with it as no path says more
        elif head.startswith("Does not validate against any of the Union subtypes"):
            cause = _likeliest(rest)
        else:
            break
        cause = textwrap.dedent(cause).strip()
    sentence = " ".join(cause.split())
    for pattern, replacement in REWRITES:
        sentence = re.sub(pattern, replacement, sentence)
    if missing := re.fullmatch(r"there is no setting (\S+)", sentence):
        return _shortened(sentence) + _suggestion(missing[1])
    return _shortened(f"{place}: {sentence}" if place else sentence)


def _shortened(sentence: str) -> str:
    """The sentence without the better part of very long words."""
    return re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: f"{word[0][:40]}...", sentence)


def check_trainer(trainer: Namespace) -> None:
    """Refuse what the trainer would take without a word, and drop the bar that nobody wants.

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
            shown = _shortened(digits[1])
            raise InputError(f"trainer.{name} must be {MAX_DEVICES} or less, got {shown}")
    if trainer.enable_progress_bar is False and trainer.callbacks:
        callbacks = (
            trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
        )
        trainer.callbacks = [each for each in callbacks if not _is_progress_bar(each)]


def _is_progress_bar(callback: Any) -> bool:
    return str(callback.get("class_path", "")).endswith("ProgressBar")


def explain_failure(error: Exception, trainer: Namespace) -> str:
    """What went wrong as trainer and model were built, with the trainer's settings it speaks of."""
    reason = _described(error)
    named = [name for name in vars(trainer) if re.search(rf"\b{name}\b", reason)]
    values = [f"trainer.{name} is {trainer[name]!r}" for name in named if trainer[name] is not None]
    shown = f" ({_shortened(', '.join(values))})" if values else ""
    return f"trainer and model cannot be built: {reason}{shown}; change or leave out that setting"


def _described(error: Exception) -> str:
    """The message of an exception on one line; its kind, where it has none."""
    return explain(str(error)).rstrip(".") or type(error).__name__


def _likeliest(reasons: str) -> str:
    """Of the reasons why a value has none of several types, the most telling one."""
    listed = re.split(r"^ {1,2}- ", reasons.partition("Errors:\n")[2], flags=re.MULTILINE)[1:]
    value = re.search(r"^Given value: (.*)", reasons, flags=re.MULTILINE)
    about = [reason for reason in listed if "NoneType" not in reason] or listed
    # A class that was found but not its argument says more than "not a valid subclass".
    about.sort(key=lambda reason: "given class_path" not in reason)
    if not about:
        return reasons
    cause = about[0].partition("\nGiven value")[0]
    if value and re.fullmatch(r"Expected a \S.*", cause.strip()) and "Got value" not in cause:
        return f"{cause.strip()}. Got value: {value[1]}"
    # Lines after the first carry the indentation of the bullet.
    first, _, rest = cause.partition("\n")
    return f"{first}\n{textwrap.dedent(rest)}"


def _suggestion(key: str) -> str:
    """The settings whose last word is nearest to that of a key that does not exist."""
    known = list(known_settings())
    last_words = {name.rsplit(".", 1)[-1] for name in known}
    nearest = difflib.get_close_matches(key.rsplit(".", 1)[-1], last_words, n=1)
    if not nearest:
        return "; `--print_config` lists those that exist"
    full = [name for name in known if name.rsplit(".", 1)[-1] == nearest[0]]
    best = difflib.get_close_matches(key, full, n=1, cutoff=0)
    return f"; did you mean {best[0]}?"


def known_settings() -> Iterator[str]:
    """Every setting of this project, and every argument of the trainer, as dotted keys."""
    yield from FLAGS
    yield from (f"trainer.{name}" for name in inspect.signature(Trainer).parameters)
    for name, config in (
        ("model_cfg", ModelConfig),
        ("dataset_cfgs", DatasetsConfig),
        ("data_load_cfgs", DataLoadConfig),
    ):
        yield from _leaves(name, config)


def _leaves(prefix: str, config: type) -> Iterator[str]:
    for name, kind in get_type_hints(config).items():
        if dataclasses.is_dataclass(kind):
            yield from _leaves(f"{prefix}.{name}", kind)  # type: ignore[arg-type]
        else:
            yield f"{prefix}.{name}"
