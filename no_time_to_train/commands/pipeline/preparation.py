"""The steps before the runs: what makes the files of a data set that its archives do not have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from no_time_to_train.commands.pipeline.command_lines import python
from no_time_to_train.commands.pipeline.data_files import DataFiles
from no_time_to_train.commands.pipeline.manifest import manifest_of
from no_time_to_train.commands.pipeline.step import Step
from no_time_to_train.commands.pipeline.sweep import Sweep
from no_time_to_train.dataset.benchmarks import Tool, data_root

WITH_MASKS = "_with_segm"
SAM_VARIABLE = "SAM_CHECKPOINT"
SAM1, SAM2 = Path("checkpoints/sam_vit_h_4b8939.pth"), Path("checkpoints/sam2_hiera_large.pt")
TOOLS = "no_time_to_train/dataset"


def preparations(sweep: Sweep) -> list[Step]:
    """What has to be made before the runs can begin, in order; nothing that somebody else has made.

    For benchmarks all of whose runs read the same files.
    """
    steps: dict[tuple[str, ...], Step] = {}
    for images in (sweep.row.train, sweep.row.test):
        data = DataFiles(data_root() / images.annotations, data_root() / images.folder)
        for path in (data.images, data.annotations):
            steps |= {step.words: step for step in _to_make(path, data.images, sweep)}
    return list(steps.values())


def _to_make(path: Path, images: Path, sweep: Sweep) -> Iterator[Step]:
    """The steps that make a file or folder, those that make their inputs first."""
    if path.exists() and not manifest_of(path).exists():
        return  # somebody else has made it
    if path.stem.endswith(WITH_MASKS):
        boxes = path.with_name(f"{path.stem.removesuffix(WITH_MASKS)}.json")
        yield from _to_make(boxes, images, sweep)
        yield draw_masks(boxes, images, sweep)
    for tool in sweep.row.tools:
        if path in _below_root(tool.outputs):
            for source in _below_root(tool.inputs):
                yield from _to_make(source, images, sweep)
            yield _use(tool)


def _use(tool: Tool) -> Step:
    inputs = {f"input {number}": path for number, path in enumerate(_below_root(tool.inputs), 1)}
    arguments = (argument.format(root=data_root()) for argument in tool.arguments)
    words = python(f"{TOOLS}/{tool.script}", *arguments)
    outputs = tuple(_below_root(tool.outputs))
    return Step(Path(tool.script).stem, words, inputs, outputs, keeps_foreign=True)


def _below_root(names: Iterable[str]) -> list[Path]:
    return [data_root() / name for name in names]


def draw_masks(boxes: Path, images: Path, sweep: Sweep) -> Step:
    """Boxes to masks, into a file beside them."""
    checkpoint = sam_checkpoint()
    words = python(
        f"{TOOLS}/sam_bbox_to_segm_batch.py",
        *("--input_json", boxes, "--image_dir", images),
        *("--sam_checkpoint", checkpoint, "--model_type", "vit_h"),
        *("--device", sweep.devices.torch_name, "--batch_size", 8),
    )
    inputs = {"the boxes": boxes, "the weights of SAM": checkpoint}
    target = boxes.with_name(f"{boxes.stem}{WITH_MASKS}.json")
    return Step("masks", words, inputs, (target,), keeps_foreign=True)


def sam_checkpoint() -> Path:
    """The weights that turn boxes into masks: those of the first SAM where they are there."""
    return Path(os.environ.get(SAM_VARIABLE) or (SAM1 if SAM1.exists() else SAM2))
