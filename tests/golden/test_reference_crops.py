"""Crops, masks and patch masks of six references, three of them clipped or thin."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from no_time_to_train.config import ClassNames, FillMemoryDataConfig
from no_time_to_train.dataset.references import ReferenceDataset
from tests.golden import deterministic

FOLDER = Path(__file__).parent
GOLDEN = json.loads((FOLDER / "reference_crops.json").read_text())


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> ReferenceDataset:
    folder = tmp_path_factory.mktemp("references")
    pixels = deterministic.image("crop.image", 427, 640).transpose(1, 2, 0) * 255
    Image.fromarray(pixels.astype(np.uint8)).save(folder / "a.png")
    for name, content in (("coco.json", GOLDEN["coco"]), ("set.json", GOLDEN["memory"])):
        (folder / name).write_text(json.dumps(content))
    return ReferenceDataset(
        FillMemoryDataConfig(
            root=str(folder),
            json_file=str(folder / "coco.json"),
            memory_pkl=str(folder / "set.json"),
            image_size=GOLDEN["image_size"],
            memory_length=3,
            context_ratio=GOLDEN["context_ratio"],
            cat_names=ClassNames(GOLDEN["cat_names"]),
        )
    )


def test_references__stand_in_the_order_of_the_set(references: ReferenceDataset) -> None:
    assert references.class_names == ["boat", "bird"]
    items = list(references)
    categories = [references.categories[item.class_index].id for item in items]
    sources = [f"annotation {number} of image a.png" for _, number in GOLDEN["order"]]
    assert categories == [category for category, _ in GOLDEN["order"]]
    assert [item.source for item in items] == sources
    assert [item.slot for item in items] == [0, 1, 2, 0, 1, 2]
    assert [item.index for item in items] == list(range(6))


@pytest.mark.parametrize("index", range(6))
def test_references__equal_the_published_crops(references: ReferenceDataset, index: int) -> None:
    golden = np.load(FOLDER / "reference_crops.npz")
    reference = references[index]
    patch_mask = F.interpolate(reference.mask[None, None], (37, 37), mode="nearest")[0, 0]
    assert reference.class_index == golden[f"class_index_{index}"]
    for name, found in (
        ("image", reference.image[:, ::16, ::16]),
        ("mask", reference.mask[::8, ::8]),
        ("patch_mask", patch_mask),
    ):
        expected = torch.from_numpy(golden[f"{name}_{index}"])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0, check_dtype=False)
