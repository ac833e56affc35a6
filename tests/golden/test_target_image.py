"""A target as both networks get it, before normalisation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from no_time_to_train.config import ClassNames, TestDataConfig
from no_time_to_train.dataset.targets import TargetDataset
from tests.golden import deterministic


def test_target__equals_the_published_input(tmp_path: Path) -> None:
    pixels = deterministic.image("crop.image", 427, 640).transpose(1, 2, 0) * 255
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a.png")
    content = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "annotations": [],
        "categories": [{"id": 9, "name": "boat"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    settings = {"root": str(tmp_path), "json_file": str(tmp_path / "coco.json")}
    target = TargetDataset(TestDataConfig(**settings, cat_names=ClassNames(["boat"])))[0]
    encoder_input = F.interpolate(target.image[None], (518, 518), mode="bicubic")[0]
    golden = np.load(Path(__file__).parent / "target_image.npz")
    for name, found in (
        ("sam_input", target.image[:, ::32, ::32]),
        ("encoder_input", encoder_input[:, ::14, ::14]),
    ):
        expected = torch.from_numpy(golden[name])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0, check_dtype=False)
    assert target.original_size == (427, 640)
