"""How far a run is, in a log file: a line a minute, where a terminal has a bar."""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import Any

from lightning import Callback, LightningModule, Trainer

from no_time_to_train.pl_wrapper.resumption import Resumption

logger = logging.getLogger(__name__)

FIRST_SECONDS = 5.0
"""After which the first line comes."""
SECONDS = 55.0
"""Between lines, whatever an image takes."""


class Heartbeat(Callback):
    """Tells from a thread of its own, on rank 0, what all ranks have finished.

    Args:
        resumption: Counts it.
    """

    def __init__(self, resumption: Resumption) -> None:
        self._resumption = resumption
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="heartbeat", daemon=True)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin; Lightning calls these hooks."""
        if trainer.is_global_zero:
            self._started = time.monotonic()
            self._thread.start()

    def on_test_epoch_end(self, *_: Any) -> None:
        """End: what comes after the last image is not counted."""
        self._stop()

    def on_exception(self, *_: Any) -> None:
        """End without another line."""
        self._stop()

    def _stop(self) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def _tell(self) -> None:
        pause = FIRST_SECONDS
        while not self._end.wait(pause):
            pause = SECONDS
            run = self._resumption
            seconds = time.monotonic() - self._started
            total, before = len(run.positions), len(run.earlier)
            logger.info("%s", progress_line(run.count(), before, total, run.stage.unit, seconds))


def progress_line(done: int, before: int, total: int, unit: str | None, seconds: float) -> str:
    """How far a run is, how fast, and when it will be done if it goes on like that.

    Args:
        done: Samples that are finished.
        before: Of those, how many an earlier run has left.
        total: All that are to run.
        unit: What they are called.
        seconds: Since this run began with its first.
    """
    line = f"{done} of {total} {unit}"
    if done <= before:
        return f"{line}, none of this run yet"
    speed = (done - before) / seconds
    left = timedelta(seconds=round((total - done) / speed))
    return f"{line}, {speed:.3g} {unit}/s, {left} left"
