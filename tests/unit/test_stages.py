"""The table of stages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from no_time_to_train.config import TestMode
from no_time_to_train.pl_wrapper.stages import STAGES


@pytest.mark.parametrize("mode", TestMode)
def test_stages__the_row_of_a_mode_leads_to_its_stage(mode: TestMode) -> None:
    assert STAGES[mode].load().mode is mode


def test_stages__the_table_is_read_without_libraries_that_are_slow_to_import() -> None:
    code = "import sys, no_time_to_train.pl_wrapper.stages as s; print({'torch'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
