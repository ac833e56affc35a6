"""Images come from worker processes in order, and whatever happens to a worker ends the run."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, SequentialSampler

from no_time_to_train.config import DataLoadConfig
from no_time_to_train.errors import InputError
from no_time_to_train.pl_wrapper.loading import ImageLoader
from no_time_to_train.structures import Target

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Numbers(Dataset[Any]):
    """Squares that show their index; `happens` is called before each."""

    count: int = 7
    happens: Callable[[int], object] = lambda index: None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Target:
        self.happens(index)
        return Target(torch.full((3, 512, 512), index, dtype=torch.uint8), (index, 1), "x", index)


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)


def loader(data: Numbers, workers: int, batch_size: int = 1) -> ImageLoader:
    return ImageLoader(data, SequentialSampler(data), DataLoadConfig(workers, batch_size))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_loader__gives_batches_in_the_order_of_the_sampler(workers: int) -> None:
    batches = loader(Numbers(), workers, batch_size=2)
    found = list(batches)
    assert len(batches) == 4
    assert [[item.index for item in batch] for batch in found] == [[0, 1], [2, 3], [4, 5], [6]]
    for item in (item for batch in found for item in batch):
        assert torch.equal(item.pixels, torch.full((3, 512, 512), item.index, dtype=torch.uint8))
        assert (item.original_size, item.image_id) == ((item.index, 1), "x")
    assert not multiprocessing.active_children()


def refuse(index: int) -> None:
    if index == 4:
        raise InputError("a.png cannot be decoded; replace the file")


def divide(index: int) -> float:
    return 1 / (4 - index)


def exhaust(index: int) -> None:
    if index == 4:
        raise MemoryError


def die(index: int) -> None:
    if index == 4:
        os.kill(os.getpid(), signal.SIGKILL)


def leave(index: int) -> None:
    if index == 4:
        os._exit(3)


ENDS = {
    "wrong image": (refuse, InputError, "^a.png cannot be decoded; replace the file$"),
    "defect": (divide, RuntimeError, "in an image worker:\n(.|\n)*ZeroDivisionError"),
    "no memory": (exhaust, InputError, "has no memory left; set data_load_cfgs.workers or batch_"),
    "killed": (die, InputError, "image worker was ended by SIGKILL, as happens when memory runs"),
    "gone": (
        leave,
        InputError,
        "image worker exited with 3; set .* to 0, which reads images in",
    ),
}


@pytest.mark.parametrize(("happens", "error", "words"), ENDS.values(), ids=list(ENDS))
def test_loader__ends_with_a_sentence_after_the_batches_before(
    happens: Callable[[int], object], error: type[Exception], words: str
) -> None:
    found = []
    with pytest.raises(error, match=words):
        for (item,) in loader(Numbers(happens=happens), workers=2):
            found.append(item.index)
    assert found == [0, 1, 2, 3]
    assert not multiprocessing.active_children()


def test_loader__a_worker_that_is_killed_while_it_sends_is_noticed() -> None:
    batches = iter(loader(Numbers(), workers=1))
    next(batches)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid or 0, signal.SIGKILL)
    with pytest.raises(InputError, match="was ended by SIGKILL"):
        list(batches)


def test_loader__that_is_left_early_leaves_no_worker() -> None:
    batches = iter(loader(Numbers(), workers=2))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_loader__that_cannot_start_a_worker_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(process: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.Process, "start", start)
    with pytest.raises(InputError, match=r"cannot be started \(Resource temp.* to 0"):
        list(loader(Numbers(), workers=1))


def mention(index: int) -> None:
    logging.getLogger("no_time_to_train.dataset.images").warning("%d.png is dark", index)


@pytest.mark.parametrize("workers", [0, 2])
def test_loader__logs_what_its_workers_log(workers: int, caplog: pytest.LogCaptureFixture) -> None:
    list(loader(Numbers(3, mention), workers))
    found = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert found == [("WARNING", f"{index}.png is dark") for index in range(3)]


SMALL = """
mount -t tmpfs -o size=1m tmpfs /dev/shm || exit 77
exec "$@"
"""
LOAD = """
from tests.unit.test_loading import Numbers, loader
print(len(list(loader(Numbers(), 2, 2))))
"""


def test_loader__needs_no_shared_memory() -> None:
    command = ["bash", "-c", SMALL, "-", sys.executable, "-c", LOAD]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    ran = subprocess.run(
        ["unshare", "-m", *command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if ran.returncode == 77 or "unshare failed" in ran.stderr:
        pytest.skip(f"mounting is not allowed here: {ran.stderr.strip()}")
    assert (ran.returncode, ran.stdout.strip()) == (0, "4"), ran.stderr
