"""What `bank` does, each action a function; only edits import PyTorch, after all is checked."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from no_time_to_train.commands.memory_bank.page import render
from no_time_to_train.commands.memory_bank.sources import other_memory, references
from no_time_to_train.commands.memory_bank.table import counted, table
from no_time_to_train.errors import InputError, listed, naming
from no_time_to_train.files import atomic_write
from no_time_to_train.memory.description import describe_memory
from no_time_to_train.output_checks import Paths, prepare_outputs

if TYPE_CHECKING:  # it takes seconds to import
    from no_time_to_train.memory.bank import Memory

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")
"""Of memories, by which their format is chosen."""

logger = logging.getLogger(__name__)


def show(options: Namespace) -> None:
    """Print a table of the classes, and write a page."""
    if options.html:
        prepare_outputs({"--html": options.html}, {"FILE": options.file})
    memory = describe_memory(options.file)
    sys.stdout.write(table(memory))
    if options.html:
        with atomic_write(options.html) as file:
            file.write(render(memory))
        logger.info("Pictures of the references in %s", options.html)


def add(options: Namespace) -> None:
    """Add classes of another memory, or of marked examples."""
    target = _target(options)
    description = describe_memory(options.file)
    source = options.other or options.references
    make = other_memory(options) if options.other else references(options, description)

    def edit(memory: Memory) -> str:
        from no_time_to_train.memory.editing import add_classes

        new = make()
        names = options.classes or [each.name for each in new.classes()]
        with naming(str(source)):
            counts = add_classes(memory, new, options.classes)
        parts = [
            f"{counted(count, 'reference')} to {name}"
            for name, count in zip(names, counts, strict=True)
        ]
        return f"added {listed(parts)}"

    _edit(options.file, target, edit)


def remove(options: Namespace) -> None:
    """Remove classes."""

    def edit(memory: Memory) -> str:
        from no_time_to_train.memory.editing import remove_classes

        remove_classes(memory, options.classes)
        return f"removed {listed(options.classes)}"

    _edit(options.file, _target(options), edit)


def rename(options: Namespace) -> None:
    """Rename a class."""

    def edit(memory: Memory) -> str:
        from no_time_to_train.memory.editing import rename_class

        rename_class(memory, options.old, options.new)
        return f"renamed {options.old} to {options.new}"

    _edit(options.file, _target(options), edit)


def merge(options: Namespace) -> None:
    """Merge classes."""

    def edit(memory: Memory) -> str:
        from no_time_to_train.memory.editing import merge_classes

        merge_classes(memory, options.classes, options.into)
        return f"merged {listed(options.classes)} into {options.into}"

    _edit(options.file, _target(options), edit)


def export(options: Namespace) -> None:
    """Write a memory in another format."""
    _edit(options.file, _target(options), lambda memory: f"exported from {options.file}")


def _target(options: Namespace) -> Path:
    """Where the memory goes, which is checked."""
    other = getattr(options, "other", None)
    inputs: dict[str, Paths] = {"OTHER": other} if other else {}
    if options.out is None:
        prepare_outputs({"FILE": options.file}, inputs)
        return Path(options.file)
    setting = "OUT" if options.action == "export" else "--out"
    if options.out.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{setting} {options.out} ends in none of {listed(SUFFIXES)}, by which the format is "
            "chosen; add one of them"
        )
    prepare_outputs({setting: options.out}, {"FILE": options.file, **inputs})
    return Path(options.out)


def _edit(path: Path, target: Path, edit: Callable[[Memory], str]) -> None:
    """Load a memory, change it, and write it.

    Args:
        path: Of the memory.
        target: Where it goes.
        edit: Changes it, and says what was done.
    """
    describe_memory(path)

    from no_time_to_train.memory.bank import Memory
    from no_time_to_train.memory.checkpoint import read_memory, write_memory

    file = read_memory(path)
    if target == path and "mem_feats" in file.tensors:
        raise InputError(
            f"{path} was written by the published code and holds more than is kept of a memory "
            "here; name another file with --out"
        )
    memory = file.load(Memory())
    memory.class_names = [each.name for each in memory.classes()]
    with naming(str(path)):
        done = edit(memory)
    write_memory(target, memory)
    size, count = target.stat().st_size / 1e6, counted(len(memory.class_names), "class")
    logger.info("%s: %s; %s (%.2f MB)", target, done, count, size)
