"""`app` before it serves anything: what it refuses, and how soon."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from no_time_to_train.commands import app
from tests.cli.conftest import ROOT, run_command
from tests.cli.test_commands import LIGHT

DEMO = ("--config", str(ROOT / "configs/demo.yaml"))


def refusal(*arguments: str) -> str:
    outcome = run_command("app", *arguments)
    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    return line


def test_app__without_gradio_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "gradio" else find(name)
    )
    assert '`pip install -e ".[app]"`' in refusal(*DEMO)


def test_app__refuses_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        wrong = [
            ["app", *DEMO, "--port", port],
            ["app", *DEMO, "--port", "many"],
            ["app", *DEMO, "--port", "99999"],
            ["app", *DEMO, "--host", "203.0.113.1"],
            ["app", *DEMO, "--memory", str(tmp_path / "absent.pth")],
            ["app", "--sam2", "sam2_hiera_dem", "--encoder", "dinov2_demo"],
            ["app", "--help"],
        ]
        done = subprocess.run(
            [sys.executable, "-c", LIGHT],
            input=json.dumps(wrong),
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert [code for code, _, _ in outcomes] == [2, 2, 2, 2, 2, 2, 0]
    taken_or_wrong = (f"--port {port} is taken", "whole number", "must be 65535 at most")
    words = (*taken_or_wrong, "--host 203.0.113.1", "absent.pth", "sam2_hiera_demo", "--memory")
    for word, (_, text, heavy) in zip(words, outcomes, strict=True):
        assert word in text
        assert "torch" not in heavy


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_app__warns_where_others_reach_it(
    host: str, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_serve", lambda options, settings, listener, folder: listener.close())
    outcome = run_command("app", "--host", host, "--port", "0", *DEMO)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Whoever reaches port ") == warned
    assert bool(outcome.out) == warned
