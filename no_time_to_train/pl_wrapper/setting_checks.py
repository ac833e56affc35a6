"""Settings against each other, checked without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

from no_time_to_train.config import DatasetsConfig, ModelConfig
from no_time_to_train.errors import InputError, listed


def check_references(model: ModelConfig, datasets: DatasetsConfig) -> None:
    """Compare what the reference data set is to yield with what encoder and memory take.

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
    """Compare the size of the references' crops with that of the encoder's input.

    Raises:
        InputError: They differ.
    """
    found = datasets.fill_memory.image_size
    if found != side:
        raise InputError(
            f"dataset_cfgs.fill_memory.image_size is {found}, but model_cfg.encoder_cfg.img_size "
            f"is {side}; give both the same value"
        )


def check_classes(model: ModelConfig, names: Sequence[str], stage: str) -> None:
    """Compare the bank's class count with the classes that the data set gives.

    Raises:
        InputError: They differ.
    """
    wanted = model.memory_bank_cfg.category_num
    if wanted != len(names):
        raise InputError(
            f"model_cfg.memory_bank_cfg.category_num is {wanted}, but dataset_cfgs.{stage} names "
            f"{len(names)} classes ({listed(names)}); set category_num to {len(names)}, or change "
            f"cat_names or class_split"
        )
