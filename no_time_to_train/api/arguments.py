"""What people hand to the Python API, checked: names, paths, ids, devices, configuration files.

What cannot be used is an InputError that names the argument.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import register_type

from no_time_to_train.config import (
    ClassNames,
    DataLoadConfig,
    DatasetsConfig,
    ModelConfig,
    TestMode,
    read_class_names,
)
from no_time_to_train.config_files import load_config
from no_time_to_train.errors import InputError

CONFIGS = {
    "model_cfg": ModelConfig,
    "dataset_cfgs": DatasetsConfig,
    "data_load_cfgs": DataLoadConfig,
}
DEVICES = {"cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}
"""By the trainer's accelerator."""


def check_name(name: Any) -> str:
    """The name of a class, without spaces around it."""
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"name is {_short(name)}; give the class a name, such as 'bird'")
    if any(0xD800 <= ord(letter) < 0xE000 for letter in name):
        raise InputError(f"name is {_short(name)}, which is no Unicode text; give another")
    return name.strip()


def check_config(config: Any) -> None:
    """Refuse what is no `ModelConfig`."""
    if not isinstance(config, ModelConfig):
        raise InputError(f"config is {_short(config)}; give a ModelConfig, or use from_config()")


def check_preset(name: Any, argument: str) -> None:
    """Refuse what is no text; whether there is such a preset is found where it is built."""
    if not isinstance(name, str):
        raise InputError(f"{argument} is {_short(name)}; give the name of a preset")


def check_side(side: Any, argument: str) -> None:
    """Refuse what is no number of pixels."""
    if not is_id(side) or side < 1:
        raise InputError(f"{argument} is {_short(side)}; give a number of pixels")


def check_path(path: Any, argument: str = "path") -> Path:
    """A path in either of its forms."""
    if not isinstance(path, str | Path) or not str(path):
        raise InputError(f"{argument} is {_short(path)}; give the name of a file")
    return Path(path)


def is_id(value: Any) -> bool:
    """Whether it is an integer; a truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_image_id(image_id: Any) -> int | str:
    """An image id as json holds it."""
    if isinstance(image_id, str):
        return image_id
    if not is_id(image_id):
        raise InputError(f"image_id is {_short(image_id)}; give an integer or a text")
    return int(image_id)


def check_threshold(threshold: Any) -> float:
    """A score to compare with."""
    number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if not number or math.isnan(threshold):
        raise InputError(f"threshold is {_short(threshold)}; give a number, such as 0.5")
    return float(threshold)


def check_category_ids(ids: Any, classes: int) -> Sequence[int]:
    """Category ids by label; None stands for 1, 2, ..."""
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
    """The device of that name; for None the GPU where there is one."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.empty(0, device=device).device
    except Exception:  # an unknown name, no driver, too high a number, another type
        found = None
    if found is None or found.type == "meta":
        raise InputError(f"device {_short(device)} does not exist here; give cpu, cuda or cuda:0")
    return found


@dataclass(frozen=True)
class Settings:
    """What the Python API takes from the configuration of the command line."""

    model: ModelConfig
    datasets: DatasetsConfig
    loading: DataLoadConfig
    image_size: int | None
    """Side of SAM 2's input in pixels, where a file gives it; else the preset's."""
    device: str | None
    """That of the trainer's accelerator, where a file gives it."""


def read_configs(paths: Sequence[str | Path]) -> Settings:
    """Read the YAML files that the command line takes, later ones winning.

    Args:
        paths: Of the files.

    Raises:
        InputError: A file is missing, is no configuration, or names a setting that does not exist;
            or the sizes of encoder and references differ.
    """
    merged: dict[str, Any] = {}
    parsed = _parse({}, "")
    for path in paths:
        content = load_config(check_path(path))
        merged = _merge(merged, {**content, "model": {"init_args": _init_args(content, path)}})
        # After each, so that an error is told of the file that brings it in.
        parsed = _parse(merged["model"]["init_args"], path)
    crop_size = _given(merged, "model.init_args.dataset_cfgs.fill_memory.image_size")
    side = parsed.model_cfg.encoder_cfg.img_size
    if None not in (crop_size, side) and crop_size != side:
        raise InputError(
            f"dataset_cfgs.fill_memory.image_size is {crop_size}, but encoder_cfg.img_size is "
            f"{side}; give both the same value"
        )
    return Settings(
        parsed.model_cfg,
        parsed.dataset_cfgs,
        parsed.data_load_cfgs,
        _given(merged, "model.init_args.dataset_cfgs.test.image_size"),
        DEVICES.get(_given(merged, "trainer.accelerator")),
    )


def _given(settings: Any, name: str) -> Any:
    """What the files say of a setting; None where they do not."""
    for key in name.split("."):
        settings = settings.get(key) if isinstance(settings, Mapping) else None
    return settings


def _parse(settings: Mapping[str, Any], path: str | Path) -> Namespace:
    register_type(
        ClassNames, serializer=list, deserializer=read_class_names, fail_already_registered=False
    )
    parser = ArgumentParser(exit_on_error=False)
    for name, kind in CONFIGS.items():
        parser.add_class_arguments(kind, name)
    parser.add_argument("--test_mode", type=TestMode)
    try:
        parsed: Namespace = parser.instantiate(parser.parse_object(dict(settings)))
    except Exception as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    return parsed


def _init_args(content: Mapping[str, Any], path: str | Path) -> Mapping[str, Any]:
    for key in ("model", "init_args"):
        inner = content.get(key)
        if inner is None:
            return {}
        if not isinstance(inner, Mapping):
            raise InputError(
                f"{path} is no configuration: it has no settings under model.init_args"
            )
        content = inner
    return content


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
