"""The memory that a stage takes up."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from no_time_to_train.commands.checking.findings import Findings, Setup, size_of
from no_time_to_train.commands.checking.weights import published_encoder
from no_time_to_train.config import dinov2_side
from no_time_to_train.errors import listed, naming
from no_time_to_train.memory.description import EncoderSpec, MemoryDescription, describe_memory
from no_time_to_train.pl_wrapper.stages import STAGES


def check_memory(
    setup: Setup, findings: Findings, class_names: list[str]
) -> MemoryDescription | None:
    """Read it, and compare it with settings, encoder and classes.

    Args:
        setup: With its path.
        findings: What is found.
        class_names: Of the data that the stage reads; empty where it reads none.
    """
    row, path = STAGES[setup.mode], setup.settings.ckpt_path
    if "ckpt_path" not in row.needs or not path or not Path(path).is_file():
        return None
    memory = None
    with findings.attempt(), naming("--ckpt_path"):
        memory = describe_memory(Path(path))
    if memory is None:
        return None
    findings.tell("memory", f"{path} ({size_of(Path(path))}): {_described(memory)}")
    settings = setup.model.encoder_cfg
    spec = EncoderSpec(settings.name, settings.img_size)
    checks = [
        partial(memory.check_size, setup.model.memory_bank_cfg),
        partial(memory.check_kind, row.needs_classes),
        partial(memory.check_class_names, class_names),
    ]
    preset = published_encoder(settings.name)
    if "encoder" in row.reads and preset:
        spec = EncoderSpec(settings.name, dinov2_side(settings))
        checks.append(partial(memory.check_width, settings.name, preset.embed_dim))
    findings.attempt_each([*checks, partial(memory.check_encoder, spec)])
    return memory


def _described(memory: MemoryDescription) -> str:
    classes, shots, channels = memory.size
    fewest, most = min(memory.counts), max(memory.counts)
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    filled = f"filled with {memory.encoder}" if memory.encoder else "filled by the published code"
    names = f"; {listed(memory.class_names)}" if memory.class_names else ""
    return (
        f"{memory.kind.value}, {classes} classes with {each} of {shots} references, {channels} "
        f"channels, {filled}{names}"
    )
