"""Command lines as a user types them, and the settings that they lead to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from no_time_to_train import config_files

ROOT = Path(__file__).resolve().parents[3]
"""Of this checkout."""
STAGE = "run_lightening.py"
MODEL = "--model.init_args.model_cfg."
DATA = "--model.init_args.dataset_cfgs."
CONFIG_FLAGS = ("--config", "-c")
SETTINGS_PREFIX = "model.init_args."


def in_checkout(name: str) -> str:
    """A file of this checkout, as short as it can be typed from the working directory."""
    return name if Path.cwd() == ROOT else str(ROOT / name)


def python(script: str, *arguments: str | Path | int) -> tuple[str, ...]:
    """The words of a command line that runs a script of this checkout.

    Args:
        script: Below the root of the checkout.
        arguments: For the script.
    """
    interpreter = os.environ.get("PYTHON") or sys.executable
    return interpreter, in_checkout(script), *map(str, arguments)


def flags(values: Mapping[str, str | Path | int]) -> tuple[str, ...]:
    """Each name with its value behind it."""
    return tuple(word for name, value in values.items() for word in (name, str(value)))


def settings_of(words: Sequence[str]) -> dict[str, Any]:
    """Settings by dotted name that a `test` command leads to, without the leading `--`.

    What a config says about the model has no `model.init_args.` in front of it, as in messages.

    Raises:
        InputError: A config cannot be read.
    """
    found: dict[str, Any] = {}
    for flag, value in _flags_with_values(words):
        if flag in CONFIG_FLAGS:
            found |= _settings_in(Path(value).resolve(), value)
        else:
            found[_short(flag.removeprefix("--"))] = value
    return found


@lru_cache(maxsize=64)
def _settings_in(file: Path, given: str) -> dict[str, Any]:
    """Of a settings file; the commands of a sweep all name the same few."""
    return dict(_flattened(config_files.load_config(given), ""))


def _flags_with_values(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--") or word == "-c":
            flag, equals, value = word.partition("=")
            yield flag, value if equals else following


def _flattened(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield _short(f"{prefix}{name}"), value


def _short(name: str) -> str:
    return name.removeprefix(SETTINGS_PREFIX)


def flag_value(words: Sequence[str], flag: str) -> str | None:
    """What a flag is last given, or nothing."""
    values = [value for name, value in _flags_with_values(words) if name == flag]
    return values[-1] if values else None


def config_files_of(words: Sequence[str]) -> list[Path]:
    """The settings files of a `test` command, in order."""
    return [Path(value) for flag, value in _flags_with_values(words) if flag in CONFIG_FLAGS]


def log_folder(words: Sequence[str]) -> Path | None:
    """Where the log of a `test` command goes that names its version; None where that is unsaid."""
    settings = settings_of(words)
    loggers = settings.get("trainer.logger")
    if not isinstance(loggers, list) or len(loggers) != 1 or not isinstance(loggers[0], dict):
        return None
    own = loggers[0].get("init_args") or {}
    parts = [
        settings.get(f"trainer.logger.{name}", own.get(name))
        for name in ("save_dir", "name", "version")
    ]
    return Path(*map(str, parts)) if None not in parts else None
