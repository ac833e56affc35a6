"""A run keeps what it has finished until it has ended well; `--resume` takes up what is kept."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from no_time_to_train import stepwise
from no_time_to_train.distributed import gather_everywhere
from no_time_to_train.errors import InputError
from no_time_to_train.pl_wrapper.journal import (
    UNFINISHED_RUNS,
    Journal,
    LineCounter,
    UnfinishedRun,
    unfinished_runs,
)
from no_time_to_train.pl_wrapper.run_identity import RunIdentity, identify
from no_time_to_train.pl_wrapper.stages.stage import Stage

logger = logging.getLogger(__name__)


class Resumption(Callback):
    """Gives the ranks what is left to do, and a file each for what they do.

    Rank 0 alone looks for an earlier run, and tells the others.

    Args:
        stage: What is to run; its samples are kept.
        positions: Of the samples that are to run.
        ckpt_path: The memory that it takes up, where it does.
        outputs: Files that flags name, by which a run is known whose inputs have changed.
        folder: Where unfinished runs are kept.
    """

    def __init__(
        self,
        stage: Stage,
        positions: Sequence[int],
        ckpt_path: str | None,
        outputs: Iterable[Path],
        folder: Path,
    ) -> None:
        self.stage, self.positions, self.folder = stage, positions, folder
        self.remaining = list(positions)
        self.earlier: set[int] = set()
        """Positions of samples that an earlier run has finished."""
        self._ckpt_path = ckpt_path
        self._outputs = [str(path) for path in outputs]
        self._identity: RunIdentity | None = None
        self._run: UnfinishedRun | None = None
        self.count: Callable[[], int] = lambda: len(self.earlier)
        """How many are finished, on all ranks together."""

    @property
    def identity(self) -> RunIdentity:
        """What the results depend on; some seconds for the published weights, once."""
        if self._identity is None:
            stage = self.stage
            self._identity = identify(
                stage.mode, stage.model_cfg, stage.dataset_cfgs, self._ckpt_path
            )
        return self._identity

    # --- Before the trainer starts.

    @rank_zero_only
    def look_back(self, resume: bool) -> None:
        """Take up an unfinished run, or say that there is one.

        Args:
            resume: Whether it is wanted.

        Raises:
            InputError: It is wanted, and something that results depend on has changed; or it is
                still going on.
        """
        runs = unfinished_runs(self.folder)
        same = [run for run in runs if run.identity.key == self.identity.key]
        same.sort(key=UnfinishedRun.count, reverse=True)
        if resume and same:
            self._take_up(same)
        elif resume:
            self._refuse_changed(runs)
            logger.info("--resume: no unfinished run in %s, this one begins anew", self.folder)
        elif same and (count := same[0].count()):
            logger.info(
                "An earlier run has kept %d of %d %s in %s; --resume would go on with them",
                *(count, same[0].samples, self.stage.unit, same[0].folder),
            )

    def _take_up(self, runs: Sequence[UnfinishedRun]) -> None:
        self._run = next((run for run in runs if run.lock()), None)
        if self._run is None:
            raise InputError(
                f"--resume: the run in {runs[0].folder} has not ended yet; wait for it or end it, "
                "or repeat the command without --resume"
            )
        wanted, payloads = set(self.positions), self._run.payloads()
        kept = {index: payloads[index] for index in payloads if index in wanted}
        self.stage.restore(kept)
        self.earlier = set(kept)
        logger.info(
            "--resume: %d of %d %s are there already, kept in %s",
            *(len(kept), len(wanted), self.stage.unit, self._run.folder),
        )

    def _refuse_changed(self, runs: Sequence[UnfinishedRun]) -> None:
        for run in runs:
            alike = (run.identity.stage, run.outputs) == (self.identity.stage, self._outputs)
            if alike and run.count():
                raise InputError(
                    f"--resume: since the unfinished run in {run.folder} ({run.count()} of "
                    f"{run.samples} {self.stage.unit}), these have changed: "
                    f"{self.identity.differences(run.identity)}; undo that to go on with it, or "
                    "repeat the command without --resume, or remove that folder"
                )

    # --- While it runs; Lightning calls these on every rank.

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tell all ranks what is left to do."""
        self.earlier = set(gather_everywhere(dict.fromkeys(self.earlier)))
        self.remaining = [each for each in self.positions if each not in self.earlier]

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the file of this rank."""
        stepwise.describe_kept(self._describe_kept)
        if trainer.is_global_zero and self._run is None:
            self._run = UnfinishedRun.create(
                self.folder, self.identity, self._outputs, len(self.positions)
            )
        here = {"folder": self._run.folder} if self._run else {}
        folder = gather_everywhere(here)["folder"]
        self.count = LineCounter(folder, len(self.earlier))
        if not folder.is_dir():
            logger.warning(
                "Rank %d does not see %s, so that what it finishes is not kept for --resume; put "
                "trainer.logger.save_dir where all machines see it",
                *(trainer.global_rank, folder),
            )
        elif self.remaining[trainer.global_rank :: trainer.world_size]:
            self.stage.journal = Journal(folder, trainer.global_rank, self.stage.keep_seconds)
        stepwise.begin()

    def on_test_batch_start(self, *_: Any) -> None:
        """End here where a signal came while the batch was read."""
        self._stop_where_wanted()

    def on_test_batch_end(self, *_: Any) -> None:
        """End here where a signal came meanwhile."""
        self._stop_where_wanted()

    def _stop_where_wanted(self) -> None:
        if stepwise.stop_wanted():
            self.stage.settle()
            self._flush()
            stepwise.stop_here()

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close it, before the ranks' results are gathered."""
        self.stage.settle()
        self._close()
        stepwise.end()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Say what the run leaves for --resume."""
        with suppress(Exception):  # there is one already, perhaps the same
            self.stage.settle()
            self._flush()
        with suppress(InputError):
            self._close()
        stepwise.end()
        if text := self._describe_kept():
            logger.info("%s", text)
        if self._run is not None:
            self._run.unlock()

    def _flush(self) -> None:
        if self.stage.journal is not None:
            self.stage.journal.flush()

    def _close(self) -> None:
        journal, self.stage.journal = self.stage.journal, None
        if journal is not None:
            journal.close()

    def _describe_kept(self) -> str:
        """How much of the run is left for --resume; where that is nothing, it leaves no trace."""
        if self._run is None:
            return ""
        count = self.count()
        if count == 0:
            self._run.remove()
            return ""
        of_all = f"{count} of {len(self.positions)} {self.stage.unit} are kept"
        return f"{of_all}, go on with: {resuming_command() or 'the same command and --resume'}"

    @rank_zero_only
    def forget(self) -> None:
        """Remove what was kept, now that all is stored, and earlier runs that have no more."""
        if self._run is None:
            return
        stepwise.describe_kept(None)
        self._run.remove()
        done = set(self.positions)
        for run in unfinished_runs(self.folder):
            if run.identity.key == self.identity.key and run.lock():
                run.remove() if done.issuperset(run.payloads()) else run.unlock()


def unfinished_folder(trainer: Trainer) -> Path:
    """Where the unfinished runs of a trainer are kept."""
    save_dir: Any = trainer.logger.save_dir if trainer.logger else None
    return Path(save_dir or trainer.default_root_dir) / UNFINISHED_RUNS


def resuming_command() -> str | None:
    """The command line that goes on with this run; None where a launcher has made this one."""
    launched = "TORCHELASTIC_RUN_ID" in os.environ or os.environ.get("SLURM_NTASKS", "1") != "1"
    known = sys.argv[1:2] in (["test"], ["predict"])
    if launched or not known or sys.orig_argv[-len(sys.argv) + 1 :] != sys.argv[1:]:
        return None
    return shlex.join([*sys.orig_argv, *(["--resume"] if "--resume" not in sys.argv else [])])
