"""What can be seen wrong before a network is built: settings against each other and the data."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from no_time_to_train.config import DOWNLOAD, DatasetsConfig, ModelConfig, VisualizationConfig
from no_time_to_train.dataset.images import existing_paths
from no_time_to_train.dataset.targets import TargetDataset
from no_time_to_train.encoders import build_encoder, find_encoder
from no_time_to_train.errors import InputError
from no_time_to_train.memory.checkpoint import MemoryFile
from no_time_to_train.memory.layout import Kind
from no_time_to_train.networks import WeightsError
from no_time_to_train.proposers import build_proposer, find_proposer

logger = logging.getLogger(__name__)


ENCODER_WEIGHTS = "model_cfg.encoder_ckpt_path"
SAM2_WEIGHTS = "model_cfg.sam2_ckpt_path"


@contextmanager
def naming(setting: str) -> Iterator[None]:
    """Tell which setting unusable weights came from."""
    try:
        yield
    except WeightsError as error:
        raise InputError(f"{setting}: {error}") from error


def check_weights(model: ModelConfig, encoder: bool, proposer: bool) -> None:
    """Look for the networks that are named, and for the checkpoints of those a stage needs.

    Raises:
        InputError: One is missing; the sentence says how to get it.
    """
    find_encoder(model.encoder_cfg.name)
    find_proposer(model.proposer_cfg.name)
    for needed, path, build, setting in (
        (encoder, model.encoder_ckpt_path, build_encoder, ENCODER_WEIGHTS),
        (proposer, model.sam2_ckpt_path, build_proposer, SAM2_WEIGHTS),
    ):
        # Not Path.is_file, which fails on names that are too long.
        if needed and path != DOWNLOAD and not os.path.isfile(path):
            with naming(setting):
                build(model)  # knows the address, and says so before it builds anything


def check_classes(model: ModelConfig, names: Sequence[str], stage: str) -> None:
    """Compare the bank's class count with the classes that the data set gives.

    Raises:
        InputError: They differ.
    """
    wanted = model.memory_bank_cfg.category_num
    if wanted != len(names):
        raise InputError(
            f"model_cfg.memory_bank_cfg.category_num is {wanted}, but dataset_cfgs.{stage} names "
            f"{len(names)} classes ({_listed(names)}); set category_num to {len(names)}, or change "
            f"cat_names or class_split"
        )


def check_references(model: ModelConfig, datasets: DatasetsConfig) -> None:
    """Compare what the reference data set yields with what encoder and bank take.

    Raises:
        InputError: Image sizes or numbers of shots differ.
    """
    data = datasets.fill_memory
    side = model.encoder_cfg.img_size
    if side is not None:
        check_image_size(datasets, side)
    length = model.memory_bank_cfg.length
    if data.memory_length != length:
        raise InputError(
            f"dataset_cfgs.fill_memory.memory_length is {data.memory_length}, but "
            f"model_cfg.memory_bank_cfg.length is {length}; both are the number of shots"
        )


def check_image_size(datasets: DatasetsConfig, side: int) -> None:
    """Compare the size of the references' crops with the encoder's input.

    Raises:
        InputError: They differ.
    """
    found = datasets.fill_memory.image_size
    if found != side:
        raise InputError(
            f"dataset_cfgs.fill_memory.image_size is {found}, but model_cfg.encoder_cfg.img_size "
            f"is {side}; give both the same value"
        )


def check_picture_sources(pictures: VisualizationConfig, targets: TargetDataset) -> None:
    """Look for the images that the pictures will be drawn over.

    Raises:
        InputError: Pictures are wanted, and imgs_path lacks images.
    """
    if pictures.online_vis and pictures.imgs_path:
        images = targets.annotations.images.values()
        existing_paths(pictures.imgs_path, "model_cfg.test.imgs_path", images)


def check_memory(memory: MemoryFile, model: ModelConfig) -> None:
    """Compare a memory checkpoint with the settings it is used under.

    Raises:
        InputError: Another number of classes or shots, or another encoder.
    """
    size, bank = memory.size, model.memory_bank_cfg
    for setting, wanted, found in (
        ("category_num", bank.category_num, size.classes),
        ("length", bank.length, size.shots),
    ):
        if wanted != found:
            raise InputError(
                f"{memory.path} holds {size.classes} classes with {size.shots} references each, "
                f"but model_cfg.memory_bank_cfg.{setting} is {wanted}; set it to {found} or pass "
                "another checkpoint"
            )
    encoder = model.encoder_cfg.name
    if memory.info and memory.info.encoder != encoder:
        raise InputError(
            f"{memory.path} was filled with {memory.info.encoder}, but model_cfg.encoder_cfg.name "
            f"is {encoder}; use the same encoder, or fill the memory again"
        )


def check_postprocessed(memory: MemoryFile) -> None:
    """Refuse a memory without class statistics.

    Raises:
        InputError: It is only filled.
    """
    if memory.kind is not Kind.POSTPROCESSED:
        raise InputError(
            f"the memory in {memory.path} is filled but not post-processed; run `--model.test_mode "
            "postprocess_memory` on it and pass its output as --ckpt_path"
        )


def check_filled(memory: MemoryFile) -> None:
    """Refuse a memory whose references are gone.

    Raises:
        InputError: It is post-processed already.
    """
    if memory.kind is Kind.POSTPROCESSED:
        raise InputError(
            f"the memory in {memory.path} is post-processed already; use it as it is, or pass the "
            "file that fill_memory wrote"
        )


def check_same_classes(memory: MemoryFile, names: Sequence[str]) -> None:
    """Compare class names by index with those the memory was filled with.

    Raises:
        InputError: The same names in another order, which would mix up all labels.
    """
    filled = memory.info.class_names if memory.info else []
    differing = [pair for pair in zip(filled, names, strict=False) if pair[0] != pair[1]]
    if not differing:
        return
    if sorted(filled) == sorted(names):
        raise InputError(
            f"{memory.path} was filled with classes in the order {_listed(filled)}, but the "
            f"targets have them in the order {_listed(names)}; category ids must order them alike"
        )
    logger.warning(
        "%d class names differ between memory and targets, such as %r and %r; they are taken to "
        "mean the same",
        len(differing),
        *(name[:60] for name in differing[0]),
    )


def _listed(names: Sequence[str], most: int = 5) -> str:
    rest = f", ... {len(names) - most} more" if len(names) > most else ""
    # Names from a file may be of any length, and have line breaks in them.
    return ", ".join(" ".join(name[:60].split()) for name in names[:most]) + rest
