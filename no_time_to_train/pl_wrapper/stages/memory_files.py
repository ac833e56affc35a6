"""Where a stage takes up the memory of the stage before it, and where it leaves its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from no_time_to_train.config import ModelConfig
from no_time_to_train.errors import InputError
from no_time_to_train.memory.checkpoint import MemoryFile, MemoryInfo, read_memory, write_memory
from no_time_to_train.memory.tensors import statistics_from_tensors
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.pl_wrapper import checks

logger = logging.getLogger(__name__)


def read_fitting_memory(path: Path, model: ModelConfig) -> MemoryFile:
    """Read a memory for the settings of a run.

    Raises:
        InputError: It is missing, unreadable, or does not fit them.
    """
    try:
        memory = read_memory(path)
    except InputError as error:
        raise InputError(f"--ckpt_path: {error}") from None
    checks.check_memory(memory, model)
    return memory


def load_classes(
    path: Path, model: ModelConfig, class_names: Sequence[str], segmenter: Segmenter
) -> MemoryFile:
    """Let a segmenter work with the classes of a post-processed memory.

    Args:
        path: Of the memory.
        model: The settings of the run.
        class_names: Those of the data, by class index.
        segmenter: Changed in place.

    Raises:
        InputError: It is missing, unreadable, only filled, or does not fit settings or data.
    """
    memory = read_fitting_memory(path, model)
    checks.check_postprocessed(memory)
    checks.check_same_classes(memory, class_names)
    segmenter.use(statistics_from_tensors(memory.tensors))
    return memory


def store_memory(path: Path, tensors: Mapping[str, Tensor], info: MemoryInfo) -> None:
    """Write a memory, and say so."""
    write_memory(path, tensors, info)
    logger.info("Memory written to %s (%.2f MB)", path, path.stat().st_size / 1e6)
