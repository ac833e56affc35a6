"""What tests of several kinds share, and what they need of the process that runs them."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.cli.warm import WarmPython

# `nohup` and jobs in the background ignore signals, and so would the commands that tests start. A
# handler that does nothing ignores them as well, and is not inherited.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda number, frame: None)


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A command that takes the place of `python` and starts in 0.1 s, see tests/cli/warm.py."""
    if not hasattr(os, "pidfd_open"):  # Linux has it
        yield sys.executable
        return
    warm = WarmPython(tmp_path_factory.mktemp("warm"))
    yield warm.command
    warm.close()


@pytest.fixture(autouse=True)
def forget_log_level() -> Iterator[None]:
    """Undo what a command that ran in this process has set, by which `caplog` sees more."""
    yield
    for name in ("no_time_to_train", "sam2"):
        logging.getLogger(name).setLevel(logging.NOTSET)
