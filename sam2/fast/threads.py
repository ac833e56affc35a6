"""Chunks of work in threads of their own, for a CPU.

One operation that all cores share ends at a barrier, where OpenMP lets threads wait by spinning:
with tens of thousands of small operations an image, and anything else to run, they spin away the
time that the thread they wait for would need. Whole chunks have no barriers to wait at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> list[Result]:
    """Apply a function to each item, in Python threads with one OpenMP thread each.

    Args:
        function: Runs in the caller's inference and gradient mode.
        items: Chunks of work, about equally large.
        threads: How many run at once; with 1, or one item, the caller's own thread runs them, with
            as many OpenMP threads as it has.

    Returns:
        What the function returns, in the order of the items. The first error is raised as it is.
    """
    if threads == 1 or len(items) == 1:
        return [function(item) for item in items]
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def run(item: Item) -> Result:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return function(item)

    own_threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        with pool:
            return list(pool.map(run, items))
    finally:
        torch.set_num_threads(own_threads)  # what threads to come start with
