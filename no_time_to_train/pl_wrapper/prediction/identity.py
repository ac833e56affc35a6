"""What the results of a prediction depend on, by which a run that is to go on is compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from no_time_to_train.pl_wrapper.prediction.job import Job
from no_time_to_train.pl_wrapper.run_identity import (
    RunIdentity,
    computing_versions,
    hashes_of,
    settings_by_name,
)

STAGE = "predict"
WITH_EFFECT = (
    "model_cfg.sam2_cfg_file",
    "model_cfg.sam2_infer_cfgs.",
    "model_cfg.proposer_cfg.",
    "model_cfg.encoder_cfg.",
    "model_cfg.compute_cfg.",
    "model_cfg.test.colour_by",
    "dataset_cfgs.fill_memory.context_ratio",
    "dataset_cfgs.fill_memory.orientation",
    "dataset_cfgs.test.orientation",
    "image_size",
)
"""The settings that matter, or how their names begin."""
WITHOUT_EFFECT = {"model_cfg.sam2_infer_cfgs.testing_point_bs"}


def prediction_identity(
    job: Job, weights: Mapping[str, str], sources: Mapping[str, str]
) -> RunIdentity:
    """Put together what matters.

    Args:
        job: What is to be done.
        weights: SHA-256 of the files of weights, by the setting that names them.
        sources: SHA-256 of the memory or the references, by the flag that names them.
    """
    settings = {
        name: value
        for name, value in all_settings(job).items()
        if name.startswith((*WITH_EFFECT, "--")) and name not in WITHOUT_EFFECT
    }
    return RunIdentity(STAGE, settings, {**weights, **sources}, computing_versions())


def all_settings(job: Job) -> dict[str, Any]:
    """Every setting of the method, and the flags that say what is written, by name."""
    settings = job.settings
    configs = {
        "model_cfg": settings.model,
        "dataset_cfgs": settings.datasets,
        "data_load_cfgs": settings.loading,
    }
    return {
        **dict(settings_by_name(configs)),
        "image_size": job.image_size,
        "--threshold": job.threshold,
        "--instances": job.files.instances,
        "--no-overlays": not job.files.overlays,
        "--export": sorted(job.files.exports),
        "--per-folder": job.per_folder,
    }


def weights_of(job: Job) -> dict[str, str]:
    """SHA-256 of the weights of both networks, by the setting that names them.

    Raises:
        InputError: A file cannot be read.
    """
    model = job.settings.model
    paths: dict[str, str | Path] = {
        "model_cfg.sam2_ckpt_path": model.sam2_ckpt_path,
        "model_cfg.encoder_ckpt_path": model.encoder_ckpt_path,
    }
    return hashes_of(paths)
