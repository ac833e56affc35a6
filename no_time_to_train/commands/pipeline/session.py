"""The runs of one command line, one after the other, and their table."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

from no_time_to_train import stepwise, termination
from no_time_to_train.commands import runs
from no_time_to_train.commands.pipeline.command_lines import STAGE, python
from no_time_to_train.commands.pipeline.plan import Plan
from no_time_to_train.commands.pipeline.runner import DryRunner, Runner, StepFailed
from no_time_to_train.commands.pipeline.step import Step
from no_time_to_train.commands.pipeline.sweep import Sweep

logger = logging.getLogger(__name__)


class Session:
    """What one command line does."""

    def __init__(self, runner: DryRunner | Runner, again: str) -> None:
        """Begin.

        Args:
            runner: Of the steps.
            again: The command line that goes on where one stops.
        """
        self._runner, self._again = runner, again
        stepwise.describe_kept(lambda: f"this goes on from there: {again}")

    def prepare(self, steps: Iterable[Step]) -> None:
        """Make the files that all runs need; leaves with an exit code where that fails."""
        try:
            self._runner.run(steps)
        except StepFailed as failure:
            self._leave(failure.code, str(failure))

    def run(self, sweep: Sweep, plans: Sequence[Plan], keep_going: bool) -> None:
        """Run after run, then their table; leaves with an exit code where one has failed.

        Args:
            sweep: What was asked for.
            plans: Of its runs.
            keep_going: Whether the others run when one has failed.
        """
        top = top_folder(sweep)
        if not self._runner.is_dry:
            runs.write_runs(top, listed_runs(sweep, top))
        failed = self._run_each(plans, keep_going)
        if self._runner.is_dry or any(plan.run.evaluation.exists() for plan in plans):
            self._runner.call(python(STAGE, "summary", top))
        if failed:
            names = "; ".join(failed)
            self._leave(
                next(iter(failed.values())), f"{len(failed)} of {len(plans)} runs failed ({names})"
            )

    def _run_each(self, plans: Iterable[Plan], keep_going: bool) -> dict[str, int]:
        failed = {}
        for plan in plans:
            logger.info("# %s", plan.run.name)
            try:
                self._runner.run(plan.steps())
            except StepFailed as failure:
                sentence = f"{plan.run.name}: {failure}"
                if not keep_going:
                    self._leave(failure.code, sentence)
                logger.warning("# %s; the other runs go on", sentence)
                failed[plan.run.name] = failure.code
        return failed

    def _leave(self, code: int, sentence: str) -> NoReturn:
        with termination.signals_deferred():
            sys.stderr.write(f"error: {sentence}; this goes on from there: {self._again}\n")
        sys.exit(code)


def top_folder(sweep: Sweep) -> Path:
    """The folder of all runs of a sweep, or where it is that of other sweeps too, one in it."""
    top = Path(os.path.commonpath([run.results_folder for run in sweep.runs()]))
    shared = Path(*takewhile(lambda part: "{" not in part, Path(sweep.folder).parts))
    return top / f"{sweep.benchmark}_runs" if top == shared else top


def listed_runs(sweep: Sweep, top: Path) -> list[runs.Run]:
    """The runs of a sweep, for the runs.json in its folder."""
    return [
        runs.Run(
            sweep.benchmark,
            run.split,
            run.shots,
            run.seed,
            os.path.relpath(run.results_folder, top),
        )
        for run in sweep.runs()
    ]
