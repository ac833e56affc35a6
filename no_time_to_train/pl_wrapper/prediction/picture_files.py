"""The files that are written for each picture, and their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from no_time_to_train.exports.exporter import Exporter, ExportTarget
from no_time_to_train.exports.formats import EXPORTS
from no_time_to_train.exports.instances_csv import Row, instance_rows
from no_time_to_train.exports.label_maps import (
    instance_file_names,
    write_instance_masks,
    write_label_map,
)
from no_time_to_train.exports.picture_results import PictureResult
from no_time_to_train.pl_wrapper.prediction.job import Job
from no_time_to_train.structures import Prediction
from no_time_to_train.visualization.captions import found_caption
from no_time_to_train.visualization.predictions import Instance, draw_instances, save_picture

MASKS = "masks"
"""Label maps."""
INSTANCES = "instances"
"""A folder for each picture, with a file for each mask."""
OVERLAYS = "overlays"


class PictureFiles:
    """Writes the files of one picture after the other.

    Args:
        job: Says which.
        class_names: By label.
    """

    def __init__(self, job: Job, class_names: Sequence[str]) -> None:
        self._job, self._class_names = job, class_names
        self._out, self._wanted = job.out, job.files
        self._exporters = build_exporters(job, class_names)

    def write(
        self,
        output: str,
        result: PictureResult,
        prediction: Prediction,
        pixels: npt.NDArray[np.uint8] | None,
    ) -> None:
        """Write all of them.

        Args:
            output: What they are called, without suffix.
            result: What counts as found.
            prediction: What it was made of, best first.
            pixels: (H, W, 3) RGB, where something is drawn over it.

        Raises:
            InputError: A file cannot be written.
        """
        write_label_map(self._out / MASKS / f"{output}.png", result)
        if self._wanted.instances:
            self._remove_instances(output)
            write_instance_masks(self._out / INSTANCES / output, result, self._class_names)
        if pixels is not None:
            drawn = self._draw(pixels, result, prediction)
            save_picture(self._out / OVERLAYS / f"{output}.jpg", drawn, is_result=False)
        for exporter in self._exporters:
            exporter.write_picture(result, output, self._job.root / result.file_name)

    def remove(self, output: str) -> None:
        """Remove those of an earlier run that are there."""
        self._remove_instances(output)
        for path in (
            self._out / MASKS / f"{output}.png",
            self._out / OVERLAYS / f"{output}.jpg",
            self._out / OVERLAYS / f"{output}.jpg.png",
        ):
            path.unlink(missing_ok=True)

    def _remove_instances(self, output: str) -> None:
        """Remove masks of an earlier run, not the folders there: those are of other pictures."""
        for path in (self._out / INSTANCES / output).glob("*.png"):
            if path.is_file():
                path.unlink()

    def _draw(
        self, pixels: npt.NDArray[np.uint8], result: PictureResult, prediction: Prediction
    ) -> npt.NDArray[np.uint8]:
        instances = _drawable(result, prediction)
        note = found_caption(
            len(instances), result.candidates, result.best_score, self._job.threshold
        )
        by = self._job.settings.model.test.colour_by
        return draw_instances(pixels, instances, self._class_names, by, empty_note=note)


def build_exporters(job: Job, class_names: Sequence[str]) -> list[Exporter]:
    """What writes the further formats that are wanted, each into a folder of its name.

    Args:
        job: Says which.
        class_names: By label.
    """
    return [EXPORTS[each](ExportTarget(job.out / each, class_names)) for each in job.files.exports]


def _drawable(result: PictureResult, prediction: Prediction) -> list[Instance]:
    """The instances that count, which are the best."""
    return [
        Instance(
            prediction.masks[row].numpy(),
            tuple(prediction.boxes[row].tolist()),
            instance.label,
            instance.score,
        )
        for row, instance in enumerate(result.instances)
    ]


def csv_rows(
    output: str, result: PictureResult, class_names: Sequence[str], with_instances: bool, up: str
) -> Iterator[Row]:
    """The rows of a picture.

    Args:
        output: What its files are called, without suffix.
        result: What was found in it.
        class_names: By label.
        with_instances: Whether each mask is a file of its own.
        up: From the folder of the table to that of the results.
    """
    if with_instances:
        names = instance_file_names(result, class_names)
        masks = [str(Path(up, INSTANCES, output, name)) for name in names]
    else:
        masks = [str(Path(up, MASKS, f"{output}.png"))] * len(result.instances)
    return instance_rows(result.file_name, result.instances, class_names, masks)
