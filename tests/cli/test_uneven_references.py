"""Three classes of one, two and three references, through stages 1 and 2."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from no_time_to_train.config import ClassNames, EncoderConfig, FillMemoryDataConfig, ModelConfig
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.encoders import build_encoder
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import read_memory
from tests.cli.conftest import fill, postprocess, settings
from tests.cli.test_two_processes import TWO, run

LENGTH = 4
"""Places per class: one more than any class needs."""
NAMES = ("arrow", "coin", "gear")
IMAGES = {1: ("coins_top.png", 88, 384), 3: ("motorcycle_left.jpg", 400, 592)}
BOXES = [  # category, image, (x, y, w, h)
    (2, 1, (10, 5, 60, 60)),
    (5, 3, (30, 40, 200, 120)),
    (5, 1, (100, 20, 50, 40)),
    (9, 3, (250, 200, 90, 150)),
    (9, 3, (300, 10, 120, 60)),
    (9, 1, (200, 10, 150, 70)),
]
DATA = settings(
    {
        "dataset_cfgs.fill_memory.root": "photos/images",
        "dataset_cfgs.fill_memory.json_file": "uneven.json",
        "dataset_cfgs.fill_memory.memory_pkl": "uneven_set.json",
        "dataset_cfgs.fill_memory.memory_length": LENGTH,
        "dataset_cfgs.fill_memory.cat_names": ",".join(NAMES),
    },
)
SIZES = settings(
    {"model_cfg.memory_bank_cfg.category_num": 3, "model_cfg.memory_bank_cfg.length": LENGTH}
)
FILL = (*DATA, *SIZES)
TOO_FEW = "arrow has 1, coin has 2, gear has 3"


@pytest.fixture
def uneven(photos_dir: Path) -> Path:
    """The data, in the working directory."""
    entries, picks = [], {}
    for number, (category, image, (x, y, w, h)) in enumerate(BOXES, start=1):
        entry = {"id": number, "image_id": image, "category_id": category, "iscrowd": 0}
        corners = [x, y, x + w, y, x + w, y + h, x, y + h]
        entry |= {"bbox": [x, y, w, h], "area": w * h, "segmentation": [corners]}
        entries.append(entry)
        picks.setdefault(str(category), []).append({"img_id": image, "ann_ids": [number]})
    document: dict[str, Any] = {
        "images": [
            {"id": number, "file_name": name, "height": height, "width": width}
            for number, (name, height, width) in IMAGES.items()
        ],
        "categories": [
            {"id": number, "name": name} for number, name in zip((2, 5, 9), NAMES, strict=True)
        ],
        "annotations": entries,
    }
    Path("uneven.json").write_text(json.dumps(document))
    Path("uneven_set.json").write_text(json.dumps(picks))
    return photos_dir


def state_of(path: str) -> dict[str, Tensor]:
    """Tensors of a memory, by name."""
    state = torch.load(path, weights_only=True)["state_dict"]
    return {name.removeprefix("seg_model."): tensor for name, tensor in state.items()}


def weighted_features() -> list[list[tuple[Tensor, Tensor]]]:
    """Patch features (N, C) and weights (N,) of every reference, by class."""
    config = ModelConfig(
        encoder_cfg=EncoderConfig(name="dinov2_demo", img_size=252),
        encoder_ckpt_path="demo_models/dinov2_demo.pth",
    )
    dataset = ReferenceDataset(
        FillMemoryDataConfig(
            root="photos/images",
            json_file="uneven.json",
            memory_pkl="uneven_set.json",
            image_size=252,
            memory_length=LENGTH,
            cat_names=ClassNames(NAMES),
        )
    )
    encoder = build_encoder(config)
    classes: list[list[tuple[Tensor, Tensor]]] = [[], [], []]
    for index in range(len(dataset)):
        reference = dataset[index]
        with torch.inference_mode():
            features = encoder(reference.image[None])[0]
        weights = reference.mask[::14, ::14].flatten()  # the upper left pixel of each patch
        classes[reference.class_index].append((features, weights))
    return classes


def test_uneven_references__means_are_those_of_what_each_class_has(uneven: Path) -> None:
    filled = fill(*FILL)
    assert filled.code == 0, filled.err
    assert filled.out.count(f"Fewer than 4 references in uneven_set.json: {TOO_FEW}\n") == 1
    finalised = postprocess(*SIZES)
    assert finalised.code == 0, finalised.err
    assert finalised.out.count(f"Classes with fewer than 4 references: {TOO_FEW}\n") == 1

    state = state_of("memory.pth")
    assert state["mem_fill_counts"].tolist() == [1, 2, 3]
    assert state["mem_feats_ins_avg"].shape == (3, LENGTH, 192)
    prototypes = read_memory(Path("memory.pth")).load(Memory()).statistics.prototypes
    for index, own in enumerate(weighted_features()):
        means = torch.stack([(w[:, None] * f).sum(dim=0) / w.sum() for f, w in own])  # (S, C)
        total = torch.stack([(w[:, None] * f).sum(dim=0) for f, w in own]).sum(dim=0)  # (C,)
        area = sum(w.sum() for _, w in own)
        instance_means = state["mem_feats_ins_avg"][index]
        close = {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(instance_means[: len(own)], means, **close)
        assert not instance_means[len(own) :].any()
        torch.testing.assert_close(state["mem_feats_avg"][index], total / area, **close)
        average = means.mean(dim=0)
        torch.testing.assert_close(prototypes[index], average / average.norm(), **close)


def test_uneven_references__two_processes_give_what_one_gives(uneven: Path) -> None:
    assert fill(*FILL).code == 0
    printed = run(
        sys.executable, *FILL, "--model.test_mode", "fill_memory", "--out_path", "two.pth", *TWO
    )
    assert printed.count(TOO_FEW) == 1
    one, two = state_of("filled.pth"), state_of("two.pth")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
