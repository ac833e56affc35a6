"""Processes that signals and other ranks end; they import the standard library alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from no_time_to_train.termination import SIGNALS

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
import multiprocessing, os, pathlib, signal, subprocess, sys, time
from no_time_to_train import termination
def ready():
    print("ready", flush=True)
def sleep():
    ready()
    time.sleep(60)
"""


def start(
    folder: Path, body: str, *, head: Sequence[str] = (), own_group: bool = False
) -> subprocess.Popen[str]:
    """A process that runs `main` of the body, up to where it says that it is ready."""
    process = subprocess.Popen(
        [*head, sys.executable, "-c", f"{HEAD}{body}\ntermination.run(main)"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=own_group,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.mark.parametrize("number", sorted(SIGNALS))
def test_signal__ends_with_its_code_and_a_sentence(tmp_path: Path, number: int) -> None:
    process = start(tmp_path, "main = sleep")
    process.send_signal(number)
    name = signal.Signals(number).name
    assert end(process) == (128 + number, f"error: stopped by {name}; nothing was written\n")


def test_signal__that_the_process_was_started_to_ignore_is_ignored(tmp_path: Path) -> None:
    process = start(tmp_path, "main = sleep", head=("nohup",))
    process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert process.poll() is None
    process.terminate()
    assert end(process)[0] == 143


def assert_group_gone(group: int) -> None:
    deadline = time.monotonic() + 30
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.1)


SWALLOWING = """
def main():
    ready()
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
REPLACED = """
def main():
    signal.signal(signal.SIGTERM, lambda *_: None)
    sleep()
"""
LOCKED = """
import threading
def main():
    ready()
    threading.Lock().acquire() and threading.Event().wait(60)
"""


@pytest.mark.parametrize("body", [SWALLOWING, REPLACED, LOCKED])
def test_signal__whatever_the_main_thread_does(tmp_path: Path, body: str) -> None:
    process = start(tmp_path, body)
    process.terminate()
    assert end(process) == (143, "error: stopped by SIGTERM; nothing was written\n")


WRITING = """
from no_time_to_train.files import atomic_write
def main():
    for name in ("a", "b", "c"):
        with atomic_write(pathlib.Path(name)) as file:
            file.write("new")
            file.flush()
            if name == "c":
                sleep()
"""


def test_signal__leaves_whole_files_and_names_them(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("old")
    process = start(tmp_path, WRITING)
    assert len(list(tmp_path.iterdir())) == 4
    process.terminate()
    assert end(process) == (143, "error: stopped by SIGTERM; written before that: a, b\n")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a": "new", "b": "new", "c": "old",
    }  # fmt: skip


RENAMING = """
def main():
    with termination.temporary(pathlib.Path("drawn")), termination.signals_deferred():
        pathlib.Path("drawn").mkdir()
        (pathlib.Path("drawn") / "a").touch()
        ready()
        time.sleep(1)
        termination.replace(pathlib.Path("drawn") / "a", pathlib.Path("a"), pathlib.Path("a"))
    time.sleep(60)
"""


def test_signal__waits_for_the_end_of_a_rename(tmp_path: Path) -> None:
    process = start(tmp_path, RENAMING)
    process.terminate()
    assert end(process) == (143, "error: stopped by SIGTERM; written before that: a\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


FORKING = """
def main():
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=time.sleep, args=(60,), daemon=True)
    worker.start()
    time.sleep(0.5)
    print("ready", flush=True)
    worker.join()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal__to_all_processes_of_a_terminal_is_one_sentence(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tmp_path, FORKING, own_group=True)
    os.killpg(process.pid, number)
    expected = f"error: stopped by {number.name}; nothing was written\n"
    assert end(process) == (128 + number, expected)
    assert_group_gone(process.pid)  # the worker, too


def test_signal__to_a_worker_is_not_one_to_its_parent(tmp_path: Path) -> None:
    process = start(tmp_path, FORKING.replace('"ready"', '"ready"); print(worker.pid'))
    assert process.stdout is not None
    os.kill(int(process.stdout.readline()), signal.SIGTERM)
    assert end(process) == (0, "")


RANKS = """
def main():
    os.environ[termination.RANK_ZERO_PID] = str(os.getpid())
    rank = "from no_time_to_train import termination; import os, sys, time; termination.run(lambda: %s)"
    other = subprocess.Popen(
        [sys.executable, "-c", rank % sys.argv[1]], env=os.environ | {"LOCAL_RANK": "1"}
    )
    termination.watch_ranks([other])
    time.sleep(0.5)
    print(f"ready\\n{other.pid}", flush=True)
    %s
"""  # noqa: E501


def start_ranks(
    folder: Path, first: str = "time.sleep(60)", other: str = "time.sleep(60)"
) -> tuple[subprocess.Popen[str], int]:
    """Two ranks, and the second one's process id."""
    body = RANKS.replace("sys.argv[1]", repr(other)).replace("    %s\n", f"    {first}\n")
    process = start(folder, body)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, 137)]
)
def test_ranks__signal_to_the_other_ends_both(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process, other = start_ranks(tmp_path)
    os.kill(other, number)
    expected = f"error: rank 1 was stopped by {number.name}; rank 0 had written nothing\n"
    assert end(process) == (code, expected)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ranks__signal_to_the_first_ends_both(tmp_path: Path, number: signal.Signals) -> None:
    process, other = start_ranks(tmp_path)
    process.send_signal(number)
    code, err = end(process)
    expected = {
        signal.SIGTERM: (143, "error: stopped by SIGTERM; rank 0 had written nothing\n"),
        signal.SIGKILL: (-9, ""),
    }
    assert (code, err) == expected[number]
    assert_gone(other)


ABORTING = "__import__('atexit').register(os.abort)"


@pytest.mark.parametrize(
    ("first", "other", "code"),
    [
        ("time.sleep(60)", "(time.sleep(2), sys.exit(2))", 2),
        ("pass", "(time.sleep(2), sys.exit(2))", 2),  # done itself, but the run is not
        ("sys.exit(2)", "time.sleep(60)", 2),
        ("pass", "time.sleep(2)", 0),
        (ABORTING, ABORTING, 0),
    ],
)
def test_ranks__fail_together_without_another_word(
    tmp_path: Path, first: str, other: str, code: int
) -> None:
    process, pid = start_ranks(tmp_path, first, other)
    assert end(process) == (code, "")
    assert_gone(pid)


STEPPING = """
from no_time_to_train import stepwise
def main():
    stepwise.describe_kept(lambda: f"{len(list(pathlib.Path('.').iterdir()))} steps are kept")
    stepwise.begin()
    for step in range(9):
        ready()
        time.sleep(%s)
        pathlib.Path(str(step)).touch()
        if stepwise.stop_wanted():
            stepwise.stop_here()
"""
WAITING = "finishing what is at hand; another signal ends it at once\n"


def test_steps__a_signal_lets_the_one_at_hand_end(tmp_path: Path) -> None:
    process = start(tmp_path, STEPPING % 0.5)
    process.send_signal(signal.SIGUSR1)
    expected = "error: stopped by SIGUSR1; nothing was written; 1 steps are kept\n"
    assert end(process) == (138, expected)


def test_steps__a_second_signal_does_not_wait(tmp_path: Path) -> None:
    process = start(tmp_path, STEPPING % 60)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() == WAITING
    process.send_signal(signal.SIGINT)
    expected = "error: stopped by SIGINT; nothing was written; 0 steps are kept\n"
    assert end(process) == (130, expected)


def test_steps__one_without_end_is_not_waited_for(tmp_path: Path) -> None:
    process = start(tmp_path, f"termination.STEP_SECONDS = 0.2{STEPPING % 60}")
    process.terminate()
    expected = "error: stopped by SIGTERM; nothing was written; 0 steps are kept\n"
    assert end(process) == (143, expected)


STEPPING_RANK = (
    "(stepwise.begin(), time.sleep(%s), open('1', 'w'), stepwise.stop_wanted() or sys.exit(3), "
    "stepwise.stop_here())"
)


@pytest.mark.parametrize("receiver", [0, 1])
def test_steps__those_of_all_ranks_end(tmp_path: Path, receiver: int) -> None:
    head = "from no_time_to_train import stepwise; import os, sys, time"
    other = STEPPING_RANK % 2
    first = (
        "stepwise.describe_kept(lambda: f'{len(os.listdir())} are kept'); stepwise.begin(); "
        "[time.sleep(0.1) for _ in iter(stepwise.stop_wanted, True)]; open('rank 0', 'w'); "
        "stepwise.stop_here()"
    )
    body = f"from no_time_to_train import stepwise{RANKS}".replace("sys.argv[1]", repr(other))
    body = body.replace("import os, sys, time;", f"{head};").replace("    %s\n", f"    {first}\n")
    process = start(tmp_path, body)
    assert process.stdout is not None
    pids = [process.pid, int(process.stdout.readline())]
    os.kill(pids[receiver], signal.SIGTERM)
    code, err = end(process)
    cause = ["stopped by SIGTERM", "rank 1 was stopped by SIGTERM"][receiver]
    expected = f"error: {cause}; rank 0 had written nothing; 2 are kept"
    assert (code, err.splitlines()[-1]) == (143, expected)
    assert_gone(pids[1])
