"""Memories of earlier versions: what they lack does not keep them from being used."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import read_memory, write_memory
from no_time_to_train.memory.description import EncoderSpec, describe_memory
from no_time_to_train.memory.layout import Kind
from tests.unit.memory_mutants import originals

OLD = Path(__file__).resolve().parents[1] / "data/memory_of_2026-11.pth"
"""Post-processed, of the photographs by the demo networks; with no weights and no thumbnails."""


def test_read_memory__of_a_version_without_thumbnails() -> None:
    file = read_memory(OLD)
    assert (file.kind, file.size, file.counts) == (Kind.FINALISED, (2, 1, 192), [1, 1])
    assert file.encoder == EncoderSpec("dinov2_demo", 252)
    assert describe_memory(OLD).class_names == ["motorcycle", "coin"]
    assert file.similarity == [1.0, 1.0]
    assert file.thumbnails == [[None], [None]]
    memory = file.load(Memory())
    assert memory.thumbnails == [[None], [None]]
    assert [math.isnan(own[0].weight) for own in memory.by_class()] == [True, True]


def test_write_memory__keeps_all_of_an_older_file(tmp_path: Path) -> None:
    write_memory(tmp_path / "new.pth", read_memory(OLD).load(Memory()))
    old, new = read_memory(OLD), read_memory(tmp_path / "new.pth")
    assert new.tensors.keys() - old.tensors.keys() == {"mem_mask_sums"}
    assert new.tensors["mem_mask_sums"].isnan().all()
    for name, tensor in old.tensors.items():
        assert torch.equal(new.tensors[name], tensor), name


def test_add__to_a_class_of_an_older_file_keeps_what_was_there() -> None:
    memory = read_memory(OLD).load(Memory())
    before = memory.statistics
    added = memory.references[0, 0]
    memory.add(1, 1, added)
    memory.finalise(kmeans_k=4, n_components=3)
    after = memory.statistics
    assert after.counts.tolist() == [1, 2]
    for field in ("class_means", "instance_similarity", "centres", "pca_mean", "pca_components"):
        assert torch.equal(getattr(after, field)[0], getattr(before, field)[0]), field
    mean = (before.instance_means[1, 0] + before.instance_means[0, 0]) / 2
    torch.testing.assert_close(after.prototypes[1], mean / mean.norm(), rtol=0, atol=1e-6)
    torch.testing.assert_close(after.class_means[1], mean)


@pytest.mark.parametrize("kind", ["filled", "post-processed", "published"])
def test_read_memory__of_each_kind_without_thumbnails(tmp_path: Path, kind: str) -> None:
    state, path = originals()[kind], tmp_path / "memory.pth"
    names = ["mem_thumbnails", "mem_thumbnail_sizes"]
    names += [] if kind == "filled" else ["mem_mask_sums"]
    for name in names:
        del state["state_dict"][f"seg_model.{name}"]
    torch.save(state, path)
    memory = read_memory(path).load(Memory())
    assert memory.thumbnails == [[None], [None] * 3]
    unknown = [math.isnan(each.weight) for own in memory.by_class() for each in own]
    assert unknown == [kind == "post-processed"] * 4
    if kind == "published":  # whose masks tell: nine patches each
        assert {each.weight for own in memory.by_class() for each in own} == {9.0}
