"""Mutated memory files: each is used, or refused in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.unit.memory_mutants import originals, outcome_of, outcomes

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", ["filled", "dense", "post-processed", "published"])
def test_memory__as_written_is_used(tmp_path: Path, kind: str, zipped: bool) -> None:
    path = tmp_path / "memory.pth"
    torch.save(originals()[kind], path, _use_new_zipfile_serialization=zipped)
    assert outcome_of(path) == "used"


@pytest.mark.filterwarnings("ignore")
def test_memory_mutants__are_used_or_refused(tmp_path: Path) -> None:
    endings = list(outcomes(range(120), tmp_path))
    assert [each for each in endings if each[1] not in ("used", "refused")] == []
    assert {"used", "refused"} == {ending for _, ending in endings}


@pytest.mark.exhaustive
def test_memory_mutants__2000_within_2_gb_and_20_s_each() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.unit.memory_mutants", "2000"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800
    )
    assert run.returncode == 0, run.stdout + run.stderr
