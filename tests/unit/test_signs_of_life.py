"""Lines about what takes long, by a clock of the tests' own."""

from __future__ import annotations

import logging
import threading

import pytest

from no_time_to_train import signs_of_life


def test_told__says_how_far_it_is_every_20_seconds_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr(signs_of_life.time, "monotonic", lambda: now)
    with caplog.at_level(logging.INFO):
        for each in signs_of_life.told("abcdefg", "letters"):
            now += 40.0 if each in "ab" else 6.0  # a and b take long, then four make 24 seconds
    assert caplog.messages == [
        "1 of 7 letters",
        "2 of 7 letters",
        "6 of 7 letters",
        "7 of 7 letters",
    ]


def test_told__of_nothing_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert list(signs_of_life.told([], "letters")) == []
    assert caplog.messages == []


def test_said_while__says_so_from_a_thread_until_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(signs_of_life, "SECONDS", 0.001)
    said = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("measuring for "):
                said.set()

    listener = Listener()
    signs_of_life.logger.addHandler(listener)
    try:
        with caplog.at_level(logging.INFO), signs_of_life.said_while("measuring"):
            assert said.wait(60)
        said.clear()
        assert not any(thread.name == "signs of life" for thread in threading.enumerate())
    finally:
        signs_of_life.logger.removeHandler(listener)
