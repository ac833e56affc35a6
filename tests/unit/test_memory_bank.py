from __future__ import annotations

import pickle

import pytest
import torch

from no_time_to_train.memory.bank import MemoryBank, class_statistics, summarise
from no_time_to_train.memory.layout import Kind, check_layout, kind_of
from no_time_to_train.memory.tensors import (
    bank_from_tensors,
    bank_to_tensors,
    statistics_from_tensors,
    statistics_to_tensors,
)


def bank_of(shots_per_class: list[int]) -> MemoryBank:
    generator = torch.Generator().manual_seed(0)
    bank = MemoryBank()
    for index, shots in enumerate(shots_per_class):
        for slot in range(shots):
            features = torch.randn(9, 4, generator=generator)
            weights = (torch.rand(9, generator=generator) > 0.4).float()
            bank.add(index, slot, summarise(features, weights, most_patches=9))
    return bank


def test_summarise__separates_soft_mean_from_foreground_mean() -> None:
    features = torch.tensor([[0.0], [8.0], [100.0]])
    summary = summarise(features, torch.tensor([1.0, 0.25, 0.0]), most_patches=10)
    assert summary.mean.item() == pytest.approx(8 * 0.25 / 1.25)
    assert summary.foreground_mean.item() == 4
    assert (summary.weight, summary.foreground_count) == (1.25, 2)


def test_summarise__samples_patches_evenly_beyond_the_limit() -> None:
    features = torch.arange(9.0)[:, None]
    summary = summarise(features, torch.ones(9), most_patches=3)
    assert summary.patches[:, 0].tolist() == [0, 4, 8]
    assert summary.foreground_count == 9


def test_bank__order_of_arrival_does_not_matter() -> None:
    bank, shuffled = bank_of([2, 3]), MemoryBank()
    for place in sorted(bank.summaries, reverse=True):
        shuffled.add(*place, bank.summaries[place])
    for name, tensor in bank_to_tensors(bank).items():
        assert torch.equal(tensor, bank_to_tensors(shuffled)[name]), name


def test_bank__a_summary_that_is_sent_brings_nothing_else_along() -> None:
    summary = bank_of([2]).summaries[0, 1]
    sent = pickle.dumps(summary)
    assert len(sent) < 5000, "the block that it lies in has 32 MB"
    received = pickle.loads(sent)
    assert torch.equal(received.patches, summary.patches)
    assert (received.weight, received.mean.tolist()) == (summary.weight, summary.mean.tolist())


def test_bank__keeps_what_was_added_when_the_source_changes() -> None:
    features = torch.ones(4, 3)
    summary = summarise(features, torch.ones(4), most_patches=4)
    bank = MemoryBank()
    bank.add(0, 0, summary)
    bank.add(0, 1, summary)
    for tensor in (summary.mean, summary.foreground_mean, summary.patches):
        tensor.zero_()
    for kept in bank.references_of(0):
        assert torch.equal(kept.patches, torch.ones(4, 3, dtype=torch.float16))
        assert kept.mean.tolist() == kept.foreground_mean.tolist() == [1, 1, 1]


def test_bank_to_tensors__survives_a_round_trip_with_uneven_classes() -> None:
    tensors = bank_to_tensors(bank_of([1, 3]))
    assert check_layout(tensors) == (2, 3, 4)
    assert kind_of(tensors) is Kind.FILLED
    again = bank_to_tensors(bank_from_tensors(tensors, most_patches=9))
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)


def test_class_statistics__survive_a_round_trip() -> None:
    statistics = class_statistics(bank_of([1, 3]), kmeans_k=2, n_components=2)
    tensors = statistics_to_tensors(statistics)
    assert kind_of(tensors) is Kind.POSTPROCESSED
    again = statistics_from_tensors(tensors)
    assert torch.equal(again.instance_means, statistics.instance_means)
    # Centres and components are for pictures and kept in float16.
    torch.testing.assert_close(again.centres, statistics.centres, atol=1e-3, rtol=0)


def test_class_statistics__a_class_without_references_is_an_error() -> None:
    bank = bank_of([1])
    bank.add(2, 0, bank.summaries[0, 0])
    with pytest.raises(ValueError, match="classes without references: 1"):
        class_statistics(bank, kmeans_k=2, n_components=2)


def test_bank_from_tensors__reads_the_dense_maps_of_published_checkpoints() -> None:
    features = torch.tensor([[[[2.0], [4.0], [50.0]], [[7.0], [9.0], [9.0]]]])  # (1, 2, 3, 1)
    masks = torch.tensor([[[1.0, 0.5, 0.0], [1.0, 0.0, 0.0]]])
    tensors = {"mem_feats": features, "mem_masks": masks, "mem_fill_counts": torch.tensor([2])}
    first, second = bank_from_tensors(tensors, most_patches=3).references_of(0)
    assert first.mean.item() == pytest.approx(4 / 1.5)
    assert (second.mean.item(), second.foreground_count) == (7.0, 1)
