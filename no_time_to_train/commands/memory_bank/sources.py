"""What is added to a memory: classes of another one, or marked examples."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from no_time_to_train.commands.command_parser import check_known
from no_time_to_train.commands.network_options import network_settings
from no_time_to_train.dataset.reference_layouts import FoundReferences, find_references
from no_time_to_train.errors import naming
from no_time_to_train.memory.description import EncoderSpec, MemoryDescription, describe_memory
from no_time_to_train.settings import Settings

if TYPE_CHECKING:  # it takes seconds to import
    from no_time_to_train.memory.bank import Memory

Make = Callable[[], "Memory"]

logger = logging.getLogger(__name__)


def other_memory(options: Namespace) -> Make:
    """Look at another memory.

    Args:
        options: With `other` and `classes`.

    Returns:
        What loads it.

    Raises:
        InputError: It cannot be used, or lacks a class.
    """
    description = describe_memory(options.other)
    with naming(str(options.other)):
        _check_classes(options.classes, description.shown_names)

    def load() -> Memory:
        from no_time_to_train.memory.bank import Memory
        from no_time_to_train.memory.checkpoint import read_memory

        return read_memory(options.other).load(Memory())

    return load


def references(options: Namespace, memory: MemoryDescription) -> Make:
    """Look at marked examples, and choose the networks of the memory that they are added to.

    Args:
        options: With `references`, `classes` and what `add_network_arguments` adds.
        memory: To which they are added.

    Returns:
        What makes a memory of them.

    Raises:
        InputError: They cannot be read, lack a class, or are to be encoded by another encoder.
    """
    with naming("--references"):
        found = find_references(options.references)
    with naming(f"--references {options.references}"):
        _check_classes(options.classes, found.class_names)
    settings = network_settings(options, memory.encoder)
    encoder = settings.model.encoder_cfg
    memory.check_encoder(EncoderSpec(encoder.name, encoder.img_size))
    for note in found.notes:
        logger.info("%s", note)
    return lambda: _fill(found, settings, options.device)


def _fill(found: FoundReferences, settings: Settings, device: str | None) -> Memory:
    from no_time_to_train.api.arguments import usable_device
    from no_time_to_train.commands.prediction.runner import set_up_torch
    from no_time_to_train.pl_wrapper.prediction.networks import build_segmenter, fill_memory

    set_up_torch()
    where = usable_device(device)
    segmenter = build_segmenter(settings).to(where)
    fill_memory(segmenter, found, settings)
    return segmenter.memory


def _check_classes(wanted: Sequence[str] | None, present: Sequence[str]) -> None:
    for name in wanted or []:
        check_known(name, present, "class")
