"""Chunks in threads: order, modes, errors, and PyTorch's own threads as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from sam2.fast.threads import map_in_threads


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_map_in_threads__keeps_the_order_of_the_items():
    assert map_in_threads(lambda item: item * item, range(20), threads=3) == [
        i * i for i in range(20)
    ]


def test_map_in_threads__runs_items_side_by_side_with_one_thread_of_torch_each():
    both = threading.Barrier(2, timeout=60)  # breaks unless two items run at once

    def meet(item: int) -> tuple[int, str]:
        both.wait()
        return torch.get_num_threads(), threading.current_thread().name

    found = map_in_threads(meet, range(2), threads=2)
    assert [count for count, _ in found] == [1, 1]
    assert len({name for _, name in found}) == 2


@pytest.mark.parametrize(("items", "threads"), [(3, 1), (1, 3)])
def test_map_in_threads__without_company_stays_in_the_callers_thread(items: int, threads: int):
    found = map_in_threads(
        lambda _: (threading.current_thread(), torch.get_num_threads()), range(items), threads
    )
    assert found == [(threading.current_thread(), 4)] * items


def test_map_in_threads__leaves_torch_its_threads_here_and_in_threads_to_come():
    map_in_threads(lambda item: item, range(4), threads=2)
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert (torch.get_num_threads(), later) == (4, [4])


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_map_in_threads__takes_the_mode_of_the_caller(mode):
    with mode():
        expected = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        found = map_in_threads(
            lambda _: (torch.is_inference_mode_enabled(), torch.is_grad_enabled()), range(2), 2
        )
    assert found == [expected] * 2


def test_map_in_threads__raises_the_first_error_as_it_is():
    def fail(item: int) -> int:
        raise KeyError(item)

    with pytest.raises(KeyError, match="0"):
        map_in_threads(fail, range(9), threads=2)
    assert torch.get_num_threads() == 4
