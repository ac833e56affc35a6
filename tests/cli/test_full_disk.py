"""A disk that is full for one of two processes: a sentence, and nothing is lost."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, base, segment, targets
from tests.cli.test_two_processes import flags_of_world, write_targets

ON_A_SMALL_DISK = """
mkdir disk
mount -t tmpfs -o size=48k none disk || exit 77
echo "of the run before" > disk/out.json
{command} 2> err; code=$?
cat disk/out.json > before
mount -o remount,size=10m disk
{command} --resume > again 2>&1 && cp disk/out.json out.json
exit $code
"""


@pytest.mark.exhaustive
def test_full_disk__of_a_run_of_two_processes_loses_nothing(memories_dir: Path) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("a small file system of one's own needs the right to mount one")
    write_targets(8)
    outputs = ("--export_result", "disk/out.json", "--trainer.logger.save_dir", "disk/logs")
    words = [sys.executable, str(ROOT / "run_lightening.py"), "test", *base(), *targets()]
    words += ["--ckpt_path", "memory.pth", *outputs, *flags_of_world(2)]
    script = ON_A_SMALL_DISK.format(command=shlex.join(words))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script], env=environment, capture_output=True, timeout=300
    )
    if done.returncode == 77:
        pytest.skip("mounting is not allowed here")
    err = Path("err").read_text()
    assert done.returncode == 2, err[-3000:]
    (sentence,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "No space left on device" in sentence
    assert "Traceback" not in err
    assert Path("before").read_text() == "of the run before\n"

    told = Path("again").read_text()
    assert "of 8 images are there already" in told, told[-3000:]
    assert segment("--export_result", "whole.json").code == 0
    assert json.loads(Path("out.json").read_text()) == json.loads(Path("whole.json").read_text())
