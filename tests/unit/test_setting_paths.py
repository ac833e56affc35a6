"""Relative paths of settings files: from the current folder, or else from the file's own."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from no_time_to_train.config_files import load_config
from no_time_to_train.settings import read_configs

SETTINGS = """# Käfer: 1,000 pictures
model:
  init_args:
    model_cfg:
      sam2_ckpt_path: ./weights.pt  # small
      dataset_name: weights.pt
    dataset_cfgs:
      test: {root: 'images', json_file: nowhere.json}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file in a folder with weights and images; the current folder is another."""
    folder = tmp_path / "study"
    (folder / "images").mkdir(parents=True)
    (folder / "weights.pt").touch()
    (folder / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Path("../study/settings.yaml")


def test_paths__that_are_only_beside_the_file_are_taken_from_there(
    study: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            settings = read_configs([study])
    assert settings.model.sam2_ckpt_path == "../study/weights.pt"
    assert settings.datasets.test.root == "../study/images"
    assert settings.model.dataset_name == "weights.pt"  # no path
    assert settings.datasets.test.json_file == "nowhere.json"  # in neither place
    assert caplog.messages == [  # once
        f"{study}: ./weights.pt is not in the current folder, so ../study/weights.pt is used",
        f"{study}: images is not in the current folder, so ../study/images is used",
    ]


def test_paths__of_the_current_folder_come_first(study: Path) -> None:
    Path("weights.pt").touch()
    settings = read_configs([study])
    assert settings.model.sam2_ckpt_path == "./weights.pt"


@pytest.mark.parametrize(
    "root", ["&here images", "!!str images", "|\n          images", "", "[images]"]
)
def test_paths__written_in_other_ways_stay_as_they_are(study: Path, root: str) -> None:
    text = f"model:\n  init_args:\n    dataset_cfgs:\n      test:\n        root: {root}\n"
    study.write_text(text)
    loaded = load_config(study)["model"]["init_args"]["dataset_cfgs"]["test"]["root"]
    assert loaded in ("images", "images\n", None, ["images"])


def test_paths__download_is_no_file(study: Path) -> None:
    (study.parent / "download").mkdir()
    study.write_text("model: {init_args: {model_cfg: {encoder_ckpt_path: download}}}")
    assert read_configs([study]).model.encoder_ckpt_path == "download"
