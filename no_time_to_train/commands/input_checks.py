"""The files that settings name, looked for before PyTorch is imported.

What is in a file is checked by those who read it. They also say what is missing, where they can be
imported without PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from no_time_to_train.commands.published_weights import FAMILIES
from no_time_to_train.config import (
    DOWNLOAD,
    DatasetsConfig,
    FillMemoryDataConfig,
    ModelConfig,
    ProposerConfig,
    TestDataConfig,
    TestMode,
)
from no_time_to_train.errors import InputError, naming
from no_time_to_train.files import check_regular_file
from no_time_to_train.memory.paths import check_memory_path
from no_time_to_train.pl_wrapper.setting_checks import check_references
from no_time_to_train.pl_wrapper.stages import STAGES


def input_checks(
    mode: TestMode, model: ModelConfig, datasets: DatasetsConfig, ckpt_path: str | None
) -> list[Callable[[], None]]:
    """What looks for what a stage reads, each check for itself.

    They raise an InputError: something is missing, or is no file; the sentence says how to get it.

    Args:
        mode: The stage.
        model: Names the weights.
        datasets: Names the annotations, images and references.
        ckpt_path: The memory of the stage before, as typed.
    """
    encoder, sam2 = model.encoder_cfg.name, model.sam2_cfg_file.removesuffix(".yaml")
    checks: dict[str, list[Callable[[], None]]] = {
        "encoder": [
            lambda: _check_weights(
                "model_cfg.encoder_ckpt_path", "DINOv2", encoder, model.encoder_ckpt_path
            )
        ],
        "proposer": [
            lambda: (
                _check_weights("model_cfg.sam2_ckpt_path", "SAM 2", sam2, model.sam2_ckpt_path)
                if model.proposer_cfg.name == "point_grid"  # masks from a file need no network
                else None
            ),
            lambda: _check_proposals(model.proposer_cfg),
        ],
        "references": [
            lambda: check_references(model, datasets),
            *_image_checks("fill_memory", datasets.fill_memory),
            lambda: _check_reference_set(datasets.fill_memory),
        ],
        "targets": _image_checks("test", datasets.test),
    }
    chosen = [check for name in STAGES[mode].reads for check in checks[name]]
    if ckpt_path and "ckpt_path" in STAGES[mode].needs:
        chosen.append(lambda: _check_memory(ckpt_path))
    return chosen


def _check_memory(ckpt_path: str) -> None:
    with naming("--ckpt_path"):
        check_memory_path(ckpt_path)


def _check_proposals(config: ProposerConfig) -> None:
    if config.file is None:
        return
    check_regular_file(config.file, "the list of proposals")
    if not os.path.exists(config.file):
        from no_time_to_train.coco.json_text import load_json

        with naming(f"model_cfg.proposer_cfg.file {config.file}"):
            load_json(Path(config.file))


def _check_weights(setting: str, family: str, name: str, path: str) -> None:
    presets = FAMILIES[family].presets
    if path == DOWNLOAD or name not in presets.PRESETS:
        return  # of another package, which says what it takes
    with naming(setting):
        check_regular_file(Path(path), f"the {family} weights")  # "" is the working directory
        if not os.path.exists(path):
            raise InputError(presets.missing_weights(name, Path(path)))


def _check_reference_set(data: FillMemoryDataConfig) -> None:
    path = data.memory_pkl
    check_regular_file(Path(path), "the reference set")
    if not os.path.exists(path):
        from no_time_to_train.dataset.reference_set import read_reference_set

        read_reference_set(path)


def _image_checks(
    stage: str, data: FillMemoryDataConfig | TestDataConfig
) -> list[Callable[[], None]]:
    return [lambda: _check_json(data), lambda: _check_root(stage, data)]


def _check_json(data: FillMemoryDataConfig | TestDataConfig) -> None:
    check_regular_file(Path(data.json_file), "the COCO json")
    if not os.path.exists(data.json_file):
        from no_time_to_train.coco.annotations import CocoAnnotations

        CocoAnnotations.read(data.json_file)


def _check_root(stage: str, data: FillMemoryDataConfig | TestDataConfig) -> None:
    if not os.path.isdir(data.root):
        from no_time_to_train.dataset.image_files import existing_paths

        existing_paths(data.root, f"dataset_cfgs.{stage}.root", [])
