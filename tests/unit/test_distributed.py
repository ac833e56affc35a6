from __future__ import annotations

import pytest

from no_time_to_train.distributed import RankSampler, gather_everywhere, gather_to_first


@pytest.mark.parametrize(("samples", "ranks"), [(7, 2), (4, 4), (5, 3)])
def test_rank_sampler__every_sample_is_read_once(samples: int, ranks: int) -> None:
    read = [index for rank in range(ranks) for index in RankSampler(range(samples), ranks, rank)]
    assert sorted(read) == list(range(samples))


def test_rank_sampler__a_rank_without_samples_reads_the_first_again() -> None:
    assert [list(RankSampler(range(1), 3, rank)) for rank in range(3)] == [[0], [0], [0]]


def test_gather__on_one_device_sorts_by_key() -> None:
    assert list(gather_everywhere({3: "c", 1: "a"})) == [1, 3]
    assert list(gather_to_first({3: "c", 1: "a"})) == [1, 3]
