"""Work in steps, of which a signal lets the one at hand end before it ends the process.

What each step has made is kept for another process to go on with. `termination` asks for the end,
and tells what is kept in its sentence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

STOPPED_SECONDS = 60.0
"""Longest wait for the end of the process; it comes at once."""

_running = False
_stop = threading.Event()
_stopped = threading.Event()
_describe: Callable[[], str] | None = None


# --- What does the work calls these.


def begin() -> None:
    """Let signals wait for the end of the step at hand from now on."""
    global _running
    _stop.clear()
    _stopped.clear()
    _running = True


def stop_wanted() -> bool:
    """Whether the step at hand is the last; `stop_here` is to be called once it is kept."""
    return _stop.is_set()


def stop_here() -> None:
    """Wait for the end of the process, now that all is kept."""
    _stopped.set()
    time.sleep(STOPPED_SECONDS)


def end() -> None:
    """Let signals end the process at once again."""
    global _running
    _running = False


def describe_kept(describe: Callable[[], str] | None) -> None:
    """Add something to the sentence with which a process ends before its time.

    Args:
        describe: What is kept, and how to go on; empty where nothing is.
    """
    global _describe
    _describe = describe


# --- What ends the process calls these, from another thread.


def are_running() -> bool:
    """Whether there is a step whose end is to be waited for."""
    return _running and not _stopped.is_set()


def ask_to_stop() -> None:
    """Make the step at hand the last one."""
    _stop.set()


def what_is_kept() -> str:
    """As a part of a sentence; empty where nothing is."""
    text = ""
    with suppress(OSError):
        text = _describe() if _describe else ""
    return f"; {text}" if text else ""
