"""Images, read and resized in worker processes.

Batches come through pipes as bytes, not through shared memory: that is 64 MB in a container, and
whoever waits for a batch does not learn that it was full. A pipe ends when its worker does.
"""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import pickle
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

from no_time_to_train.config import DataLoadConfig
from no_time_to_train.errors import InputError

PACKAGE = "no_time_to_train"
DEFERRED_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}

LogCall = tuple[str, int, str, Any]  # logger, level, message, its arguments


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    receiver: Connection


class ImageLoader:
    """Batches of a data set as plain lists, in sampler order.

    Of W workers, worker w reads batches w, w + W, w + 2W, ... and keeps one ready. What they log
    is logged here.

    Args:
        dataset: References or targets.
        sampler: Which of them, in which order.
        config: Workers (never more than there are cores or batches) and batch size.
    """

    def __init__(
        self, dataset: Dataset[Any], sampler: Sampler[int], config: DataLoadConfig
    ) -> None:
        self.dataset = dataset
        indices, size = list(sampler), config.batch_size
        self._batches = [indices[start : start + size] for start in range(0, len(indices), size)]
        self._count = min(config.workers, os.cpu_count() or 1, len(self._batches))

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Any]]:
        """Read all batches.

        Raises:
            InputError: An image cannot be read, or a worker cannot be started or has ended.
        """
        if self._count == 0:
            for batch in self._batches:
                yield [self.dataset[index] for index in batch]
            return
        workers: list[_Worker] = []
        try:
            while len(workers) < self._count:
                workers.append(self._start(self._batches[len(workers) :: self._count]))
            for number in range(len(self)):
                yield _receive(workers[number % self._count])
        finally:
            _stop(workers)

    def _start(self, batches: Sequence[Sequence[int]]) -> _Worker:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(
            target=_work, args=(self.dataset, batches, sender), daemon=True
        )
        # Held back until the worker handles them in its own way.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, DEFERRED_SIGNALS)
        try:
            process.start()
        except OSError as error:
            raise InputError(
                f"an image worker cannot be started ({error.strerror}); set data_load_cfgs.workers "
                "to 0, which reads images in the main process"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            # The worker's end is the worker's alone, so that the pipe ends with it.
            sender.close()
        return _Worker(process, receiver)


def _receive(worker: _Worker) -> list[Any]:
    try:
        content = worker.receiver.recv_bytes()
    except (EOFError, OSError):
        raise InputError(_exit_reason(worker.process)) from None
    outcome, calls = pickle.loads(content)
    for name, level, message, arguments in calls:
        logging.getLogger(name).log(level, message, *arguments)
    if isinstance(outcome, Exception):
        raise outcome
    batch: list[Any] = outcome
    return batch


def _exit_reason(process: BaseProcess) -> str:
    process.join()
    code = process.exitcode or 0
    if -code in DEFERRED_SIGNALS:
        # Sent to the whole group, it is on its way to this process, which knows what to do then.
        time.sleep(1)
    reason = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
    cause = ", as happens when memory runs out" if -code == signal.SIGKILL else ""
    return (
        f"an image worker {reason}{cause}; set data_load_cfgs.workers to fewer, or to 0, which "
        "reads images in the main process"
    )


def _stop(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
        worker.receiver.close()
    for worker in workers:
        worker.process.join()


def _work(dataset: Dataset[Any], batches: Sequence[Sequence[int]], sender: Connection) -> None:
    """Read batches and send them, until all are sent or the receiver is gone."""
    # A terminal and SLURM signal every process of a run; only the main process reports it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, DEFERRED_SIGNALS)
    torch.set_num_threads(1)  # a forked process has none of the threads of its parent
    log = _LogCalls()
    for batch in batches:
        content = _read(dataset, batch, log)
        try:
            sender.send_bytes(content)
        except OSError:
            return  # the main process is gone


def _read(dataset: Dataset[Any], batch: Sequence[int], log: _LogCalls) -> bytes | memoryview:
    """A batch, or the exception that it ended in, and what was logged meanwhile."""
    outcome: Exception
    try:
        return _pickled(([dataset[index] for index in batch], log.take()))
    except InputError as error:
        outcome = error
    except MemoryError:
        outcome = InputError(
            "an image worker has no memory left; set data_load_cfgs.workers or batch_size to less"
        )
    except Exception:
        outcome = RuntimeError(f"in an image worker:\n{traceback.format_exc()}")
    return _pickled((outcome, log.take()))


class _LogCalls(logging.Handler):
    """Collects what this package logs, instead of writing it."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[LogCall] = []
        package = logging.getLogger(PACKAGE)
        package.handlers, package.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        self._calls.append((record.name, record.levelno, record.msg, record.args))

    def take(self) -> list[LogCall]:
        """What has been collected since the last call."""
        calls, self._calls = self._calls, []
        return calls


class _Pickler(pickle.Pickler):
    """Pickles tensors by value; torch's own ways are shared memory and zip files."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return torch.from_numpy, (value.numpy(),)
        return NotImplemented


def _pickled(value: Any) -> bytes | memoryview:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(value)
    return buffer.getbuffer()
