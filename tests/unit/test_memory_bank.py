from __future__ import annotations

import logging
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from no_time_to_train.errors import InputError
from no_time_to_train.memory.bank import EncoderSpec, Memory
from no_time_to_train.memory.checkpoint import read_memory, write_memory
from no_time_to_train.memory.layout import Kind, check_layout, kind_of
from no_time_to_train.memory.references import summarise
from no_time_to_train.memory.statistics import ClassStatistics, class_statistics
from no_time_to_train.memory.stored_references import references_to_tensors
from no_time_to_train.memory.thumbnails import encode_thumbnail


def thumbnail(index: int, slot: int) -> bytes:
    """A picture of one colour for each reference, the left half of it masked."""
    picture = np.full((6, 6, 4), (40 * index, 40 * slot, 200, 0), np.uint8)
    picture[:, :3, 3] = 255
    return encode_thumbnail(picture)


def memory_of(shots_per_class: list[int]) -> Memory:
    generator = torch.Generator().manual_seed(0)
    memory = Memory()
    for index, shots in enumerate(shots_per_class):
        for slot in range(shots):
            features = torch.randn(9, 4, generator=generator)
            weights = (torch.rand(9, generator=generator) > 0.4).float()
            summary = summarise(features, weights, max_patches=9)
            memory.add(index, slot, replace(summary, thumbnail=thumbnail(index, slot)))
    return memory


def test_summarise__separates_soft_mean_from_foreground_mean() -> None:
    features = torch.tensor([[0.0], [8.0], [100.0]])
    summary = summarise(features, torch.tensor([1.0, 0.25, 0.0]), max_patches=10)
    assert summary.mean.item() == pytest.approx(8 * 0.25 / 1.25)
    assert summary.foreground_mean.item() == 4
    assert (summary.weight, summary.foreground_count) == (1.25, 2)


def test_summarise__samples_patches_evenly_beyond_the_limit() -> None:
    features = torch.arange(9.0)[:, None]
    summary = summarise(features, torch.ones(9), max_patches=3)
    assert summary.patches[:, 0].tolist() == [0, 4, 8]
    assert summary.foreground_count == 9


def test_memory__order_of_arrival_does_not_matter() -> None:
    memory, shuffled = memory_of([2, 3]), Memory()
    for place in sorted(memory.references, reverse=True):
        shuffled.add(*place, memory.references[place])
    for name, tensor in references_to_tensors(memory).items():
        assert torch.equal(tensor, references_to_tensors(shuffled)[name]), name


def test_memory__a_summary_that_is_sent_brings_nothing_else_along() -> None:
    summary = memory_of([2]).references[0, 1]
    sent = pickle.dumps(summary)
    assert len(sent) < 5000, "the block that it lies in has 32 MB"
    received = pickle.loads(sent)
    assert torch.equal(received.patches, summary.patches)
    assert (received.weight, received.mean.tolist()) == (summary.weight, summary.mean.tolist())


def test_memory__keeps_what_was_added_when_the_source_changes() -> None:
    features = torch.ones(4, 3)
    summary = summarise(features, torch.ones(4), max_patches=4)
    memory = Memory()
    memory.add(0, 0, summary)
    memory.add(0, 1, summary)
    for tensor in (summary.mean, summary.foreground_mean, summary.patches):
        tensor.zero_()
    for kept in memory.by_class()[0]:
        assert torch.equal(kept.patches, torch.ones(4, 3, dtype=torch.float16))
        assert kept.mean.tolist() == kept.foreground_mean.tolist() == [1, 1, 1]


def test_references_to_tensors__survives_a_round_trip_with_uneven_classes(tmp_path: Path) -> None:
    memory = memory_of([1, 3])
    tensors = references_to_tensors(memory)
    assert check_layout(tensors) == (2, 3, 4)
    assert kind_of(tensors) is Kind.FILLED
    write_memory(tmp_path / "filled.pth", memory)
    again = references_to_tensors(read_memory(tmp_path / "filled.pth").load(Memory()))
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)


def test_class_statistics__survive_a_round_trip() -> None:
    statistics = class_statistics(memory_of([1, 3]).by_class(), kmeans_k=2, n_components=2)
    tensors = statistics.to_tensors()
    assert kind_of(tensors) is Kind.FINALISED
    again = ClassStatistics.from_tensors(tensors)
    assert torch.equal(again.instance_means, statistics.instance_means)
    # Centres and components are for pictures and kept in float16.
    torch.testing.assert_close(again.centres, statistics.centres, atol=1e-3, rtol=0)


def test_finalise__a_class_without_references_is_an_error() -> None:
    memory = memory_of([1])
    memory.add(2, 0, memory.references[0, 0])
    with pytest.raises(ValueError, match="classes without references: 1"):
        memory.finalise(kmeans_k=2, n_components=2)
    named = Memory(class_names=["arrow", "coin"])
    named.add(0, 0, memory.references[0, 0])
    with pytest.raises(ValueError, match="classes without references: 1"):
        named.finalise(kmeans_k=2, n_components=2)


def test_finalise__classes_may_have_different_numbers_of_references(
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory = Memory(class_names=["arrow", "coin", "gear"], shots=3)
    means = {
        (0, 0): [1.0, 0.0],
        (1, 0): [0.0, 2.0],
        (1, 1): [0.0, 4.0],
        (2, 0): [3.0, 0.0],
        (2, 1): [0.0, 3.0],
        (2, 2): [6.0, 3.0],
    }
    for place, mean in means.items():
        memory.add(*place, summarise(torch.tensor([mean]), torch.ones(1), max_patches=1))
    with caplog.at_level(logging.INFO):
        memory.finalise(kmeans_k=1, n_components=1)
    (record,) = caplog.records
    assert record.message == "Classes with fewer than 3 references: arrow has 1, coin has 2"
    statistics = memory.statistics
    assert statistics.counts.tolist() == [1, 2, 3]
    assert statistics.class_means.tolist() == [[1, 0], [0, 3], [3, 2]]
    assert statistics.instance_means.shape == (3, 3, 2)
    # (3, 0) against the sum of the others (6, 6), (0, 3) against (9, 3), (6, 3) against (3, 3)
    cosines = torch.tensor([1 / 2**0.5, 1 / 10**0.5, 3 / 10**0.5])
    expected = [1.0, 1.0, float((cosines + 1).mean() / 2)]
    torch.testing.assert_close(statistics.instance_similarity, torch.tensor(expected))
    prototypes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3 / 13**0.5, 2 / 13**0.5]])
    torch.testing.assert_close(statistics.prototypes, prototypes)


def test_memory__an_unfinished_one_says_what_is_missing() -> None:
    memory = Memory()
    with pytest.raises(InputError, match="no classes yet"):
        memory.check_finalised()
    memory = memory_of([1])
    with pytest.raises(InputError, match=r"filled but not post-processed; run test_mode"):
        _ = memory.statistics
    memory.finalise(kmeans_k=1, n_components=1)
    memory.check_finalised()
    memory.add(0, 1, memory.references[0, 0])
    with pytest.raises(InputError, match=r"call finalise\(\) after the last"):
        memory.check_finalised()


def test_load__reads_the_dense_maps_of_published_checkpoints(tmp_path: Path) -> None:
    features = torch.tensor([[[[2.0], [4.0], [50.0]], [[7.0], [9.0], [9.0]]]])  # (1, 2, 3, 1)
    masks = torch.tensor([[[1.0, 0.5, 0.0], [1.0, 0.0, 0.0]]])
    tensors = {
        "mem_feats": features,
        "mem_masks": masks,
        "mem_fill_counts": torch.tensor([2]),
        "mem_feats_ins_avg": torch.zeros(1, 2, 1),
    }
    state = {f"seg_model.{name}": tensor for name, tensor in tensors.items()}
    torch.save({"state_dict": state}, tmp_path / "published.pth")
    memory = read_memory(tmp_path / "published.pth").load(Memory(max_patches=3))
    first, second = memory.by_class()[0]
    assert first.mean.item() == pytest.approx(4 / 1.5)
    assert (second.mean.item(), second.foreground_count) == (7.0, 1)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (EncoderSpec("dinov2_demo", 252), None),
        (EncoderSpec("dinov2_demo", None), None),
        (None, None),
        (EncoderSpec("dinov2_demo", 280), "dinov2_demo at 252 x 252 .* dinov2_demo at 280 x 280"),
        (EncoderSpec("dinov2_base", 252), "dinov2_demo at .* dinov2_base at"),
    ],
)
def test_load__refuses_another_encoder_or_size(
    tmp_path: Path, own: EncoderSpec | None, words: str | None
) -> None:
    memory = memory_of([1])
    memory.encoder = EncoderSpec("dinov2_demo", 252)
    write_memory(tmp_path / "filled.pth", memory)
    file = read_memory(tmp_path / "filled.pth")
    if words is None:
        assert file.load(Memory(own)).references.keys() == {(0, 0)}
    else:
        with pytest.raises(InputError, match=rf"filled\.pth was filled with {words}.*; use"):
            file.load(Memory(own))
