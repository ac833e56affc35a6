"""Calls beside the caller's work."""

from __future__ import annotations

import threading

import pytest

from no_time_to_train.pl_wrapper.background_writer import BackgroundWriter


def test_background_writer__calls_run_in_order_in_another_thread() -> None:
    background, seen = BackgroundWriter(), []
    for number in range(20):
        background.call(lambda number: seen.append((number, threading.get_ident())), number)
    background.finish()
    assert [number for number, _ in seen] == list(range(20))
    assert threading.get_ident() not in {thread for _, thread in seen}


def test_background_writer__the_caller_waits_when_too_much_is_waiting() -> None:
    background, gate, started = BackgroundWriter(max_waiting=1), threading.Event(), []
    background.call(gate.wait)
    caller = threading.Thread(target=background.call, args=(started.append, "second"))
    caller.start()
    caller.join(0.2)
    assert caller.is_alive()
    assert not started
    gate.set()
    caller.join()
    background.finish()
    assert started == ["second"]


@pytest.mark.parametrize("further_calls", [0, 3])
def test_background_writer__an_error_reaches_the_caller(further_calls: int) -> None:
    background = BackgroundWriter(max_waiting=2)

    def work() -> None:
        background.call(int, "no number")
        for _ in range(further_calls):
            background.call(int, "1")
        background.finish()

    with pytest.raises(ValueError, match="no number"):
        work()
