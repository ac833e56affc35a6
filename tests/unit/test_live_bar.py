"""A bar that is drawn while a batch runs, in Lightning's own loop."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from torch.utils.data import DataLoader

from no_time_to_train.pl_wrapper import live_bar
from no_time_to_train.pl_wrapper.live_bar import LiveBar


class Slow(LightningModule):
    """Its second batch ends when the bar has been drawn meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = threading.Event()
        self.states: list[int] = []

    def test_step(self, batch: Any, batch_idx: int) -> None:
        if batch_idx == 1:
            bar = self.trainer.progress_bar_callback
            assert isinstance(bar, TQDMProgressBar)
            refresh = bar.test_progress_bar.refresh

            def note(*arguments: Any, **more: Any) -> Any:
                if threading.current_thread() is not threading.main_thread():
                    self.states.append(bar.test_progress_bar.n)
                    self.drawn.set()
                return refresh(*arguments, **more)

            bar.test_progress_bar.refresh = note
            assert self.drawn.wait(60)


def test_live_bar__is_drawn_while_a_batch_runs_though_it_refreshes_every_tenth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_bar, "LOG_SECONDS", 0.01)
    monkeypatch.setattr(live_bar, "TERMINAL_SECONDS", 0.01)
    module, callback = Slow(), LiveBar()
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[TQDMProgressBar(refresh_rate=10), callback],
        enable_model_summary=False,
    )
    trainer.test(module, DataLoader(range(3)), verbose=False)
    assert set(module.states) <= {1, 2, 3} and module.states[0] == 1
    assert callback._thread is not None and not callback._thread.is_alive()


def test_live_bar__without_a_bar_does_nothing() -> None:
    callback = LiveBar()
    module = Slow()
    module.test_step = lambda *_: None  # type: ignore[method-assign]
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.callbacks.append(callback)  # type: ignore[attr-defined]
    trainer.test(module, DataLoader(range(2)), verbose=False)
    assert callback._thread is None
