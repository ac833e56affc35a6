"""Ranks that nobody has started as children of rank 0 end together; standard library alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from no_time_to_train import rank_links

ROOT = Path(__file__).resolve().parents[2]
WORLD = 3
RANK = """
import os, pathlib, pickle, sys, time
from no_time_to_train import rank_links, stepwise, termination

RANK, WORLD = int(os.environ["SLURM_PROCID"]), {world}

def main():
    invitation = pathlib.Path("invitation")
    if RANK == 0:
        reception = rank_links.Reception("localhost")
        pathlib.Path("new").write_bytes(pickle.dumps(tuple(reception.invitation)))
        os.rename("new", invitation)
        links = reception.await_all(WORLD)
    else:
        while not invitation.exists():
            time.sleep(0.01)
        links = rank_links.join(rank_links.Invitation(*pickle.loads(invitation.read_bytes())), RANK)
    termination.watch_links(links)
    print("ready", flush=True)
    {body}

termination.run(main)
"""
SLEEP = "time.sleep(60)"
STEPS = """stepwise.begin()
    pathlib.Path(f"begun{{RANK}}").touch()
    while not stepwise.stop_wanted():
        time.sleep(0.05)
    time.sleep({seconds})
    pathlib.Path(f"finished{{RANK}}").touch()
    stepwise.stop_here()"""
GONE = "has gone without a word: it was killed, or its machine has stopped"


def start(folder: Path, *bodies: str) -> list[subprocess.Popen[str]]:
    """Ranks that are connected, each of which then runs its line."""
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK.format(world=len(bodies), body=body)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "SLURM_PROCID": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, body in enumerate(bodies)
    ]
    for rank in ranks:
        assert rank.stdout is not None
        assert rank.stdout.readline() == "ready\n", rank.communicate()[1]
    return ranks


def endings(ranks: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    said = [rank.communicate(timeout=60)[1] for rank in ranks]
    return [(rank.returncode, err) for rank, err in zip(ranks, said, strict=True)]


@pytest.mark.parametrize(
    ("ended", "number", "expected"),
    [
        (2, signal.SIGTERM, [(143, "error: rank 2 was stopped by SIGTERM"), (143, ""), (143, "")]),
        (2, signal.SIGKILL, [(1, f"error: rank 2 {GONE}"), (1, ""), (-9, "")]),
        (0, signal.SIGTERM, [(143, "error: stopped by SIGTERM"), (143, ""), (143, "")]),
        (0, signal.SIGKILL, [(-9, ""), (1, f"error: rank 0 {GONE}"), (1, "")]),
    ],
)
def test_linked_ranks__a_signal_to_one_ends_all_with_one_sentence(
    tmp_path: Path, ended: int, number: signal.Signals, expected: list[tuple[int, str]]
) -> None:
    ranks = start(tmp_path, SLEEP, SLEEP, SLEEP)
    ranks[ended].send_signal(number)
    for (code, err), (expected_code, sentence) in zip(endings(ranks), expected, strict=True):
        assert (code, err.partition(";")[0].rstrip()) == (expected_code, sentence)


def test_linked_ranks__a_killed_one_is_missed_though_a_process_that_it_forked_lives(
    tmp_path: Path,
) -> None:
    ranks = start(tmp_path, SLEEP, "os.fork(); time.sleep(20)")
    time.sleep(0.5)  # it has forked
    ranks[1].kill()
    assert ranks[0].wait(10) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("stopped", [0, 1])
def test_linked_ranks__all_finish_their_steps_when_one_is_to_stop(
    tmp_path: Path, stopped: int, number: signal.Signals
) -> None:
    ranks = start(tmp_path, *(STEPS.format(seconds=seconds) for seconds in (0.5, 1, 2)))
    while len(list(tmp_path.glob("begun*"))) < WORLD:
        time.sleep(0.02)
    ranks[stopped].send_signal(number)
    found = endings(ranks)
    assert [code for code, _ in found] == [128 + number] * 3
    who = f"rank {stopped} was stopped" if stopped else "stopped"
    sentences = [line for _, err in found for line in err.splitlines() if "error: " in line]
    assert sentences == [f"error: {who} by {number.name}; rank 0 had written nothing"]
    assert sorted(path.name for path in tmp_path.glob("finished*")) == [
        "finished0", "finished1", "finished2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bodies", "code"),
    [
        ((SLEEP, "sys.exit(2)", SLEEP), 2),
        (("sys.exit(2)", SLEEP, SLEEP), 2),
        (("pass", "pass", "time.sleep(1); sys.exit(2)"), 2),  # done itself, but the run is not
        (("time.sleep(1)", "pass", "pass"), 0),
        (("pass", "pass", "time.sleep(1)"), 0),
    ],
)
def test_linked_ranks__fail_together_without_another_word(
    tmp_path: Path, bodies: tuple[str, ...], code: int
) -> None:
    found = endings(start(tmp_path, *bodies))
    assert found[0] == (code, "")
    assert all(err == "" for _, err in found)
    done = [body == "pass" for body in bodies]
    assert all(each[0] == code for each, is_done in zip(found, done, strict=True) if not is_done)


def test_linked_ranks__that_are_done_are_at_peace_with_the_end_of_the_first() -> None:
    reception = rank_links.Reception("localhost")
    other = rank_links.join(reception.invitation, 1)
    first = reception.await_all(world_size=2)
    other.tell(0)
    first.working[1].close()
    assert other.ended() is None
    assert not other.working


def test_reception__turns_strangers_away() -> None:
    reception = rank_links.Reception("localhost")
    invitation = reception.invitation
    stranger = rank_links.join(invitation._replace(token=bytes(rank_links.TOKEN_BYTES)), 1)
    guest = rank_links.join(invitation, 1)
    links = reception.await_all(world_size=2)
    assert list(links.working) == [1]
    assert stranger.working[0].recv(1) == b""
    guest.tell(7)
    while (ended := links.ended()) is None:
        time.sleep(0.01)
    assert ended == (1, 7)


def test_reception__waits_no_longer_than_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_links, "CONNECT_SECONDS", 0.1)
    reception = rank_links.Reception("localhost")
    with pytest.raises(TimeoutError):
        reception.await_all(world_size=2)
    with pytest.raises(OSError):
        socket.create_connection(("localhost", reception.invitation.port))
