"""CD-FSOD: the references come drawn, as a json per number of shots, mostly of boxes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from no_time_to_train.coco.json_text import load_json
from no_time_to_train.commands.pipeline.command_lines import python
from no_time_to_train.commands.pipeline.data_files import DataFiles
from no_time_to_train.commands.pipeline.plan import REFERENCE_ANNOTATIONS, Plan
from no_time_to_train.commands.pipeline.preparation import TOOLS, WITH_MASKS, draw_masks
from no_time_to_train.commands.pipeline.step import Step
from no_time_to_train.dataset.benchmarks import data_root
from no_time_to_train.errors import InputError, naming

SPELLINGS = {"NEU-DET": "NEUDET"}
"""Other names of folders."""
SUBFOLDERS = {"train": "new_train", "test": "new_test"}
"""Where some copies of DIOR have the images."""


class CdfsodPlan(Plan):
    """The commands of a run."""

    def locate(self) -> tuple[DataFiles, DataFiles]:
        """Find the folder; where references are boxes alone, name the file that masks go to.

        Raises:
            InputError: There is no folder, or no file for that number of shots.
        """
        folder = _folder(self.run.split)
        self.boxes = folder / "annotations" / f"{self.run.shots}_shot.json"
        if not self.boxes.is_file():
            raise InputError(
                f"{self.boxes} is missing; {self.run.split} needs one such file per number of shots"
            )
        self.lacks_masks = lacks_masks(self.boxes)
        with_masks = self.boxes.with_name(f"{self.boxes.stem}{WITH_MASKS}.json")
        targets = folder / "annotations" / f"test{WITH_MASKS}.json"
        return (
            DataFiles(with_masks if self.lacks_masks else self.boxes, _images(folder, "train")),
            DataFiles(
                targets if targets.is_file() else folder / "annotations" / "test.json",
                _images(folder, "test"),
            ),
        )

    def name_references(self) -> Path:
        """Beside the json."""
        return self.train.annotations.with_suffix(".pkl")

    def make_references(self, fill: Step) -> list[Step]:
        """Masks where there are none; every annotation becomes a reference."""
        source = self.train.annotations
        words = python(f"{TOOLS}/coco_to_pkl.py", source, self.references, self.run.shots)
        inputs = {REFERENCE_ANNOTATIONS: source}
        to_pickle = Step("references", words, inputs, (self.references,))
        masks = [draw_masks(self.boxes, self.train.images, self.sweep)] if self.lacks_masks else []
        return [*masks, to_pickle]


def _folder(name: str) -> Path:
    folder = data_root() / name
    other = data_root() / SPELLINGS.get(name, name)
    found = folder if folder.is_dir() else other
    if not found.is_dir():
        raise InputError(
            f"{folder} is no folder; put {name} there, or name the folder of the data sets in "
            "DATASETS_ROOT"
        )
    return found


def _images(folder: Path, part: str) -> Path:
    below = folder / part / SUBFOLDERS[part]
    return below if below.is_dir() else folder / part


def lacks_masks(path: Path) -> bool:
    """Whether an annotation of a json has no mask.

    Raises:
        InputError: It is no json of annotations.
    """
    with naming(str(path)):
        document = load_json(path)
        entries: Any = document.get("annotations") if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise InputError('there is no list "annotations" in it; expected a COCO json file')
    return not all(entry.get("segmentation") for entry in entries)
