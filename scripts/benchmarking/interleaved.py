"""Variants that run interleaved, each in a process of its own: a slow minute meets them all."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from benchmarking.report import Measured
from benchmarking.stopwatch import Stopwatch, peak_bytes
from benchmarking.variants import STAGES, VARIANTS, Networks, Parts, segment
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from no_time_to_train.coco.results import CocoRecord

Result = TypeVar("Result")

ATTENTION_ON_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (
        lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value)
    )
}
"""An operation that torch's counter leaves out, with its arithmetic."""

COUNTED_GRIDS = 4, 8
"""Points per side of two grids, whose difference gives the arithmetic of a point."""


class Runner:
    """A variant and what it took so far; one that compiles or uses a GPU first warms up."""

    def __init__(self, name: str, networks: Networks, images: Sequence[Path]) -> None:
        self.variant, self.images = VARIANTS[name], images
        self.device, self.points = networks.device, networks.points_per_side**2
        self.parts = Parts(networks, self.variant.compute)
        self.turns: list[Stopwatch] = []
        self.records: list[list[CocoRecord]] = []
        if self.device != "cpu" or self.variant.compute.compile:
            segment(self.parts, self.variant, images[0], Stopwatch(self.device))
        if self.device != "cpu":
            torch.cuda.reset_peak_memory_stats()

    def take_turn(self) -> float:
        """Run over all images; the seconds that one took."""
        watch = Stopwatch(self.device)
        self.records = [segment(self.parts, self.variant, path, watch) for path in self.images]
        self.turns.append(watch)
        return sum(watch.seconds.values()) / len(self.images)

    def result(self) -> Measured:
        """The figures of all turns; the records are those of the last."""
        shown = len(self.turns) * len(self.images)
        peak = peak_bytes(self.device)
        seconds = {s: sum(watch.seconds[s] for watch in self.turns) / shown for s in STAGES}
        per_point = seconds["decoding"] / self.points
        gflop = gflop_per_point(self.parts, self.variant.decode, self.images[0])
        return Measured(
            seconds=seconds,
            seconds_per_image=sum(seconds.values()),
            turns=[sum(watch.seconds.values()) / len(self.images) for watch in self.turns],
            ms_per_point=1000 * per_point,
            gflop_per_point=gflop,
            gflops=gflop / per_point,
            peak_mb=peak / 2**20,
            records=self.records,
        )


def gflop_per_point(parts: Parts, decode: Callable[..., Any], path: Path) -> float:
    """Arithmetic of decoding one more point, counted in matrix products and convolutions."""
    _, features = parts.encode(parts.read(path))
    counts = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # only what the caller's thread does is counted
    for side in COUNTED_GRIDS:
        parts.use_grid(side)
        with FlopCounterMode(display=False, custom_mapping=ATTENTION_ON_CPU) as counter:
            decode(parts, features)
        counts.append(counter.get_total_flops())
    torch.set_num_threads(threads)
    few, many = (side**2 for side in COUNTED_GRIDS)
    return (counts[1] - counts[0]) / (many - few) / 1e9


def own_process() -> ProcessPoolExecutor:
    """A fresh process, so that its memory is its own; denormal numbers are none, as in `test`."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, spawn, torch.set_flush_denormal, (True,))


def in_subprocess(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function in a process of its own."""
    with own_process() as process:
        return process.submit(function, *arguments).result()


def run_interleaved(
    variants: Mapping[str, tuple[str, Networks]],
    images: Sequence[Path],
    turns: int,
    tell: Callable[[str], None],
) -> dict[str, Measured]:
    """Run all variants over all images, one after the other, as often as there are turns.

    Args:
        variants: By the name of a column, which variant with which networks.
        images: The same for all.
        turns: How often each is run.
        tell: Called with what runs now.
    """
    shown = tuple(images)
    with ExitStack() as stack:
        processes = {name: stack.enter_context(own_process()) for name in variants}
        for turn in range(turns):
            for name, (variant, networks) in variants.items():
                tell(f"{name}, turn {turn + 1} of {turns} ..." if turns > 1 else f"{name} ...")
                processes[name].submit(_take_turn, variant, networks, shown).result()
        return {
            name: processes[name].submit(_result, *chosen, shown).result()
            for name, chosen in variants.items()
        }


def run_concurrently(
    variants: Mapping[str, tuple[str, Networks]],
    images: Sequence[Path],
    processes: int,
    tell: Callable[[str], None],
) -> dict[str, tuple[float, list[float]]]:
    """Run each variant in one process, then in several at once.

    Args:
        variants: By the name of a column, which variant with which networks.
        images: The same for all.
        processes: How many run at once.
        tell: Called with what runs now.

    Returns:
        Seconds per image in one process, and in each of several.
    """
    shown, found = tuple(images), {}
    for name, chosen in variants.items():
        tell(f"{name}, 1 and {processes} processes at once ...")
        with ExitStack() as stack:
            pools = [stack.enter_context(own_process()) for _ in range(processes)]
            for pool in pools:  # the first turn builds and compiles
                pool.submit(_take_turn, *chosen, shown).result()
            single = pools[0].submit(_take_turn, *chosen, shown).result()
            together = [pool.submit(_take_turn, *chosen, shown) for pool in pools]
            found[name] = single, [turn.result() for turn in together]
    return found


@cache
def _runner(name: str, networks: Networks, images: tuple[Path, ...]) -> Runner:
    """The one runner of this process, made at its first turn."""
    return Runner(name, networks, images)


@torch.inference_mode()
def _take_turn(name: str, networks: Networks, images: tuple[Path, ...]) -> float:
    return _runner(name, networks, images).take_turn()


@torch.inference_mode()
def _result(name: str, networks: Networks, images: tuple[Path, ...]) -> Measured:
    return _runner(name, networks, images).result()
