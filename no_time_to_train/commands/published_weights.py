"""The published weights: a row per family, read without PyTorch."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple


class Family(NamedTuple):
    """Networks of one kind."""

    module: str
    """Has PRESETS by name, each with the `url` of its weights, and `missing_weights`."""
    folder: Path
    """Where the configs expect the weights."""

    @property
    def presets(self) -> Any:
        """The module."""
        return import_module(self.module)


FAMILIES = {
    "SAM 2": Family("sam2.presets", Path("checkpoints")),
    "DINOv2": Family("dinov2.presets", Path("checkpoints/dinov2")),
}


class Weights(NamedTuple):
    """One file of published weights."""

    path: Path
    """Where the configs expect it."""
    url: str


def published_weights() -> dict[str, Weights]:
    """All of them, by the name of the preset."""
    return {
        name: Weights(family.folder / preset.url.rpartition("/")[2], preset.url)
        for family in FAMILIES.values()
        for name, preset in family.presets.PRESETS.items()
        if preset.url
    }
