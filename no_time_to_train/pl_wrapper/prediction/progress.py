"""How far a prediction is: a line that changes in a terminal, lines in its log file."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable

from no_time_to_train.pl_wrapper.heartbeat import FIRST_SECONDS, SECONDS, progress_line
from no_time_to_train.pl_wrapper.prediction.kept import KeptPictures
from no_time_to_train.pl_wrapper.prediction.run_log import FILE_ALONE

POLL_SECONDS = 0.5

logger = logging.getLogger(__name__)


class ProgressMonitor:
    """A thread on rank 0 that counts what all ranks have finished, and tells it.

    Args:
        kept: Counts it.
        notice: Called after each count, such as to write what is complete by then.
    """

    def __init__(self, kept: KeptPictures, notice: Callable[[], None]) -> None:
        self._kept, self._notice = kept, notice
        self._before = kept.count
        self._end = threading.Event()
        self._started = self._told = time.monotonic()
        self._pause = FIRST_SECONDS
        self._is_terminal = sys.stderr.isatty()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)
        self._error: Exception | None = None

    def __enter__(self) -> ProgressMonitor:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Count once more; what `notice` has raised is raised here."""
        self._end.set()
        self._thread.join()
        if kind is None:
            self._count()
            self._log()
            self._show("\n")
            if self._error is not None:
                raise self._error

    def _watch(self) -> None:
        while not self._end.wait(POLL_SECONDS) and self._error is None:
            self._count()
            self._show()
            if time.monotonic() - self._told >= self._pause:
                self._told, self._pause = time.monotonic(), SECONDS
                self._log()

    def _count(self) -> None:
        try:
            self._kept.update()
            self._notice()
        except Exception as error:
            self._error = self._error or error

    def _line(self) -> str:
        kept, seconds = self._kept, max(time.monotonic() - self._started, 1e-9)
        return progress_line(kept.count, self._before, kept.total, "pictures", seconds)

    def _log(self) -> None:
        # In a terminal the line that changes is enough.
        logger.info("%s", self._line(), extra={FILE_ALONE: self._is_terminal})

    def _show(self, end: str = "") -> None:
        if self._is_terminal:
            # The cursor goes back, so that a message takes the place of this line.
            sys.stderr.write(f"{self._line()}\x1b[K\r{end}")
            sys.stderr.flush()
