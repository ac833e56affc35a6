"""Where results go: checked before any work, written when it is done."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write
from no_time_to_train.reports import REPORT_FILE

if TYPE_CHECKING:
    from lightning import Trainer

    from no_time_to_train.evaluation.coco import Evaluation
    from no_time_to_train.structures import BadImage

LOG_FILES = ("config.yaml", "metrics.json", "metrics.csv")
"""In the log folder; an older metrics.csv is removed by the logger, also where it logs nothing."""
VERSIONS_OF = (
    *("no-time-to-train", "torch", "torchvision", "lightning", "numpy", "pycocotools"),
    "faster-coco-eval",
)


def named_inputs(settings: Any) -> dict[str, Path | list[Path]]:
    """The files that settings of a `test` command name, those included that its stage leaves alone.

    Args:
        settings: Of the command, as parsed.
    """
    model, datasets = settings.model.init_args.model_cfg, settings.model.init_args.dataset_cfgs
    inputs: dict[str, Path | list[Path]] = {
        "model_cfg.sam2_ckpt_path": Path(model.sam2_ckpt_path),
        "model_cfg.encoder_ckpt_path": Path(model.encoder_ckpt_path),
        "dataset_cfgs.fill_memory.json_file": Path(datasets.fill_memory.json_file),
        "dataset_cfgs.fill_memory.memory_pkl": Path(datasets.fill_memory.memory_pkl),
        "dataset_cfgs.test.json_file": Path(datasets.test.json_file),
        "--config": [Path(config.absolute) for config in settings.config or ()],
    }
    if model.proposer_cfg.file is not None:
        inputs["model_cfg.proposer_cfg.file"] = Path(model.proposer_cfg.file)
    if settings.ckpt_path:
        inputs["--ckpt_path"] = Path(settings.ckpt_path)
    return inputs


def log_outputs(trainer: Trainer, has_report: bool = False) -> dict[str, Path]:
    """The files that end up in the log folder, by what the user calls them.

    Args:
        trainer: Whose logger has the folder.
        has_report: Whether a page about the run is wanted.

    Raises:
        InputError: The logger cannot tell its folder.
    """
    folder = _log_folder(trainer)
    names = [*LOG_FILES] if trainer.logger else [*LOG_FILES[:2]]
    names += [REPORT_FILE] if has_report else []
    return {f"the log file {name}": folder / name for name in names}


def _log_folder(trainer: Trainer) -> Path:
    logger = trainer.logger
    if logger is None:
        return Path(trainer.default_root_dir)
    try:
        # Of a copy: asking fixes the number in the folder's name, and another run may be first.
        return Path(copy(logger).log_dir or logger.save_dir or ".")
    except OSError as error:
        raise InputError(
            f"trainer.logger: {error.filename} is no folder of logs ({error.strerror}); change "
            "trainer.logger.save_dir"
        ) from None


def write_metrics(
    path: Path,
    *,
    config: Mapping[str, Any],
    seconds: Mapping[str, float],
    image_ids: Sequence[int | str],
    images_of_data_set: int,
    resumed_images: int,
    limited_by: str | None,
    bad_images: Sequence[BadImage],
    evaluation: Evaluation,
    about: Mapping[str, Any],
) -> None:
    """Write what a run was and what came of it, for scripts to read.

    Args:
        path: Of the json.
        config: The settings that the run uses.
        seconds: Wall time by part.
        image_ids: Targets that ran; the evaluation is of these.
        images_of_data_set: All of them.
        resumed_images: Of those that ran, how many an earlier run has kept; the seconds are
            without them.
        limited_by: The setting that left some out.
        bad_images: Those that ran and could not be read, in the order of the data set.
        evaluation: Its accuracy.
        about: What else is kept of it, as `provenance` has it: command, time, checksums, machine.
    """
    images = len(image_ids)
    run_now = images - resumed_images
    content = {
        "box": evaluation.box,
        "mask": evaluation.mask,
        "per_class": [asdict(result) for result in evaluation.per_class],
        "images": images,
        "images_of_data_set": images_of_data_set,
        "resumed_images": resumed_images,
        "limited_by": limited_by,
        "bad_images": [
            {"file_name": image.file_name, "reason": image.reason} for image in bad_images
        ],
        "image_ids": list(image_ids) if images < images_of_data_set else None,
        "seconds": {part: round(value, 3) for part, value in seconds.items()},
        "seconds_per_image": round(seconds["segment"] / run_now, 4) if run_now else None,
        "seed": config.get("seed"),
        "versions": {"python": platform.python_version()} | versions(VERSIONS_OF),
        **about,
        "config": config,
    }
    with atomic_write(path) as file:
        json.dump(content, file, indent=2)
        file.write("\n")


def versions(packages: Sequence[str]) -> dict[str, str | None]:
    """Installed versions by package name; None for one that runs without being installed."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
