"""How arguments are read: published class paths, lists of names, errors of one line."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, NoReturn, get_type_hints

import yaml
from jsonargparse import get_loader, set_loader, set_parsing_settings
from jsonargparse.typing import register_type
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from no_time_to_train.config import ClassNames, DataLoadConfig, DatasetsConfig, ModelConfig

PARSER_MODE = "published_yaml"
FLAGS = ("config", "ckpt_path", "out_path", "export_result", "n_shot", "seed", "test_mode")

REWRITES = (  # of what jsonargparse says, into what a person would say
    (r"Expected an? <class '([\w.]+)'>\. Got value: ", r"expected \1, got "),
    (r"Expected a typing\.Literal\[(.*?)\]\. Got value: ", r"expected one of \1, got "),
    (r"Expected a member of <enum '\w+'>: \{(.*?)\}\. Got value: ", r"expected one of \1, got "),
    (r"^(?:Group|Subcommand) '.*?' does not accept option '(.*)'$", r"there is no setting \1"),
    (r"^Option '(.*)' is not accepted$", r"there is no setting \1"),
    (r"^unrecognized arguments: --([^\s=]+).*$", r"there is no setting \1"),
    (r"^unrecognized arguments: (\S+).*$", r"'\1' belongs to no setting; is there a stray space?"),
    (r"^Not of type ClassNames: ", ""),
    (r"^Parser key \"(.*)\": ", r"\1: "),
    (r"^.*are required: test\.model$", "no --config was given; add one of configs/*.yaml"),
    (r"^.*\bsubcommand\b.*$", "the command is `test`: run_lightening.py test --config FILE.yaml"),
)


def current_class_paths(text: str) -> str:
    """Rename the package that published configs take callbacks and loggers from."""
    return re.sub(r"\bpytorch_lightning\.", "lightning.pytorch.", text)


def read_class_names(value: Any) -> ClassNames:
    """Class names from `boat,bird` or from a YAML list.

    Raises:
        ValueError: An entry is no text; YAML reads a bare `no` or `yes` as a truth value.
    """
    names = value.split(",") if isinstance(value, str) else list(value)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise ValueError(f"class name {wrong[0]!r} is not text; quote it in the YAML file")
    stripped = [name.strip() for name in names]
    if not all(stripped):
        raise ValueError(f"there is an empty class name in {value!r}; write them as boat,bird")
    return ClassNames(stripped)


def register() -> None:
    """Teach jsonargparse what this project's YAML and types look like."""
    load_yaml = get_loader("yaml")
    set_loader(
        PARSER_MODE,
        lambda text: load_yaml(current_class_paths(text)),
        exceptions=(yaml.YAMLError,),
    )
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    register_type(
        ClassNames, serializer=list, deserializer=read_class_names, fail_already_registered=False
    )


class OneLineParser(LightningArgumentParser):
    """An argument parser whose errors are one sentence, with the nearest setting that exists."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the sentence and leave with exit code 2."""
        if not self.exit_on_error:  # a parser inside the parser: the outer one speaks
            super().error(message, ex)
        sys.stderr.write(f"error: {explain(message)}\n")
        sys.exit(2)


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
        elif head.startswith("Does not validate against any of the Union subtypes"):
            cause = _likeliest(rest)
        else:
            break
        cause = textwrap.dedent(cause).strip()
    sentence = " ".join(cause.split())
    for pattern, replacement in REWRITES:
        sentence = re.sub(pattern, replacement, sentence)
    if missing := re.fullmatch(r"there is no setting (\S+)", sentence):
        return sentence + _suggestion(missing[1])
    return f"{place}: {sentence}" if place else sentence


def _likeliest(reasons: str) -> str:
    """Of the reasons why a value has none of several types, the most telling one."""
    listed = re.split(r"^  - ", reasons.partition("Errors:\n")[2], flags=re.MULTILINE)[1:]
    value = re.search(r"^Given value: (.*)", reasons, flags=re.MULTILINE)
    about = [reason for reason in listed if "NoneType" not in reason] or listed
    # A class that was found but not its argument says more than "not a valid subclass".
    about.sort(key=lambda reason: "given class_path" not in reason)
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
