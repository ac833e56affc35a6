"""The networks and the memory of a prediction."""

from __future__ import annotations

from pathlib import Path

from no_time_to_train.encoders import build_encoder, input_size
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import read_memory
from no_time_to_train.memory.description import EncoderSpec
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.proposers import build_proposer
from no_time_to_train.settings import Settings


def build_segmenter(settings: Settings) -> Segmenter:
    """Build both networks, with an empty memory.

    Raises:
        InputError: Weights are missing or of another model, or a setting does not fit them.
    """
    model = settings.model
    encoder, proposer = build_encoder(model), build_proposer(model, settings.image_size)
    memory = Memory.from_config(model)
    memory.encoder = EncoderSpec(model.encoder_cfg.name, input_size(encoder))
    return Segmenter(model.sam2_infer_cfgs, encoder, proposer, memory=memory)


def load_memory(segmenter: Segmenter, path: Path) -> None:
    """Take up a memory; one that is only filled is finalised.

    Args:
        segmenter: With both networks.
        path: Of the checkpoint.

    Raises:
        InputError: It is unreadable, or another encoder has filled it.
    """
    assert segmenter.encoder is not None and segmenter.memory.encoder is not None
    file = read_memory(path)
    memory = file.load(segmenter.memory.emptied())
    file.check_width(segmenter.memory.encoder.name, segmenter.encoder.width)
    memory.class_names = memory.class_names or default_names(file.size.classes)
    segmenter.set_memory(memory)
    if not memory.is_finalised:
        segmenter.finalise()


def default_names(count: int) -> list[str]:
    """Names of classes whose memory has none."""
    return [f"class {number}" for number in range(1, count + 1)]
