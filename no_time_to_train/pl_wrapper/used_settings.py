"""The settings that a stage uses, among all that a command line has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from no_time_to_train.config import TestMode
from no_time_to_train.pl_wrapper.stages import STAGES

ONLY_FOR = {
    "encoder": ("model_cfg.encoder_cfg", "model_cfg.encoder_ckpt_path"),
    "proposer": (
        "model_cfg.sam2_cfg_file",
        "model_cfg.sam2_ckpt_path",
        "model_cfg.proposer_cfg",
    ),
    "references": ("dataset_cfgs.fill_memory",),
    "targets": ("dataset_cfgs.test", "model_cfg.test"),
}
"""Below `model.init_args`, by what a stage reads: settings that matter to no stage without it."""


def used_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is only for other stages.

    Args:
        settings: Of a `test` command, as plain data.
    """
    reads = STAGES[TestMode(settings["model"]["init_args"]["test_mode"])].reads
    unused = {
        f"model.init_args.{name}"
        for part, names in ONLY_FOR.items()
        if part not in reads
        for name in names
    }

    def without(value: Any, name: str) -> Any:
        if not isinstance(value, Mapping):
            return value
        inner = {key: f"{name}.{key}".lstrip(".") for key in value}
        return {key: without(value[key], at) for key, at in inner.items() if at not in unused}

    kept: dict[str, Any] = without(settings, "")
    return kept
