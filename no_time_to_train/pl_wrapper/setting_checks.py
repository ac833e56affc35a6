"""Settings against each other, checked without PyTorch."""

from __future__ import annotations

from no_time_to_train.config import DatasetsConfig, ModelConfig
from no_time_to_train.errors import InputError


def check_references(model: ModelConfig, datasets: DatasetsConfig) -> None:
    """Compare what the reference data set is to yield with what encoder and memory take.

    Raises:
        InputError: Image sizes or numbers of shots differ.
    """
    data = datasets.fill_memory
    side = model.encoder_cfg.img_size
    if data.image_size != side:
        raise InputError(
            f"dataset_cfgs.fill_memory.image_size is {data.image_size}, but "
            f"model_cfg.encoder_cfg.img_size is {side}; give both the same value"
        )
    length = model.memory_bank_cfg.length
    if data.memory_length != length:
        raise InputError(
            f"dataset_cfgs.fill_memory.memory_length is {data.memory_length}, but "
            f"model_cfg.memory_bank_cfg.length is {length}; both are the number of shots"
        )
