"""What people hand to the Python API, checked: names, paths, ids, devices, configuration files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser

from no_time_to_train.config import ModelConfig
from no_time_to_train.config_files import load_config
from no_time_to_train.errors import InputError


def check_name(name: Any) -> str:
    """The name of a class, without spaces around it.

    Raises:
        InputError: It is no text, empty, or cannot be stored.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"name is {_short(name)}; give the class a name, such as 'bird'")
    if any(0xD800 <= ord(letter) < 0xE000 for letter in name):
        raise InputError(f"name is {_short(name)}, which is no Unicode text; give another")
    return name.strip()


def check_config(config: Any) -> None:
    """Refuse what is no `ModelConfig`.

    Raises:
        InputError: It is something else.
    """
    if not isinstance(config, ModelConfig):
        raise InputError(f"config is {_short(config)}; give a ModelConfig, or use from_config()")


def check_preset(name: Any, argument: str) -> None:
    """Refuse what is no text; whether there is such a preset is found where it is built.

    Raises:
        InputError: It is something else.
    """
    if not isinstance(name, str):
        raise InputError(f"{argument} is {_short(name)}; give the name of a preset")


def check_side(side: Any, argument: str) -> None:
    """Refuse what is no number of pixels.

    Raises:
        InputError: It is something else.
    """
    if not is_id(side) or side < 1:
        raise InputError(f"{argument} is {_short(side)}; give a number of pixels")


def check_path(path: Any, argument: str = "path") -> Path:
    """A path in either of its forms.

    Raises:
        InputError: It is something else, or empty.
    """
    if not isinstance(path, str | Path) or not str(path):
        raise InputError(f"{argument} is {_short(path)}; give the name of a file")
    return Path(path)


def is_id(value: Any) -> bool:
    """Whether it is an integer; a truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_image_id(image_id: Any) -> int | str:
    """An image id as json holds it.

    Raises:
        InputError: It is neither an integer nor a text.
    """
    if isinstance(image_id, str):
        return image_id
    if not is_id(image_id):
        raise InputError(f"image_id is {_short(image_id)}; give an integer or a text")
    return int(image_id)


def check_threshold(threshold: Any) -> float:
    """A score to compare with.

    Raises:
        InputError: It is no number.
    """
    number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if not number or math.isnan(threshold):
        raise InputError(f"threshold is {_short(threshold)}; give a number, such as 0.5")
    return float(threshold)


def check_category_ids(ids: Any, classes: int) -> Sequence[int]:
    """Category ids by label; None stands for 1, 2, ...

    Raises:
        InputError: They are no integers, or not as many as classes.
    """
    if ids is None:
        return range(1, classes + 1)
    try:
        listed = list(ids)
    except TypeError:
        listed = [None]
    if not all(is_id(each) for each in listed) or len(listed) != classes:
        raise InputError(
            f"category_ids is {_short(ids)}; give one integer for each of the {classes} classes"
        )
    return [int(each) for each in listed]


def usable_device(device: Any) -> torch.device:
    """The device of that name; for None the GPU where there is one.

    Raises:
        InputError: There is no such device.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.empty(0, device=device).device
    except Exception:  # an unknown name, no driver, too high a number, another type
        found = None
    if found is None or found.type == "meta":
        raise InputError(f"device {_short(device)} does not exist here; give cpu, cuda or cuda:0")
    return found


def read_configs(paths: Sequence[str | Path]) -> tuple[ModelConfig, int | None]:
    """Read the YAML files that the command line takes, later ones winning.

    Args:
        paths: Of the files.

    Returns:
        Networks and settings, and the side of SAM 2's input in pixels where a file gives it.

    Raises:
        InputError: A file is missing, is no configuration, or names a setting that does not exist.
    """
    merged: dict[str, Any] = {}
    config = ModelConfig()
    for path in paths:
        merged = _merge(merged, _init_args(check_path(path)))
        # After each, so that an error is told of the file that brings it in.
        config = _parse(merged.get("model_cfg", {}), path)
    size: Any = merged
    for key in ("dataset_cfgs", "test", "image_size"):
        size = size.get(key) if isinstance(size, Mapping) else None
    if size is not None:
        check_side(size, "dataset_cfgs.test.image_size")
    return config, size


def _parse(settings: Any, path: str | Path) -> ModelConfig:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ModelConfig, "model_cfg")
    try:
        config: ModelConfig = parser.instantiate(
            parser.parse_object({"model_cfg": settings})
        ).model_cfg
    except Exception as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    return config


def _init_args(path: Path) -> Mapping[str, Any]:
    content: Any = load_config(path)
    for key in ("model", "init_args"):
        if content is None:
            return {}
        if not isinstance(content, Mapping):
            raise InputError(
                f"{path} is no configuration: it has no settings under model.init_args"
            )
        content = content.get(key)
    if content is not None and not isinstance(content, Mapping):
        raise InputError(f"{path} is no configuration: it has no settings under model.init_args")
    return content or {}


def _merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overlay.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged


def _short(value: Any) -> str:
    """A value on one line of a message."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    text = " ".join(repr(value)[:80].split())
    return text.encode(errors="backslashreplace").decode()
