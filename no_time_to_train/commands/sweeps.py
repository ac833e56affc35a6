"""The runs of one benchmark: which there are, which are missing, and their tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from no_time_to_train.commands.evaluations import RunEvaluation
from no_time_to_train.commands.runs import Run
from no_time_to_train.dataset.benchmarks import BENCHMARKS
from no_time_to_train.evaluation.layouts import LAYOUTS, Layout
from no_time_to_train.evaluation.published import Key, published_numbers
from no_time_to_train.evaluation.tables import Sweep, Table, build_tables

RunKey = tuple[str, int | None, int | None]
"""Split, shots and seed."""


@dataclass(frozen=True)
class MissingRun:
    """A run without an evaluation."""

    benchmark: str
    split: str
    shots: int | None
    seed: int | None
    folder: str | None
    """Where its evaluation should be, as far as a runs.json says so."""


@dataclass(frozen=True)
class BenchmarkRuns:
    """Runs of one benchmark that were measured in one way."""

    benchmark: str
    evaluations: list[RunEvaluation]
    listed: dict[RunKey, str]
    """The folders of those that a runs.json lists."""

    def missing(self) -> list[MissingRun]:
        """Those without an evaluation."""
        there = {evaluation.key for evaluation in self.evaluations}
        return [
            MissingRun(self.benchmark, *key, self.listed.get(key))
            for key in self._expected()
            if key not in there
        ]

    def tables(self) -> list[Table]:
        """Their tables, if there is anything to show."""
        if not self.evaluations:
            return []
        return [
            table
            for layout in self._layouts()
            for table in build_tables(self._sweep(layout.numbers), layout)
        ]

    def _sweep(self, numbers: Sequence[str]) -> Sweep:
        benchmark = BENCHMARKS.get(self.benchmark)
        return Sweep(
            self.benchmark,
            self.evaluations[0].title,
            values={
                Key(*evaluation.key, number): value
                for evaluation in self.evaluations
                for number in numbers
                if (value := evaluation.numbers.get(number)) is not None
            },
            expected=[Key(*key, number) for key in self._expected() for number in numbers],
            published=published_numbers(self.benchmark),
            covered={"split": benchmark.splits, "shots": benchmark.shots} if benchmark else {},
        )

    def _layouts(self) -> list[Layout]:
        """As the benchmark's papers have them, with those of the numbers that there are."""
        first = self.evaluations[0]
        measured = {
            number
            for evaluation in self.evaluations
            for number, value in evaluation.numbers.items()
            if value is not None
        }
        layouts = [
            replace(layout, numbers=tuple(name for name in layout.numbers if name in measured))
            for layout in LAYOUTS.get(first.metrics, ())
        ]
        shown = [layout for layout in layouts if layout.numbers]
        return shown or [replace(Layout(), numbers=tuple(first.numbers)[:1])]

    def _expected(self) -> list[RunKey]:
        """Those that are listed; else every combination of the splits, shots and seeds there are.

        Where each split has tables of its own, combinations within it.
        """
        if self.listed:
            return list(self.listed)
        layout = self._layouts()[0]
        parts: dict[str, list[RunKey]] = {}
        for evaluation in self.evaluations:
            is_shared = "split" in (layout.rows, layout.columns)
            parts.setdefault("" if is_shared else evaluation.split, []).append(evaluation.key)
        grids = (product(*map(dict.fromkeys, zip(*keys, strict=True))) for keys in parts.values())
        return [(split, shots, seed) for grid in grids for split, shots, seed in grid]


def group_runs(evaluations: Iterable[RunEvaluation], runs: Iterable[Run]) -> list[BenchmarkRuns]:
    """Put together what belongs into the same tables.

    Args:
        evaluations: What there is.
        runs: Those that a runs.json lists; they are measured as their benchmark is.
    """
    groups: dict[tuple[str, str], BenchmarkRuns] = {}
    for run in runs:
        key = run.benchmark, BENCHMARKS[run.benchmark].metrics
        group = groups.setdefault(key, BenchmarkRuns(run.benchmark, [], {}))
        group.listed[run.split, run.shots, run.seed] = run.folder
    for evaluation in evaluations:
        key = evaluation.benchmark, evaluation.metrics
        group = groups.setdefault(key, BenchmarkRuns(evaluation.benchmark, [], {}))
        group.evaluations.append(evaluation)
    return list(groups.values())
