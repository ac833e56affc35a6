"""Settings against the networks that they name."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

import dinov2
import sam2
from no_time_to_train.config import EncoderName, MemoryBankConfig, ModelConfig, Sam2Name
from no_time_to_train.errors import InputError
from no_time_to_train.memory.bank import max_patches


def test_encoder_names__are_the_presets() -> None:
    assert set(typing.get_args(EncoderName)) == set(dinov2.PRESETS)


def test_sam2_names__are_the_presets() -> None:
    assert {name.removesuffix(".yaml") for name in typing.get_args(Sam2Name)} == set(sam2.PRESETS)


def test_wrong_value__names_the_leaf_and_the_value() -> None:
    with pytest.raises(InputError, match=r"memory_bank_cfg\.length must be 1 or more, got 0"):
        MemoryBankConfig(length=0)


def test_max_patches__share_the_memory_set_aside() -> None:
    # 256 MiB at 2 KiB per patch are 131,072 patches; COCO 30-shot has 2,400 references.
    bank = MemoryBankConfig(category_num=80, length=30, patch_memory_mb=256)
    assert max_patches(ModelConfig(memory_bank_cfg=bank)) == 131_072 // 2_400


def test_max_patches__leave_enough_for_the_clusters() -> None:
    bank = MemoryBankConfig(category_num=1203, length=1000, patch_memory_mb=1)
    assert max_patches(ModelConfig(memory_bank_cfg=bank)) == 4


@pytest.mark.parametrize(
    "name",
    [
        "../images",
        "a/../../b",
        "..",
        ".",
        "",
        "/tmp/x",
        "a\0b",
        "n" * 256,
        "é" * 128,
        "memory_vis",
        "Memory_Vis/x",
        "\ud800",
    ],
)
def test_dataset_name__stays_in_its_folder(name: str) -> None:
    with pytest.raises(InputError, match="dataset_name"):
        ModelConfig(dataset_name=name)


@pytest.mark.parametrize("name", ["photos", "cdfsod/FISH", "a..b", "é" * 127, ".hidden", "memory"])
def test_dataset_name__of_a_folder_below_is_taken(name: str) -> None:
    config = ModelConfig(dataset_name=name)
    assert config.visualizations_folder == Path("results_analysis") / name
    assert config.memory_visualizations_folder == Path("results_analysis/memory_vis") / name
