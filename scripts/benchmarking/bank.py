"""Time and memory of stages 1 and 2 for many classes, with made-up features and no networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from benchmarking.stopwatch import Stopwatch, peak_bytes
from torch import Tensor, nn

from no_time_to_train.config import MemoryBankConfig, ModelConfig
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import read_memory, write_memory
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.structures import Reference

GRID, CHANNELS, SIDE = 37, 1024, 518
"""Of DINOv2-L at the published size."""
PICTURES = 8
"""Feature maps that take turns, each class with a direction of its own."""
RADII = 60, 200
"""Least and greatest radius of a reference's mask in pixels: a disc in the middle of its crop."""


@dataclass(frozen=True)
class BankStage:
    """What a stage took."""

    seconds: float
    peak_mb: float
    """Resident, of the whole process."""
    file_mb: float
    """What it wrote."""


class MadeUpFeatures(nn.Module):
    """Stands in for the encoder: feature maps around one direction per class."""

    grid = GRID

    def __init__(self, classes: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.maps = torch.randn(PICTURES, GRID * GRID, CHANNELS, generator=generator)
        self.directions = torch.randn(classes, CHANNELS, generator=generator)
        self.shown = 0
        self.class_index = 0

    def forward(self, images: Tensor) -> Tensor:
        """Any image to the next feature map, (1, N, C)."""
        self.shown += 1
        return (self.maps[self.shown % PICTURES] + self.directions[self.class_index])[None]


def fill(classes: int, shots: int, path: Path) -> BankStage:
    """Stage 1: every reference of every class, and the file."""
    watch = Stopwatch("cpu")
    with watch("stage"):
        model = ModelConfig(memory_bank_cfg=MemoryBankConfig(category_num=classes, length=shots))
        memory = Memory.from_config(model, [str(number) for number in range(classes)], shots)
        encoder = MadeUpFeatures(classes)
        segmenter = Segmenter(model.sam2_infer_cfgs, memory=memory)
        segmenter.encoder = encoder  # type: ignore[assignment]
        for encoder.class_index in range(classes):
            for slot in range(shots):
                segmenter.remember([disc_reference(encoder.class_index, slot)])
        write_memory(path, memory)
    return _taken(watch, path)


def post_process(classes: int, shots: int, filled: Path, path: Path) -> BankStage:
    """Stage 2: from the file of stage 1 to the file that segmenting reads."""
    watch = Stopwatch("cpu")
    with watch("stage"):
        model = ModelConfig(memory_bank_cfg=MemoryBankConfig(category_num=classes, length=shots))
        memory = read_memory(filled).load(Memory.from_config(model))
        Segmenter(model.sam2_infer_cfgs, memory=memory).finalise()
        write_memory(path, memory)
    return _taken(watch, path)


def disc_reference(class_index: int, slot: int) -> Reference:
    """A reference whose mask is a disc of some size."""
    radius = RADII[0] + (17 * class_index + 71 * slot) % (RADII[1] - RADII[0])
    squares = (torch.arange(SIDE) - SIDE / 2) ** 2
    mask = (squares[:, None] + squares < radius**2).float()
    image = torch.empty(3, 1, 1)
    return Reference(image, mask, class_index, slot, image_id=0, index=0, source="made up")


def _taken(watch: Stopwatch, path: Path) -> BankStage:
    megabyte = 2**20
    return BankStage(
        watch.seconds["stage"], peak_bytes("cpu") / megabyte, path.stat().st_size / megabyte
    )
