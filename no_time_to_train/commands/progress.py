"""How far a download is: a bar in a terminal, some lines in a log."""

from __future__ import annotations

import logging
import sys
import time

logger = logging.getLogger(__name__)

BAR_SECONDS = 0.2
LOG_SECONDS = 30.0
BAR_WIDTH = 30


def megabytes(size: int) -> str:
    """A size as people read it."""
    return f"{size / 1e6:.1f} MB"


class Progress:
    """Counts bytes and tells of them at times.

    Args:
        name: Of the file.
        done: Bytes that an earlier run has left.
        size: Bytes of the whole file, where it is known.
    """

    def __init__(self, name: str, done: int, size: int | None) -> None:
        self.name, self.done, self.size = name, done, size
        self._before = done
        self._started = self._told = time.monotonic()
        self._is_terminal = sys.stderr.isatty()
        if done:
            logger.info("%s: going on after %s", name, megabytes(done))

    def add(self, count: int) -> None:
        """Count bytes that have arrived."""
        self.done += count
        now = time.monotonic()
        if now - self._told >= (BAR_SECONDS if self._is_terminal else LOG_SECONDS):
            self._told = now
            self._tell()

    def finish(self) -> None:
        """Tell the last state."""
        self._tell()
        if self._is_terminal:
            sys.stderr.write("\n")

    def _tell(self) -> None:
        speed = (self.done - self._before) / max(time.monotonic() - self._started, 1e-9)
        of = f" of {megabytes(self.size)}" if self.size is not None else ""
        text = f"{megabytes(self.done)}{of}, {speed / 1e6:.1f} MB/s"
        if not self._is_terminal:
            logger.info("%s: %s", self.name, text)
            return
        filled = int(BAR_WIDTH * self.done / self.size) if self.size else 0
        bar = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] " if self.size else ""
        sys.stderr.write(f"\r{self.name}: {bar}{text}\x1b[K")
        sys.stderr.flush()
