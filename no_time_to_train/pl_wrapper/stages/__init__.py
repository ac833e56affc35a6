"""The stages of the method, one row per test mode; what is slow to import waits for the choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from no_time_to_train.config import TestMode
from no_time_to_train.errors import InputError
from no_time_to_train.pl_wrapper.stages.outputs import check_format, memory_output, result_outputs

if TYPE_CHECKING:
    from no_time_to_train.pl_wrapper.stages.stage import Stage

NEEDS = {
    "out_path": "FILE for its memory",
    "ckpt_path": "FILE, the memory of the stage before it",
}
"""What is said of a flag that a stage does not do without."""


@dataclass(frozen=True)
class StageRow:
    """What a command line has to give for a stage, and where the stage is implemented."""

    implementation: str
    """`MODULE:CLASS`, in this package."""
    needs: tuple[str, ...]
    """Flags that have to be given."""
    reads: tuple[str, ...] = ()
    """Of encoder and proposer, the files; of references and targets, the images and annotations."""
    outputs: Callable[[Any], dict[str, Path]] = lambda settings: {}
    """From the settings of a command to the files that its flags name as outputs."""
    may_be_limited: bool = False
    """Whether a part of the batches will do."""
    needs_classes: bool = True
    """Whether it takes up a memory that is post-processed, or one that is only filled."""

    def load(self) -> type[Stage]:
        """Import the class."""
        module, _, name = self.implementation.partition(":")
        stage: type[Stage] = getattr(import_module(f"{__name__}.{module}"), name)
        return stage


STAGES = {
    TestMode.fill_memory: StageRow(
        "fill_memory:FillMemory", ("out_path",), ("encoder", "references"), memory_output
    ),
    TestMode.postprocess_memory: StageRow(
        "postprocess_memory:PostprocessMemory",
        ("out_path", "ckpt_path"),
        (),
        memory_output,
        needs_classes=False,
    ),
    TestMode.vis_memory: StageRow(
        "vis_memory:VisMemory", ("ckpt_path",), ("encoder", "references")
    ),
    TestMode.test: StageRow(
        "test:Test",
        ("ckpt_path",),
        ("encoder", "proposer", "targets"),
        result_outputs,
        may_be_limited=True,
    ),
}


def check_flags(settings: Any) -> None:
    """Look for the flags that the stage of a command needs, and for a format of results.

    Args:
        settings: Of the command, as parsed.

    Raises:
        InputError: One was not given, or there is no such format.
    """
    mode = settings.model.init_args.test_mode
    for flag in STAGES[mode].needs:
        if not settings[flag]:
            raise InputError(f"--model.test_mode {mode.value} needs --{flag} {NEEDS[flag]}")
    check_format(settings)
