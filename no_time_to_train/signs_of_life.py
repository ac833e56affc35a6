"""Lines that say that something long is still going on, and how far it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

logger = logging.getLogger(__name__)

SECONDS = 20.0
"""Between lines."""

T = TypeVar("T")


def told(items: Sequence[T], unit: str) -> Iterator[T]:
    """Go through items and log how many are done: after `SECONDS` each time, and of all.

    Args:
        items: What there is to do, each of which may take long.
        unit: What they are called.

    Yields:
        The items.
    """
    last = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS or number == len(items):
            last = now
            logger.info("%d of %d %s", number, len(items), unit)


@contextmanager
def said_while(what: str) -> Iterator[None]:
    """Log every `SECONDS` that something is still going on.

    Args:
        what: It is, such as `measuring accuracy`.
    """
    end = threading.Event()

    def say() -> None:
        started = time.monotonic()
        while not end.wait(SECONDS):
            logger.info("%s for %.0f s", what, time.monotonic() - started)

    thread = threading.Thread(target=say, name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
