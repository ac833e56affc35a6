"""A Python that has its imports behind it, for tests that start many real processes.

`WarmPython.command` takes arguments as `python` does (a script, -m, -c or -) and runs them in a
child that a server forks: with the caller's folder, environment, standard streams and ignored
signals, and with its own `__main__`, `sys.argv` and `sys.path`. It ends with the exit code or the
signal of the child, passes signals on, and takes the child with it when it is killed.

What differs from a new process: modules of this project and large libraries are there already, so
variables that are read at their import come too late (OMP_NUM_THREADS is 1; PYTHONHASHSEED);
limits, niceness, mounts, umask and the parent's id are the server's; the interpreter is not taken
apart at the end. With other options, with a `sitecustomize` on PYTHONPATH and as one of several
ranks Python itself runs, as do the ranks that Lightning starts from a child.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from no_time_to_train import openmp
from tests.cli.warm_client import KILL, RECORD, SIGNALS

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = (
    "no_time_to_train.commands.lightning_cli",
    *(f"no_time_to_train.pl_wrapper.stages.{name}" for name in ("fill_memory", "test")),
    *("torchvision", "sklearn.cluster", "sklearn.decomposition", "cv2", "matplotlib"),
    *("sam2.fast.numba_kernels", "pycocotools.cocoeval"),
)
SERVE = "import sys; sys.path.insert(0, sys.argv[1]); from tests.cli import warm; warm.main()"


class WarmPython:
    """A server and the command that it serves; it ends with this process."""

    def __init__(self, folder: Path) -> None:
        path = folder / "socket"
        client = [sys.executable, "-IS", str(Path(__file__).with_name("warm_client.py")), str(path)]
        self.command = str(folder / "python")
        (folder / "python").write_text(f'#!/bin/sh\nexec {shlex.join(client)} "$@"\n')
        (folder / "python").chmod(0o755)
        self.server = subprocess.Popen(
            [sys.executable, "-I", "-c", SERVE, str(ROOT), str(path)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not path.exists():
            assert self.server.poll() is None, "the server has ended"
            time.sleep(0.02)

    def close(self) -> None:
        """Let the server end, unless a child still runs."""
        self.server.communicate()


def kill(process: subprocess.Popen[Any]) -> None:
    """Send SIGKILL to the child of the command, which ends likewise as soon as that is gone."""
    process.send_signal(KILL)
    process.wait()


# --- The server.


def main() -> NoReturn:
    """Serve at the path in sys.argv; in the children, be the Python that was asked for."""
    standard_places = sys.path[1:]  # without the root
    openmp.bound_spinning()
    for name in PRELOADED:
        import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{sys.argv[2]}.new")
    listener.listen(64)
    os.rename(f"{sys.argv[2]}.new", sys.argv[2])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection = listener.accept()[0]
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _serve(connection, standard_places)
        connection.close()
    os._exit(0)


def _serve(connection: socket.socket, standard_places: list[str]) -> NoReturn:
    head, files, _, _ = socket.recv_fds(connection, RECORD.size, 3)
    content = connection.recv(*RECORD.unpack(head), socket.MSG_WAITALL)
    child = os.fork()
    if child:
        for file in files:
            os.close(file)
        _watch(connection, child)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    arguments, folder, environment, ignored = json.loads(content)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _become_new(ignored, standard_places)
    _end(arguments)


def _watch(connection: socket.socket, child: int) -> NoReturn:
    """Stand between a caller and its child until one of them has ended."""
    handle, numbers = os.pidfd_open(child), b" "
    while numbers and handle not in select.select([connection, handle], [], [])[0]:
        numbers = connection.recv(64)
        for number in numbers or [KILL]:
            os.kill(child, signal.SIGKILL if number == KILL else number)
    with suppress(OSError):  # the caller has gone
        connection.send(RECORD.pack(os.waitpid(child, 0)[1]))
    os._exit(0)


def _become_new(ignored: list[int], standard_places: list[str]) -> None:
    """Have signals, streams and random numbers as an interpreter has them at its start."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, places), *standard_places]
    sys.modules["numpy"].random.seed()


def _run(arguments: list[str]) -> None:
    """What `python ARGUMENTS` does."""
    main_module = sys.modules["__main__"] = ModuleType("__main__")
    sys.orig_argv = [sys.executable, *arguments]
    first, *rest = arguments
    if first == "-m":
        sys.argv = rest
        sys.path.insert(0, os.getcwd())
        return runpy._run_module_as_main(rest[0])
    sys.argv = arguments
    if first == "-":
        source, name, place = sys.stdin.read(), "<stdin>", ""
        main_module.__file__ = name
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        source, name, place = rest[0], "<string>", ""
    else:
        path = Path(first)
        main_module.__file__ = str(path.absolute())
        source, name, place = path.read_text(encoding="utf-8"), first, str(path.resolve().parent)
    sys.path.insert(0, place)
    exec(compile(source, name, "exec"), main_module.__dict__)


def _end(arguments: list[str]) -> NoReturn:
    """Run, and end as Python does, without the second that taking the modules apart takes."""
    code: Any = 0
    try:
        _run(arguments)
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    if not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code & 0xFF)
