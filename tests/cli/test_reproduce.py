"""`reproduce` as a process: runs that fail, signals, and going on afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = """#!/usr/bin/env bash
echo "$@" >> calls
if [[ "$*" == *${FAILS:-nothing}* ]]; then echo "$$" > pid; ${HOW:-false} || exit 5; fi
for word; do
    case ${before:-} in
        --out-path | --out_path | --export_result | --out)
            mkdir -p "$(dirname "$word")"
            echo made > "$word"
            ;;
    esac
    before=$word
done
"""
RUNS = ["coco", "--splits", "few_shot_classes", "--shots", "1", "--seeds", "1", "2", "3"]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of Python for the steps: makes the files that it is told to make."""
    path = tmp_path / "python"
    path.write_text(STAND_IN)
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return path


def start(stand_in: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "run_lightening.py"), "reproduce", *arguments]
    environment = os.environ | {"PYTHON": str(stand_in)} | variables
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def calls() -> list[str]:
    """Stage and seed of each command that has run."""
    found = []
    for line in Path("calls").read_text().splitlines():
        seed = re.search(r"seed(\d)", line)
        stages = ("few_shot_sampling", "fill_memory ", "postprocess_memory ", "evaluate", "summary")
        name = next((stage.strip() for stage in stages if stage in line), "test")
        found.append(f"{name} {seed[1] if seed else ''}".strip())
    return found


STEPS = ("few_shot_sampling", "fill_memory", "postprocess_memory", "test", "evaluate")


def steps_of(seed: int) -> list[str]:
    return [f"{name} {seed}" for name in STEPS]


def test_reproduce__a_failure_ends_all_and_the_same_command_goes_on(stand_in: Path) -> None:
    code, _, err = finished(start(stand_in, *RUNS, FAILS="seed2/1shot/memory.ckpt"))
    assert code == 5
    assert calls() == [*steps_of(1), *steps_of(2)[:2]]
    assert err.startswith("error: few_shot_classes, 1 shot, seed 2: fill ended with exit code 5; ")
    assert err.endswith(f"run_lightening.py reproduce {' '.join(RUNS)}\n")
    Path("calls").unlink()
    code, _, err = finished(start(stand_in, *RUNS))
    assert (code, err) == (0, "")
    assert calls() == [*steps_of(2)[1:], *steps_of(3), "summary"]


def test_reproduce__keep_going_runs_the_others_and_lists_what_failed(stand_in: Path) -> None:
    fails = {"FAILS": "seed2/1shot/memory.ckpt"}
    code, _, err = finished(start(stand_in, *RUNS, "--keep-going", **fails))
    assert code == 5
    assert calls() == [*steps_of(1), *steps_of(2)[:2], *steps_of(3), "summary"]
    assert err.startswith("error: 1 of 3 runs failed (few_shot_classes, 1 shot, seed 2); ")


@pytest.mark.parametrize("to_all", [True, False], ids=["group", "process"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_reproduce__a_signal_ends_the_command_at_hand_too(
    stand_in: Path, number: signal.Signals, to_all: bool
) -> None:
    # Like a stage, the stand-in ends with 128 and the signal's number.
    how = "eval trap 'kill $!; exit 143' TERM; trap 'kill $!; exit 130' INT; sleep 60 & wait"
    command = [sys.executable, str(ROOT / "run_lightening.py"), "reproduce", *RUNS]
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHON": str(stand_in), "FAILS": "fill_memory ", "HOW": how},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not Path("pid").exists() or not Path("pid").read_text():
        assert process.poll() is None
        time.sleep(0.02)
    child = int(Path("pid").read_text())
    (os.killpg if to_all else os.kill)(process.pid, number)
    code, _, err = finished(process)
    assert code == 128 + number
    assert f"error: stopped by {number.name}; written before that: " in err
    assert "few_shot_1shot_seed1.pkl" in err
    assert err.endswith(f"this goes on from there: {stand_in} {ROOT}/run_lightening.py {err_end()}")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    Path("calls").unlink()
    code, out, _ = finished(start(stand_in, *RUNS))
    assert code == 0
    assert calls()[:2] == ["fill_memory 1", "postprocess_memory 1"]
    assert " --resume\n" in out


def err_end() -> str:
    return f"reproduce {' '.join(RUNS)}\n"
