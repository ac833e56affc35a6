"""What an unfinished run keeps on disk."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from no_time_to_train.errors import InputError
from no_time_to_train.pl_wrapper.journal import (
    Journal,
    LineCounter,
    UnfinishedRun,
    unfinished_runs,
)
from no_time_to_train.pl_wrapper.run_identity import RunIdentity

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = RunIdentity(
    "test", {"nms_thr": 0.5, "side": 64}, {"--ckpt_path": "aa", "weights": "bb"}, {"torch": "2.10"}
)


def run_of(tmp_path: Path, **lines_by_rank: list[int]) -> UnfinishedRun:
    run = UnfinishedRun.create(tmp_path / "unfinished", IDENTITY, ["out.json"], samples=9)
    for rank, indices in lines_by_rank.items():
        journal = Journal(run.folder, int(rank[1:]))
        for index in indices:
            journal.append(index, {"records": [index * 10]})
        journal.close()
    return run


def test_journal__gives_back_what_all_ranks_have_kept(tmp_path: Path) -> None:
    run = run_of(tmp_path, r0=[0, 2], r1=[1])
    assert run.payloads() == {index: {"records": [index * 10]} for index in (0, 1, 2)}
    assert run.count() == 3


@pytest.mark.parametrize("cut", [1, 5])
def test_journal__a_line_that_is_cut_off_does_not_count(tmp_path: Path, cut: int) -> None:
    run = run_of(tmp_path, r0=[0, 1])
    (path,) = run.folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(run.payloads()) == [0]
    assert run.count() == 1


def test_journal__a_line_of_zeros_does_not_count(tmp_path: Path) -> None:
    run = run_of(tmp_path, r0=[4])
    (path,) = run.folder.glob("*.jsonl")
    path.write_bytes(bytes(20) + b"\n" + path.read_bytes())
    assert list(run.payloads()) == [4]


def test_journal__of_a_full_disk_says_so_and_keeps_the_lines_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(tmp_path)
    journal = Journal(run.folder, 0)
    journal.append(0, {})
    written, write = [], os.write

    def full(descriptor: int, content: bytes) -> int:
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(write(descriptor, content[:3]))
        return 3

    with monkeypatch.context() as patch, pytest.raises(InputError, match=r"No space.*--resume"):
        patch.setattr(os, "write", full)
        journal.append(1, {})
    journal.close()
    assert list(run.payloads()) == [0]


def test_line_counter__counts_what_is_new_in_all_files(tmp_path: Path) -> None:
    run = run_of(tmp_path, r0=[0, 1])
    count = LineCounter(run.folder, before=2)
    assert count() == 2
    journal = Journal(run.folder, 1)
    for number, index in enumerate((5, 6), start=3):
        journal.append(index, {})
        assert count() == number
    with journal.path.open("ab") as file:
        file.write(b'{"index": 7')
        file.flush()
        assert count() == 4
        file.write(b"}\n")
    assert count() == 5
    journal.close()


LOCKING = """
import sys, time, multiprocessing
from pathlib import Path
from no_time_to_train.pl_wrapper.journal import UnfinishedRun
run = UnfinishedRun.read(Path(sys.argv[1]))
assert run.lock()
multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,)).start()
print("locked", flush=True)
time.sleep(60)
"""


def test_lock__ends_with_its_process_whatever_that_has_forked(tmp_path: Path) -> None:
    run = run_of(tmp_path, r0=[0])
    run.unlock()
    process = subprocess.Popen(
        [sys.executable, "-c", LOCKING, str(run.folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "locked\n"
        assert not run.lock()
        process.kill()
        process.wait()
        assert run.lock()
    finally:
        os.killpg(process.pid, 9)


def test_unfinished_runs__are_those_with_an_identity(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, r0=[0]), run_of(tmp_path, r0=[0, 1])]
    (tmp_path / "unfinished" / "notes").mkdir()
    (tmp_path / "unfinished" / "torn").mkdir()
    (tmp_path / "unfinished" / "torn" / "identity.json").write_text('{"stage": "te')
    found = unfinished_runs(tmp_path / "unfinished")
    assert {run.folder for run in found} == {run.folder for run in runs}
    assert (found[0].identity, found[0].outputs, found[0].samples) == (IDENTITY, ["out.json"], 9)
    assert found[0].identity.key == IDENTITY.key
    assert unfinished_runs(tmp_path / "nowhere") == []


def test_unfinished_run__leaves_nothing_when_it_is_removed(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, r0=[0]), run_of(tmp_path, r0=[0])]
    runs[0].remove()
    assert len(list((tmp_path / "unfinished").iterdir())) == 1
    runs[1].remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"settings": {"nms_thr": 0.4, "side": 64}}, "nms_thr (was 0.5, is 0.4)"),
        (
            {"files": {"--ckpt_path": "cc", "weights": "bb"}},
            "the memory (--ckpt_path)",
        ),
        ({"versions": {"torch": "2.11"}}, "torch (was 2.10, is 2.11)"),
    ],
)
def test_identity__says_what_has_changed(change: dict[str, dict[str, str]], named: str) -> None:
    now = replace(IDENTITY, **change)
    assert now.differences(IDENTITY) == named
    assert now.key != IDENTITY.key


def test_identity__is_the_same_after_json(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    stored = json.loads((run.folder / "identity.json").read_text())
    assert RunIdentity.from_json(stored).key == IDENTITY.key
