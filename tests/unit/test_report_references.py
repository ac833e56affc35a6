"""The references of a page: pictures of the memory's file, up to a limit."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import write_memory
from no_time_to_train.memory.description import EncoderSpec
from no_time_to_train.reports import references
from no_time_to_train.reports.references import memory_references
from no_time_to_train.structures import Reference


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """Two references of a coin, a red square in white, and one of a bike."""
    memory = Memory(EncoderSpec("dinov2_small", 28), ["coin", "bike"], shots=2)
    mask = torch.zeros(28, 28)
    mask[7:21, 7:21] = 1
    image = torch.ones(3, 28, 28)
    image[1:, 7:21, 7:21] = 0
    features = torch.eye(4, 8) + 0.1
    for class_index, slot in ((0, 0), (0, 1), (1, 0)):
        reference = Reference(image, mask, class_index, slot, 0, 0, "a test")
        memory.remember(reference, features)
    memory.finalise(2, 2)
    write_memory(tmp_path / "memory.pth", memory)
    return tmp_path / "memory.pth"


def test_references__are_shown_with_their_outlines(memory: Path) -> None:
    classes, left_out, note = memory_references(memory)
    assert [(each.name, each.count, len(each.thumbnails)) for each in classes] == [
        ("coin", 2, 2),
        ("bike", 1, 1),
    ]
    assert (left_out, note) == (0, None)
    content = base64.b64decode(classes[0].thumbnails[0].partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(content))).astype(int)  # (96, 96, 3)
    np.testing.assert_allclose(pixels[48, 48], (255, 0, 0), atol=40)
    np.testing.assert_allclose(pixels[4, 4], 127, atol=25)  # white, darker
    edge = pixels[48, 20:30]
    assert np.abs(edge - references.OUTLINE).sum(axis=1).min() < 160


def test_references__beyond_the_limit_are_counted(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "MAX_THUMBNAILS", 1)
    classes, left_out, _ = memory_references(memory)
    assert [len(each.thumbnails) for each in classes] == [1, 0]
    assert left_out == 2


def test_references__of_a_run_are_named_where_the_memory_is_gone(tmp_path: Path) -> None:
    known = [{"name": "coin", "references": 3}]
    classes, _, note = memory_references(tmp_path / "memory.pth", known)
    assert [(each.name, each.count) for each in classes] == [("coin", 3)]
    assert note is not None and "The references are without pictures" in note


def test_references__of_published_memories_have_no_pictures(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Memory, "thumbnails", [[None, None], [None]])
    classes, _, note = memory_references(memory)
    assert [len(each.thumbnails) for each in classes] == [0, 0]
    assert note == "The memory file holds no pictures of its references."
