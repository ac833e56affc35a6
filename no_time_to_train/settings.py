"""The settings of `test`, read for those who bring their own pictures: the Python API, `predict`.

No PyTorch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Settings:
    """What is taken from the YAML files of `test` where pictures are given one by one."""

    model: ModelConfig
    datasets: DatasetsConfig
    loading: DataLoadConfig
    image_size: int | None
    """Side of SAM 2's input in pixels, where a file gives it; else the preset's."""
    device: str | None
    """That of the trainer's accelerator, where a file gives it."""


def read_configs(paths: Sequence[str | Path], flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the YAML files that the command line takes, later ones winning.

    Args:
        paths: Of the files.
        flags: What wins over all of them, laid out as they are.

    Raises:
        InputError: A file is missing, is no configuration, or names a setting that does not exist;
            or the sizes of encoder and references differ.
    """
    merged: dict[str, Any] = {}
    parsed = _parse({}, "")
    for path in paths:
        content = load_config(path)
        merged = _merge(merged, {**content, "model": {"init_args": _init_args(content, path)}})
        # After each, so that an error is told of the file that brings it in.
        parsed = _parse(merged["model"]["init_args"], path)
    if flags:
        merged = _merge(merged, flags)
        parsed = _parse(merged["model"]["init_args"], "the flags")
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
