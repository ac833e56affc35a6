"""Where results go: checked before any work, written when it is done."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from no_time_to_train.dataset.coco_evaluation import Evaluation
from no_time_to_train.dataset.whole_files import replacing
from no_time_to_train.errors import InputError

PICTURES = Path("results_analysis")
VERSIONS_OF = ("no-time-to-train", "torch", "torchvision", "lightning", "numpy", "pycocotools")


def check_writable(path: Path, setting: str) -> None:
    """Refuse an output that could not be written, before the hours that lead up to it.

    Args:
        path: The file to be written; missing folders will be made.
        setting: What the user calls it.

    Raises:
        InputError: It is a folder, or lies below something that is no folder or is write-protected.
    """
    if path.is_dir():
        raise InputError(f"{setting} {path} is a folder; give it the name of a file in it")
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    if not existing.is_dir():
        raise InputError(f"{setting} {path} cannot be written: {existing} is a file, not a folder")
    if not os.access(existing, os.W_OK):
        raise InputError(f"{setting} {path} cannot be written: {existing} is write-protected")


def semantic_results_path(split: int | None, shots: int | None, seed: int | None) -> Path | None:
    """Results file of the semantic benchmark; its name has a part for each flag given."""
    parts = [
        f"semantic_split_{split}" if split is not None else "",
        f"{shots}shot" if shots is not None else "",
        f"{seed}seed" if seed is not None else "",
    ]
    name = "_".join(part for part in parts if part)
    return Path("inst_to_segm") / f"coco_inst_{name}_results.json" if name else None


def write_metrics(
    path: Path,
    *,
    config: Mapping[str, Any],
    seconds: Mapping[str, float],
    images: int,
    images_of_data_set: int,
    limited_by: str | None,
    evaluation: Evaluation,
) -> None:
    """Write what a run was and what came of it, for scripts to read.

    Args:
        path: Of the json.
        config: Every setting of the run.
        seconds: Wall time by part.
        images: Targets that ran; the evaluation is of these.
        images_of_data_set: All of them.
        limited_by: The setting that left some out.
        evaluation: Its accuracy.
    """
    content = {
        "box": evaluation.box,
        "mask": evaluation.mask,
        "per_class": [asdict(result) for result in evaluation.per_class],
        "images": images,
        "images_of_data_set": images_of_data_set,
        "limited_by": limited_by,
        "seconds": {part: round(value, 3) for part, value in seconds.items()},
        "seconds_per_image": round(seconds["segment"] / images, 4),
        "seed": config.get("seed"),
        "versions": {"python": platform.python_version()} | versions(VERSIONS_OF),
        "config": config,
    }
    with replacing(path) as file:
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
