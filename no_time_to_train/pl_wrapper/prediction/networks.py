"""The networks and the memory of a prediction."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import SequentialSampler

from no_time_to_train.dataset.box_segmenters import Sam2Boxes
from no_time_to_train.dataset.reference_layouts import FoundReferences, with_masks
from no_time_to_train.dataset.reference_layouts.found_dataset import FoundDataset
from no_time_to_train.encoders import build_encoder, input_size
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import read_memory
from no_time_to_train.memory.description import EncoderSpec
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.pl_wrapper.loading import ImageLoader
from no_time_to_train.proposers import build_proposer
from no_time_to_train.proposers.point_grid import PointProposer
from no_time_to_train.proposers.sam2_network import draw_boxes, encode_images
from no_time_to_train.settings import Settings

BOXES_AT_ONCE = 8
"""Boxes decoded together."""

logger = logging.getLogger(__name__)


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
    memory.class_names = list(file.shown_names)
    segmenter.set_memory(memory)
    if not memory.is_finalised:
        segmenter.finalise()


def fill_memory(segmenter: Segmenter, found: FoundReferences, settings: Settings) -> None:
    """Make a finalised memory of references; where there are only boxes, SAM 2 draws the masks.

    Args:
        segmenter: With both networks, on the device that they run on.
        found: The references.
        settings: How pictures of references are treated.

    Raises:
        InputError: A picture is damaged, or does not fit its annotations.
    """
    assert segmenter.encoder is not None
    references = settings.datasets.fill_memory
    orientation = references.orientation
    if found.boxes:
        logger.info("SAM 2 draws the masks of %d boxes", len(found.boxes))
        found = with_masks(found, _box_segmenter(segmenter), orientation)
    side = input_size(segmenter.encoder)
    data = FoundDataset(found, references.context_ratio, side, orientation)
    memory = segmenter.memory.emptied()
    memory.class_names, memory.shots = found.class_names, found.shots
    segmenter.set_memory(memory)
    for batch in ImageLoader(data, SequentialSampler(data), settings.loading):
        segmenter.remember(batch)
    segmenter.finalise()


def _box_segmenter(segmenter: Segmenter) -> Sam2Boxes:
    proposer = segmenter.proposer
    assert isinstance(proposer, PointProposer), "other proposers are refused before"
    network, device = proposer.network, segmenter.prototypes.device

    @torch.inference_mode()
    def draw(image: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        features = encode_images(network, image.to(device))
        return draw_boxes(network, features, boxes, size, BOXES_AT_ONCE).cpu()

    return Sam2Boxes(draw, network.image_size, BOXES_AT_ONCE)
