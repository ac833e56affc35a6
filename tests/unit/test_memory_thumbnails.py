"""Pictures of references: made, kept through every stage and file, and small enough."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from no_time_to_train.config import ModelConfig
from no_time_to_train.dataset.crops import crop_and_resize
from no_time_to_train.dataset.images import read_image, to_tensor
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import read_memory, write_memory
from no_time_to_train.memory.description import describe_memory
from no_time_to_train.memory.reference_json import summary_from_json, summary_to_json
from no_time_to_train.memory.references import summarise
from no_time_to_train.memory.thumbnails import (
    SIDE,
    decode_thumbnail,
    encode_thumbnail,
    thumbnail_of,
)
from no_time_to_train.structures import Reference
from tests.unit.test_memory_bank import memory_of, thumbnail

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = sorted((ROOT / "photos/images").iterdir())
CROP = 518
"""Side of the published encoder's crops."""


def reference(draw: random.Random) -> Reference:
    """A part of a photograph, with a mask whose outline has waves."""
    pixels = to_tensor(read_image(draw.choice(PHOTOS)))  # (3, H, W)
    height, width = pixels.shape[1:]
    side = draw.randrange(40, min(height, width))
    left, top = draw.randrange(width - side), draw.randrange(height - side)
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    dy, dx = (ys - top) / side - 0.5, (xs - left) / side - 0.5
    angle = torch.atan2(dy, dx)
    radius = 0.35 + 0.08 * torch.sin(draw.randrange(2, 6) * angle) + 0.03 * torch.sin(11 * angle)
    inside = (dx**2 + dy**2).sqrt() < radius
    box = (left, top, left + side, top + side)
    image, mask = crop_and_resize(pixels, inside, box, CROP)
    return Reference(image, mask, 0, 0, 0, 0, "a photograph")


def test_thumbnail_of__shows_the_crop_and_keeps_the_mask_exactly() -> None:
    drawn = reference(random.Random(1))
    found = decode_thumbnail(thumbnail_of(drawn))
    assert found is not None and found.shape == (SIDE, SIDE, 4) and found.dtype == np.uint8
    for row, column in ((24, 24), (2, 2), (10, 40), (8, 24)):
        rows, columns = pixels_under(row), pixels_under(column)
        expected = 255 * float(drawn.mask[rows, columns].mean())
        assert abs(float(found[row, column, 3]) - expected) <= 0.51
    crop = Image.fromarray((drawn.image * 255).byte().permute(1, 2, 0).numpy())
    small = np.asarray(crop.resize((SIDE, SIDE)))
    difference = found[..., :3].astype(int) - small
    assert abs(difference).mean() < 12, "of lossy colours, also outside of the mask"


def pixels_under(place: int) -> slice:
    """Rows or columns of a crop that a pixel of the thumbnail shows, at least in part."""
    return slice(place * CROP // SIDE, -(-(place + 1) * CROP // SIDE))


def test_encode_thumbnail__keeps_colours_where_the_mask_is_zero() -> None:
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[..., :3] = (200, 30, 90)
    found = decode_thumbnail(encode_thumbnail(picture))
    assert found is not None and not found[..., 3].any()
    assert abs(found[..., :3].astype(int) - (200, 30, 90)).max() < 12


@pytest.mark.parametrize(
    "content",
    [None, b"", b"RIFF", b"RIFF\x04\0\0\0WEBP", b"\x89PNG\r\n\x1a\n", bytes(1000)],
)
def test_decode_thumbnail__of_anything_else_is_none(content: bytes | None) -> None:
    assert decode_thumbnail(content) is None


def test_decode_thumbnail__decodes_no_large_picture() -> None:
    assert decode_thumbnail(encode_thumbnail(np.zeros((512, 512, 4), np.uint8))) is not None
    assert decode_thumbnail(encode_thumbnail(np.zeros((513, 8, 4), np.uint8))) is None


def test_summary_to_json__brings_the_thumbnail_back() -> None:
    summary = memory_of([1]).references[0, 0]
    again = summary_from_json(json.loads(json.dumps(summary_to_json(summary))))
    assert again.thumbnail == summary.thumbnail == thumbnail(0, 0)
    older = summary_to_json(summary)
    del older["thumbnail"]
    assert summary_from_json(older).thumbnail is None


@pytest.mark.parametrize("finalised", [False, True])
def test_write_memory__keeps_the_thumbnail_of_each_reference(
    tmp_path: Path, finalised: bool
) -> None:
    memory, path = memory_of([1, 3]), tmp_path / "memory.pth"
    del memory.references[1, 1]
    memory.add(1, 1, summarise(torch.ones(9, 4), torch.ones(9), max_patches=9))  # without one
    if finalised:
        memory.finalise(kmeans_k=2, n_components=2)
    write_memory(path, memory)
    expected = [[thumbnail(0, 0)], [thumbnail(1, 0), None, thumbnail(1, 2)]]
    assert describe_memory(path).thumbnails == expected
    loaded = read_memory(path).load(Memory())
    assert [[each.thumbnail for each in own] for own in loaded.by_class()] == expected
    found = loaded.thumbnails
    assert [[picture is None for picture in own] for own in found] == [
        [False],
        [False, True, False],
    ]
    last = found[1][2]
    assert last is not None and last[..., 3].tolist() == [[255] * 3 + [0] * 3] * 6


def test_write_memory__of_30_references_for_each_class_of_coco_takes_less_than_15_mb(
    tmp_path: Path,
) -> None:
    draw, generator = random.Random(0), torch.Generator().manual_seed(0)
    thumbnails = [thumbnail_of(reference(draw)) for _ in range(100)]
    settings = ModelConfig().sam2_infer_cfgs
    memory = Memory(class_names=[f"class {index}" for index in range(80)], shots=30)
    for index in range(80):
        for slot in range(30):
            features = torch.randn(2, 1024, generator=generator)
            summary = summarise(features, torch.ones(2), max_patches=2)
            picture = thumbnails[(index * 30 + slot) % len(thumbnails)]
            memory.references[index, slot] = replace(summary, thumbnail=picture)
    memory.finalise(settings.kmeans_k, settings.n_pca_components)
    write_memory(tmp_path / "memory.pth", memory)
    assert read_memory(tmp_path / "memory.pth").size == (80, 30, 1024)
    size = (tmp_path / "memory.pth").stat().st_size
    assert 11e6 < size < 15e6
