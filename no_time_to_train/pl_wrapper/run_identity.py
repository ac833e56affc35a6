"""What the results of a run depend on, by which an unfinished run is told from others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from no_time_to_train.config import DOWNLOAD, DatasetsConfig, ModelConfig, TestMode
from no_time_to_train.errors import listed
from no_time_to_train.files import sha256
from no_time_to_train.pl_wrapper.stages import STAGES

PACKAGES = ("no-time-to-train", "torch", "torchvision", "numpy", "pillow")
MAX_SHOWN = 5
"""Differences that a message names."""
SETTINGS_OF = {
    "encoder": ("model_cfg.encoder_cfg.", "model_cfg.memory_bank_cfg.", "model_cfg.compute_cfg."),
    "proposer": (
        "model_cfg.sam2_cfg_file",
        "model_cfg.sam2_infer_cfgs.",
        "model_cfg.proposer_cfg.name",
    ),
    "references": ("model_cfg.sam2_infer_cfgs.kmeans_k", "dataset_cfgs.fill_memory."),
    "targets": ("dataset_cfgs.test.",),
}
"""The settings that matter, or how their names begin, by what a stage reads."""
FILES_OF = {
    "encoder": ("model_cfg.encoder_ckpt_path",),
    "proposer": ("model_cfg.sam2_ckpt_path", "model_cfg.proposer_cfg.file"),
    "references": ("dataset_cfgs.fill_memory.json_file", "dataset_cfgs.fill_memory.memory_pkl"),
    "targets": ("dataset_cfgs.test.json_file",),
}
"""The settings that name files whose content matters, and not their place."""
WITHOUT_EFFECT = {  # on what is kept
    "dataset_cfgs.fill_memory.name",
    "dataset_cfgs.test.name",
    "dataset_cfgs.test.on_bad_image",
    "model_cfg.sam2_infer_cfgs.testing_point_bs",
}
KINDS = {
    "--ckpt_path": "the memory",
    "--memory": "the memory",
    "--references": "the references",
    "model_cfg.encoder_ckpt_path": "the encoder's weights",
    "model_cfg.sam2_ckpt_path": "the weights of SAM 2",
    "model_cfg.proposer_cfg.file": "the proposals",
    "dataset_cfgs.fill_memory.json_file": "the annotations of the references",
    "dataset_cfgs.fill_memory.memory_pkl": "the reference set",
    "dataset_cfgs.test.json_file": "the annotations",
}
"""What the files are, for messages."""


@dataclass(frozen=True)
class RunIdentity:
    """What the results of a stage depend on."""

    stage: str
    settings: Mapping[str, Any]
    """By dotted name; without those of devices, workers, outputs and pictures."""
    files: Mapping[str, str]
    """SHA-256 of their content, by the setting or flag that names them."""
    versions: Mapping[str, str | None]
    """Of the packages that compute."""

    @property
    def key(self) -> str:
        """The same for equal identities alone."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RunIdentity:
        """From what `dataclasses.asdict` made of one, and json of that.

        Raises:
            KeyError: A part is missing.
        """
        return cls(
            content["stage"], content["settings"], content["files"], dict(content["versions"])
        )

    def differences(self, earlier: RunIdentity) -> str:
        """Name what has changed since an earlier run, for a message."""
        changes = [
            *_changes(earlier.settings, self.settings),
            *(
                f"{KINDS.get(name, 'the file')} ({name})"
                for name in sorted({*self.files, *earlier.files})
                if self.files.get(name) != earlier.files.get(name)
            ),
            *_changes(earlier.versions, self.versions),
        ]
        return listed(changes, MAX_SHOWN)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"{name} (was {before.get(name)}, is {now.get(name)})"


def identify(
    mode: TestMode, model: ModelConfig, datasets: DatasetsConfig, ckpt_path: str | None
) -> RunIdentity:
    """Read the files that a stage depends on, some seconds for the published weights.

    Args:
        mode: The stage.
        model: Its settings.
        datasets: Its data.
        ckpt_path: The memory of the stage before.

    Raises:
        InputError: A file cannot be read.
    """
    row, leaves = (
        STAGES[mode],
        dict(settings_by_name({"model_cfg": model, "dataset_cfgs": datasets})),
    )
    names = [name for part in row.reads for name in FILES_OF[part]]
    paths = {name: leaves[name] for name in names if leaves[name] is not None}
    if "ckpt_path" in row.needs:
        paths["--ckpt_path"] = ckpt_path
    starts = tuple(start for part in row.reads for start in SETTINGS_OF[part])
    without = {*WITHOUT_EFFECT, *names}
    settings = {
        name: value
        for name, value in leaves.items()
        if name.startswith(starts) and name not in without
    }
    return RunIdentity(mode.value, settings, hashes_of(paths), computing_versions())


def hashes_of(paths: Mapping[str, str | Path]) -> dict[str, str]:
    """SHA-256 of the content of files, by what they are called; downloads keep their name.

    Raises:
        InputError: A file cannot be read.
    """
    with ThreadPoolExecutor() as threads:  # hashing releases the interpreter's lock
        return dict(zip(paths, threads.map(_hash, paths.values()), strict=True))


def computing_versions() -> dict[str, str | None]:
    """Versions of the packages that compute; None for one that is not installed."""
    return {name: _version(name) for name in PACKAGES}


def settings_by_name(configs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings by dotted name, as json gives them back.

    Args:
        configs: Dataclasses by what their names begin with.
    """

    def walk(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from walk(f"{prefix}.{name}", inner)
        else:
            yield prefix, list(value) if isinstance(value, tuple) else value

    for name, config in configs.items():
        yield from walk(name, asdict(config))


def _hash(path: str | Path) -> str:
    return DOWNLOAD if str(path) == DOWNLOAD else sha256(Path(path))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
