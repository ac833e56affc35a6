from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from no_time_to_train.commands.network_options import add_network_arguments, network_settings
from no_time_to_train.errors import InputError
from no_time_to_train.memory.description import EncoderSpec
from no_time_to_train.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def chosen(*words: str, memory: EncoderSpec | None = None) -> Settings:
    parser = argparse.ArgumentParser()
    add_network_arguments(parser)
    return network_settings(parser.parse_args(words), memory)


def put_weights(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"weights")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_network_settings__takes_the_smallest_whose_weights_are_there() -> None:
    put_weights(
        "checkpoints/sam2_hiera_large.pt",
        "checkpoints/sam2_hiera_small.pt",
        "checkpoints/dinov2/dinov2_vitl14_pretrain.pth",
        "checkpoints/dinov2/dinov2_vitb14_pretrain.pth",
    )
    model = chosen().model
    assert model.sam2_cfg_file == "sam2_hiera_s.yaml"
    assert model.sam2_ckpt_path == "checkpoints/sam2_hiera_small.pt"
    assert (model.encoder_cfg.name, model.encoder_cfg.img_size) == ("dinov2_base", 518)
    assert model.encoder_ckpt_path == "checkpoints/dinov2/dinov2_vitb14_pretrain.pth"


def test_network_settings__without_weights_says_how_to_get_them() -> None:
    with pytest.raises(InputError, match=r"weights sam2\.1_hiera_s dinov2_small"):
        chosen()


def test_network_settings__of_a_named_preset_without_weights() -> None:
    with pytest.raises(InputError, match=r"no-time-to-train weights sam2\.1_hiera_t`"):
        chosen("--sam2", "sam2.1_hiera_t", "--encoder", "dinov2_demo")


def test_network_settings__finds_the_demo_networks_from_any_folder() -> None:
    settings = chosen("--sam2", "sam2_hiera_demo", "--encoder", "dinov2_demo")
    assert settings.model.encoder_cfg.img_size == 252
    assert Path(settings.model.sam2_ckpt_path).is_file()
    assert Path(settings.model.encoder_ckpt_path).is_file()


def test_network_settings__of_a_file_stay_without_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings = chosen("--config", "configs/demo.yaml")
    assert settings.model.sam2_cfg_file == "sam2_hiera_demo.yaml"
    assert settings.model.encoder_cfg.name == "dinov2_demo"
    assert settings.model.test.vis_thr == 0.85


def test_network_settings__flags_win_over_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match=r"weights dinov2_small`"):
        chosen("--config", "configs/demo.yaml", "--encoder", "dinov2_small")


def test_network_settings__takes_the_encoder_of_the_memory() -> None:
    put_weights("checkpoints/sam2.1_hiera_tiny.pt", "checkpoints/dinov2/dinov2_vits14_pretrain.pth")
    settings = chosen(memory=EncoderSpec("dinov2_demo", 252))
    assert settings.model.encoder_cfg.name == "dinov2_demo"


def test_network_settings__a_checkpoint_needs_its_preset() -> None:
    with pytest.raises(InputError, match=r"--sam2-checkpoint my\.pt is given without --sam2"):
        chosen("--sam2-checkpoint", "my.pt", "--encoder", "dinov2_demo")


def test_network_settings__of_an_unknown_preset() -> None:
    with pytest.raises(InputError, match="did you mean sam2_hiera_demo"):
        chosen("--sam2", "sam2_hiera_demi", "--encoder", "dinov2_demo")
