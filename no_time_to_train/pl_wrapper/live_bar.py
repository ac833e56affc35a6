"""A progress bar that moves while a batch takes long."""

from __future__ import annotations

import sys
import threading
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from no_time_to_train.pl_wrapper.heartbeat import SECONDS as LOG_SECONDS

TERMINAL_SECONDS = 1.0


class LiveBar(Callback):
    """Draws Lightning's bar anew every second in a terminal, every minute in a log.

    The bar itself, of which published configs draw every tenth state, stands still for as long as
    its batches take. A thread on rank 0 tells it what is done.
    """

    def __init__(self) -> None:
        self._done = 0
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def on_test_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Begin with the first batch, by when there is a bar; Lightning calls these hooks."""
        bar = trainer.progress_bar_callback
        if self._thread is None and trainer.is_global_zero and isinstance(bar, TQDMProgressBar):
            self._thread = threading.Thread(target=self._draw, args=(bar,), daemon=True)
            self._thread.start()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch."""
        self._done = batch_idx + 1

    def on_test_epoch_end(self, *_: Any) -> None:
        """End."""
        self._stop()

    def on_exception(self, *_: Any) -> None:
        """End."""
        self._stop()

    def _stop(self) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _draw(self, bar: TQDMProgressBar) -> None:
        pause = TERMINAL_SECONDS if sys.stdout.isatty() else LOG_SECONDS
        while not self._end.wait(pause):
            drawn = bar.test_progress_bar
            drawn.n = self._done
            drawn.refresh()
