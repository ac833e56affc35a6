"""What tests of several kinds share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.cli.warm import WarmPython


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A command that takes the place of `python` and starts in 0.1 s, see tests/cli/warm.py."""
    if not hasattr(os, "pidfd_open"):  # Linux has it
        yield sys.executable
        return
    warm = WarmPython(tmp_path_factory.mktemp("warm"))
    yield warm.command
    warm.close()
