"""How a command ends before its time: on a signal, or because another rank has failed.

With one sentence, the exit code that shells expect (128 + the signal) and no unfinished file: at
once, or, of work in steps, after the step at hand. A thread of its own does it, without unwinding
the stack: the main thread may be inside a call that returns late or never (a collective whose peer
is gone), or inside a library that swallows exceptions.

Only the standard library is imported, so that this is set up before the seconds that imports take.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from no_time_to_train import stepwise
from no_time_to_train.rank_links import RankLinks

SIGNALS = {
    getattr(signal, name)
    for name in ("SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)
}
"""What users, terminals and batch systems end a process with."""
RANK_VARIABLES = ("SLURM_PROCID", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK")
"""Environment variables of SLURM, Lightning and torchrun; in rank 0 all that are set are 0."""
RANK_ZERO_PID = "NO_TIME_TO_TRAIN_RANK_ZERO_PID"
"""Environment variable by which rank 0 tells the ranks that it starts who watches over them."""

POLL_SECONDS = 0.5
LOCK_SECONDS = 5.0
"""Longest wait for a rename that is under way."""
RANKS_SECONDS = 10.0
"""Time that the other ranks have to remove what they have not finished."""
FAILURE_SECONDS = 3.0
"""Time in which a failure that another rank has caused is told from one of this rank's own."""
STEP_SECONDS = 20.0
"""Time that the step at hand has to end after a signal; SLURM kills after 30 s."""
REPEAT_SECONDS = 1.0
"""A signal that comes again within this time is the same one, by another way."""
FINISH_SECONDS = 60.0
"""Time in which the other ranks must end after rank 0 has."""

_lock = threading.RLock()
"""Held while files are created or renamed; the thread that ends the process never releases it."""
_temporary: set[Path] = set()
_written: list[Path] = []
_ranks: list[subprocess.Popen[Any]] = []
_links: RankLinks | None = None
_wakeup: socket.socket | None = None
_first_signal: float | None = None
_waiting_for_step = False


# --- What a command that writes files uses.


@contextmanager
def temporary(path: Path) -> Iterator[None]:
    """Remove a file or folder at the end of the block, and also when a signal ends the process.

    Args:
        path: It need not exist, neither before the block nor after it.
    """
    _temporary.add(path)
    try:
        yield
    finally:
        _remove(path)
        _temporary.discard(path)


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Let no signal end the process inside the block: for opening and renaming files, no more."""
    with _lock:
        yield


def replace(source: Path, target: Path, name: Path | None) -> None:
    """Rename a file that is complete.

    Args:
        source: The file.
        target: Its new place, in the same file system.
        name: What the sentence at the end calls it; None where users need not know of it. What is
            in a temporary folder is not named: it goes.
    """
    with signals_deferred():
        source.replace(target)
        if name is not None and not _temporary.intersection(target.parents):
            _written.append(name)


def name_written(paths: Iterable[Path]) -> None:
    """Have the sentence at the end name files that another process has written."""
    _written.extend(paths)


# --- What an entry point uses.


def run(main: Callable[[], None]) -> None:
    """Run a command: signals end it, and so does the failure of a rank; it leaves when all have.

    Args:
        main: The command; it leaves with SystemExit where it fails.
    """
    install()
    try:
        main()
        _await_signal()
        _await_ranks()
        if _several_processes():
            # Not with the libraries' endings, of which one in some has aborted when all was done.
            _exit(_exit_code(SystemExit()))
    except BaseException as error:
        _await_signal()
        with _lock:  # held for ever while a signal ends the process: nothing more is said then
            if not _several_processes():
                raise
            # Without the libraries' own endings, which may wait for ranks that are gone.
            _exit(_exit_code(error))


def install() -> None:
    """Let signals end this process from now on; those it was started to ignore stay ignored."""
    global _wakeup
    reader, _wakeup = socket.socketpair()
    _wakeup.setblocking(False)
    signal.set_wakeup_fd(_wakeup.fileno(), warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    os.register_at_fork(after_in_child=_reset_in_child)
    threading.Thread(target=_watch, args=(reader,), name="signals", daemon=True).start()


def is_installed() -> bool:
    """Whether this process ends in the way described here."""
    return _wakeup is not None


def watch_ranks(processes: Sequence[subprocess.Popen[Any]]) -> None:
    """End with these processes, ranks 1, 2, ...: when one fails, all end, with its exit code."""
    _ranks.extend(processes)


def watch_links(links: RankLinks) -> None:
    """End with the ranks at the other ends of these connections, likewise."""
    global _links
    _links = links


def is_first_rank() -> bool:
    """Whether this is rank 0, or the only process; it alone speaks for all."""
    return all(os.environ.get(name, "0") == "0" for name in RANK_VARIABLES)


def await_failed_rank() -> None:
    """Give this process time to end because of another rank, before it says why it fails itself.

    Does not return where another rank has failed, or a signal has come: theirs is the only message.
    """
    _await_signal()
    if _several_processes():
        # Rank 0 first, whose end ends the others: of several that fail alike, it alone says so.
        time.sleep(FAILURE_SECONDS if is_first_rank() else 2 * FAILURE_SECONDS)


# --- How it works.


def _handle(number: int, frame: FrameType | None) -> None:
    """Python's side of a signal, in the main thread: a second one waits for nothing."""
    global _first_signal
    _first_signal = _first_signal or time.monotonic()
    if time.monotonic() - _first_signal > REPEAT_SECONDS and not _waiting_for_step:
        _kill(_ranks)
        _remove_temporary()
        os._exit(128 + number)


def _await_signal() -> None:
    """Leave the end to the thread that watches, if a signal has come; it may have caused this."""
    if _first_signal is not None:
        time.sleep(FINISH_SECONDS)


def _reset_in_child() -> None:
    """In a forked process, such as one that reads images: signals are its parent's business."""
    global _lock, _links
    signal.set_wakeup_fd(-1)  # it leads to the parent's thread
    _lock = threading.RLock()
    _temporary.clear()
    _ranks.clear()
    if _links:
        _links.close()
    _links = None
    for number in SIGNALS:
        if signal.getsignal(number) is _handle:
            # A terminal sends SIGINT to all; the parent ends its children.
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)


def _watch(reader: socket.socket) -> None:
    while True:
        links = _links.working.values() if _links else ()
        ready, _, _ = select.select([reader, *links], [], [], POLL_SECONDS)
        for number in reader.recv(4096) if reader in ready else b"":
            if number in SIGNALS:
                _finish_step(reader, number)
                _end(128 + number, f"stopped by {_signal_name(number)}")
        _check_ranks(reader)


def _finish_step(reader: socket.socket, number: int) -> None:
    """Wait for the steps at hand of all ranks; not if one fails, or another signal comes."""
    global _waiting_for_step, _first_signal
    if not stepwise.are_running():
        return
    _waiting_for_step = True
    stepwise.ask_to_stop()
    for process in _ranks:
        process.terminate()
    if _links and _links.rank == 0:
        _links.tell(128 + number)
    begun, told = time.monotonic(), False
    while (seconds := time.monotonic() - begun) < STEP_SECONDS and _ranks_work():
        if select.select([reader], [], [], POLL_SECONDS / 10)[0]:
            if SIGNALS.intersection(reader.recv(4096)) and seconds > REPEAT_SECONDS:
                break
        if seconds > REPEAT_SECONDS and not told and is_first_rank():
            told = True
            _print("finishing what is at hand; another signal ends it at once\n")
    _first_signal = time.monotonic()
    _waiting_for_step = False


def _ranks_work() -> bool:
    """Whether a step has not ended yet, and no rank has failed."""
    codes = [process.poll() for process in _ranks]
    if any(code and not SIGNALS & {code - 128, -code} for code in codes):
        return False
    failed = _links.ended() if _links and _links.rank == 0 else None
    if failed and (failed[1] or 0) - 128 not in SIGNALS:
        return False
    return stepwise.are_running() or None in codes or _linked_ranks()


def _check_ranks(reader: socket.socket | None = None) -> None:
    if _is_started_rank() and os.getppid() != int(os.environ[RANK_ZERO_PID]):
        _end(1, None)
    for rank, process in enumerate(_ranks, start=1):
        code = process.poll()
        if code:
            _end_with(rank, 128 - code if code < 0 else code, reader)
    failed = _links.ended() if _links else None
    if failed:
        _end_with(*failed, reader)


def _end_with(rank: int, code: int | None, reader: socket.socket | None) -> NoReturn:
    """End because another rank has; where it was a signal, it has left the message to rank 0."""
    if code is None:
        cause = f"rank {rank} has gone without a word: it was killed, or its machine has stopped"
        _end(1, cause, speaks=is_first_rank() or (_links is not None and _links.rank == 1))
    if code - 128 in SIGNALS and reader is not None:
        _finish_step(reader, code - 128)
    by_signal = code - 128 in SIGNALS | {signal.SIGKILL}
    _end(code, f"rank {rank} was stopped by {_signal_name(code - 128)}" if by_signal else None)


def _end(code: int, cause: str | None, speaks: bool | None = None) -> NoReturn:
    """Leave nothing unfinished, and end; runs in the thread that watches."""
    _lock.acquire(timeout=LOCK_SECONDS)
    if cause and (is_first_rank() if speaks is None else speaks):
        more = f"; {_what_was_written()}{stepwise.what_is_kept()}" if is_first_rank() else ""
        _print(f"error: {cause}{more}\n")
    _exit(code)


def _exit(code: int) -> NoReturn:
    _remove_temporary()
    if _links:
        _links.tell(code)
        if code:  # so that rank 0 ends by itself, and not because torchrun stops it
            _links.await_end_of_first(RANKS_SECONDS)
    _end_ranks()
    _end_forked_processes()
    _remove_temporary()
    os._exit(code)


def _exit_code(error: BaseException) -> int:
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return 1
    sys.stdout.flush()
    sys.stderr.flush()
    return error.code if isinstance(error.code, int) else int(error.code is not None)


def _print(text: str) -> None:
    """Write to stderr past Python's buffer, whose lock the main thread may hold, if it is read."""
    with suppress(OSError):
        before = "\n" if os.isatty(2) else ""  # a progress bar may stand there
        if select.select([], [2], [], 2)[1]:
            os.write(2, (before + text).encode())


def _what_was_written() -> str:
    names = [str(path) for path in _written[:3]]
    if not names:
        return "rank 0 had written nothing" if _ranks or _links else "nothing was written"
    if len(_written) > len(names):
        names.append(f"and {len(_written) - len(names)} more")
    return f"written before that: {', '.join(names)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _is_started_rank() -> bool:
    return RANK_ZERO_PID in os.environ and os.environ.get("LOCAL_RANK", "0") != "0"


def _several_processes() -> bool:
    return bool(_ranks or _links) or not is_first_rank()


def _await_ranks() -> None:
    """Wait for the other ranks; the watching thread ends this one if they fail."""
    if _links and _links.rank > 0:
        _links.tell(0)
    deadline = time.monotonic() + FINISH_SECONDS
    while any(process.poll() is None for process in _ranks) or _linked_ranks():
        if time.monotonic() > deadline:
            with _lock:
                _print(f"error: a rank still runs {FINISH_SECONDS:.0f} s after rank 0 was done\n")
                _exit(1)
        time.sleep(POLL_SECONDS / 5)
    _check_ranks()


def _linked_ranks() -> bool:
    return _links is not None and _links.rank == 0 and bool(_links.working)


def _end_ranks() -> None:
    begun, times = time.monotonic(), 0
    while (seconds := time.monotonic() - begun) < RANKS_SECONDS:
        if all(process.poll() is not None for process in _ranks):
            return
        if seconds >= times * 2 * REPEAT_SECONDS and times < 2:
            times += 1  # a second one keeps them from finishing their step
            for process in _ranks:
                process.terminate()
        time.sleep(POLL_SECONDS / 10)
    _kill(_ranks)


def _end_forked_processes() -> None:
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        _kill(multiprocessing.active_children())


def _kill(processes: Sequence[Any]) -> None:
    for process in processes:
        with suppress(OSError, ValueError):  # it has ended already
            process.kill()


def _remove_temporary() -> None:
    for path in list(_temporary):
        _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
