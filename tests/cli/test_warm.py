"""The warm Python does what Python does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli import warm
from tests.cli.conftest import CONFIGS, ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="served on Linux only")
TELL = """
import json, os, signal, sys
main = sys.modules["__main__"]
variables = {name: os.environ.get(name) for name in ("HOME", "ONE_MORE")}
print(json.dumps([
    sys.argv, sys.path, sys.executable, os.getcwd(), variables, main.__dict__ is globals(),
    __name__, globals().get("__file__"), __spec__ is None, sys.stdin.read(), sys.stdout.isatty(),
    signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGTERM),
    signal.getsignal(signal.SIGINT) is signal.default_int_handler,
]))
sys.stderr.write("to stderr")
"""
SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


def both(
    warm_python: str, folder: Path, *arguments: str, given: str = "", head: tuple[str, ...] = ()
) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    """What the warm Python and Python itself leave."""
    environment = {"PATH": os.environ["PATH"], "ONE_MORE": "é", "PYTHONPATH": str(folder / "more")}
    warm_done, done = (
        subprocess.run(
            [*head, python, *arguments],
            cwd=folder,
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
        )
        for python in (warm_python, sys.executable)
    )
    return warm_done, done


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "told.py").write_text(TELL)
    (tmp_path / "tell.py").symlink_to(tmp_path / "more" / "told.py")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("tell.py", "a", "--b"), "input"),
        (("-m", "told", "a"), "input"),
        (("-c", TELL, "a"), "input"),
        (("-", "a"), TELL.replace("sys.stdin.read()", "0")),
        (("-u", "tell.py"), ""),
    ],
)
def test_warm_python__programs_see_what_they_see_in_python(
    warm_python: str, programs: Path, arguments: tuple[str, ...], given: str
) -> None:
    ours, python = both(warm_python, programs, *arguments, given=given, head=("nohup",))
    assert (ours.returncode, python.returncode) == (0, 0), python.stderr
    assert json.loads(ours.stdout) == json.loads(python.stdout)
    assert ours.stderr.endswith("to stderr")


@pytest.mark.parametrize(
    "ending",
    [
        "sys.exit(3)",
        "sys.exit('no')",
        "os._exit(4)",
        "atexit.register(print, 'at the end')",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "threading.Timer(0.1, print, ['later']).start()",
    ],
)
def test_warm_python__ends_as_python_does(warm_python: str, programs: Path, ending: str) -> None:
    code = f"import atexit, os, signal, sys, threading; print('said'); {ending}"
    ours, python = both(warm_python, programs, "-c", code)
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        python.returncode,
        python.stdout,
        python.stderr,
    )


def test_warm_python__an_exception_is_a_traceback(warm_python: str, programs: Path) -> None:
    ours, python = both(warm_python, programs, "-c", "import json; json.loads('{')")
    assert ours.returncode == python.returncode == 1
    assert ours.stderr.splitlines()[-1] == python.stderr.splitlines()[-1]


def test_warm_python__has_its_imports_behind_it(warm_python: str, programs: Path) -> None:
    ours, python = both(warm_python, programs, "-c", "import sys; print('torch' in sys.modules)")
    assert (ours.stdout, python.stdout) == ("True\n", "False\n")


@pytest.mark.parametrize("variables", [{"LOCAL_RANK": "1"}, {"PYTHONPATH": "hooks"}])
def test_warm_python__leaves_ranks_and_hooks_to_python(
    warm_python: str, tmp_path: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").touch()
    command = [warm_python, "-c", "import sys; print('torch' in sys.modules)"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "False\n")


def start_sleeping(warm_python: str) -> tuple[subprocess.Popen[str], Path]:
    """The command, and what is there as long as its child lives."""
    process = subprocess.Popen([warm_python, "-c", SLEEP], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path("/proc", process.stdout.readline().strip())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_warm_python__passes_signals_on(warm_python: str, number: signal.Signals) -> None:
    process, child = start_sleeping(warm_python)
    process.send_signal(number)
    assert process.wait(60) == -number
    assert not child.exists()


def test_kill__returns_when_the_child_is_gone(warm_python: str) -> None:
    process, child = start_sleeping(warm_python)
    warm.kill(process)
    assert process.returncode == -signal.SIGKILL
    assert not child.exists()


def test_warm_python__that_is_killed_takes_its_child_along(warm_python: str) -> None:
    process, child = start_sleeping(warm_python)
    process.kill()
    deadline = time.monotonic() + 30
    while child.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not child.exists()


def test_warm_python__a_command_ends_with_its_sentence(warm_python: str, programs: Path) -> None:
    command = [str(ROOT / "run_lightening.py"), "test", "--config", str(ROOT / CONFIGS[0])]
    ours, python = both(warm_python, programs, *command, "--trainer.devices", "none")
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        python.returncode,
        python.stdout,
        python.stderr,
    )
    assert ours.returncode == 2
