"""Where the annotations and images of a run lie on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from no_time_to_train.commands.pipeline.sweep import Run
from no_time_to_train.dataset.benchmarks import Images, data_root


@dataclass(frozen=True)
class DataFiles:
    """A json with annotations and the folder of its images."""

    annotations: Path
    images: Path


def located(run: Run, images: Images) -> DataFiles:
    """One side of a run's benchmark, below the folder of the data sets."""
    folder, annotations = map(run.filled_in, (images.folder, images.annotations))
    return DataFiles(data_root() / annotations, data_root() / folder)
