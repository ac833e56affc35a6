"""What jsonargparse says about settings, in one sentence with the nearest setting that exists."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import re
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, get_type_hints

from no_time_to_train.config import DataLoadConfig, DatasetsConfig, ModelConfig

if TYPE_CHECKING:
    from jsonargparse import Namespace

FLAGS = (
    "config",
    "ckpt_path",
    "out_path",
    "export_result",
    "report",
    "resume",
    "n_shot",
    "seed",
    "test_mode",
    "on_bad_image",
)
MAX_WORD_LENGTH = 200
"""Characters without a space that an error message repeats."""

REWRITES = (  # of what jsonargparse says, into plain words
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
)


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
        return shortened(sentence) + _suggestion(missing[1])
    return shortened(f"{place}: {sentence}" if place else sentence)


def shortened(sentence: str) -> str:
    """The sentence without the better part of very long words."""
    return re.sub(rf"\S{{{MAX_WORD_LENGTH},}}", lambda word: f"{word[0][:40]}...", sentence)


def explain_failure(error: Exception, trainer: Namespace) -> str:
    """What went wrong as trainer and model were built, with the trainer's settings in it."""
    reason = describe(error)
    named = [name for name in vars(trainer) if re.search(rf"\b{name}\b", reason)]
    values = [f"trainer.{name} is {trainer[name]!r}" for name in named if trainer[name] is not None]
    shown = f" ({shortened(', '.join(values))})" if values else ""
    return f"trainer and model cannot be built: {reason}{shown}; change or leave out that setting"


def describe(error: Exception) -> str:
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
    yield from (f"trainer.{name}" for name in trainer_arguments())
    yield from own_settings()


def own_settings() -> Iterator[str]:
    """Every setting of the method, as dotted keys."""
    for name, config in (
        ("model_cfg", ModelConfig),
        ("dataset_cfgs", DatasetsConfig),
        ("data_load_cfgs", DataLoadConfig),
    ):
        yield from _leaves(name, config)


def trainer_arguments() -> list[str]:
    """The arguments of Lightning's Trainer, read from its source: importing it takes seconds."""
    package = find_spec("lightning")
    assert package is not None and package.origin is not None
    source = Path(package.origin).parent / "pytorch" / "trainer" / "trainer.py"
    module = ast.parse(source.read_text(encoding="utf-8"))
    trainer = next(node for node in module.body if getattr(node, "name", None) == "Trainer")
    init = next(node for node in ast.walk(trainer) if getattr(node, "name", None) == "__init__")
    assert isinstance(init, ast.FunctionDef)
    return [argument.arg for argument in init.args.args + init.args.kwonlyargs][1:]


def _leaves(prefix: str, config: type) -> Iterator[str]:
    for name, kind in get_type_hints(config).items():
        if dataclasses.is_dataclass(kind):
            yield from _leaves(f"{prefix}.{name}", kind)  # type: ignore[arg-type]
        else:
            yield f"{prefix}.{name}"
