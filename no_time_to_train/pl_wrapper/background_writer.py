"""Work that the next image need not wait for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class BackgroundWriter:
    """Runs calls one after the other in a thread of its own.

    Args:
        max_waiting: Calls that may wait or run; one more makes its caller wait for the first.
    """

    def __init__(self, max_waiting: int = 2) -> None:
        self.max_waiting = max_waiting
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._waiting: deque[Future[Any]] = deque()

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function later; an earlier call's error is raised here or by `finish`."""
        while len(self._waiting) >= self.max_waiting:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(function, *arguments))

    def finish(self) -> None:
        """Wait for all calls; the first error is raised."""
        while self._waiting:
            self._waiting.popleft().result()
