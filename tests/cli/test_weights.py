"""`weights` against a server on this machine: whole files, resumed, or a sentence."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from no_time_to_train.commands import downloads, published_weights
from no_time_to_train.commands.progress import Progress
from no_time_to_train.commands.published_weights import Family
from tests.cli.conftest import ROOT, Outcome, run_command

CONTENT = b"PK\x03\x04" + bytes(range(256)) * 4000
NAME = "sam2_hiera_t"
PATH = Path("checkpoints/sam2_hiera_tiny.pt")
PART = Path("checkpoints/sam2_hiera_tiny.pt.part")
HALF = len(CONTENT) // 2


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content` under /weights.pt, as the server's other attributes say."""

    server: Any
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._send_start()

    def do_GET(self) -> None:
        start = self._send_start()
        if start is None:
            return
        rest = self.server.content[start : self.server.sends]
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(rest)
            self.wfile.flush()
        if self.server.stalls:
            self.server.stopped.wait(60)
        self.close_connection = True

    def _send_start(self) -> int | None:
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if self.path.partition("?")[0] != "/weights.pt":
            self.send_error(404)
            return None
        start = self._range_start()
        if start >= len(server.content):
            self.send_error(416)
            return None
        self.send_response(206 if start else 200)
        if start:
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(server.content)}")
        if server.tells_size:
            self.send_header("Content-Length", str(len(server.content) - start))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        return start

    def _range_start(self) -> int:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range", self.server.etag)
        fits = self.server.ranges and condition == self.server.etag
        return int(wanted[1]) if wanted and fits else 0

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server of weights, and an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    running.content, running.etag, running.asked = CONTENT, '"one"', []
    running.ranges, running.stalls, running.sends = True, False, None
    running.tells_size = True
    running.stopped = threading.Event()
    running.url = f"http://127.0.0.1:{running.server_port}/weights.pt"
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    yield running
    running.stopped.set()
    running.shutdown()
    running.server_close()


def weights(*arguments: str) -> Outcome:
    return run_command("weights", *arguments)


def break_off(server: Any) -> Outcome:
    """A download of which half arrives."""
    server.sends = HALF
    outcome = weights(NAME, "--from", server.url)
    server.sends = None
    return outcome


def assert_refused(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def test_weights__are_listed_with_file_address_and_whether_they_are_there(server: Any) -> None:
    PATH.parent.mkdir()
    PATH.write_bytes(b"x" * 2_500_000)
    Path("checkpoints/sam2.1_hiera_small.pt.part").write_bytes(b"x" * 1_000_000)
    rows = {line.split()[0]: line for line in weights().out.splitlines()}
    assert len(rows) == 16
    official = "https://dl.fbaipublicfiles.com/"
    assert "there, 2.5 MB" in rows["sam2_hiera_t"]
    assert rows["sam2.1_hiera_s"].split()[2:5] == ["partly,", "1.0", "MB"]
    large = rows["dinov2_large"]
    assert re.split(r"\s{2,}", large)[1:] == [
        "checkpoints/dinov2/dinov2_vitl14_pretrain.pth",
        "not there",
        official + "dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    ]


def test_weights__go_where_the_configs_expect_them(server: Any) -> None:
    expected = {
        line.split(":", 1)[1].strip().removeprefix("./")
        for path in (ROOT / "configs").glob("*.yaml")
        for line in path.read_text().splitlines()
        if "_ckpt_path: ./checkpoints" in line
    }
    assert expected
    assert expected <= {line.split()[1] for line in weights().out.splitlines()}


def test_row_of_the_table__is_listed_with_its_size_and_downloaded(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    presets = SimpleNamespace(PRESETS={"made_up": SimpleNamespace(url=server.url)})
    monkeypatch.setitem(sys.modules, "made_up_presets", presets)
    families = {"made-up": Family("made_up_presets", Path("elsewhere"))}
    monkeypatch.setattr(published_weights, "FAMILIES", families)
    assert "not there, 1.0 MB" in weights("--sizes").out
    assert weights("made_up").code == 0
    assert Path("elsewhere/weights.pt").read_bytes() == CONTENT


def test_download__is_whole_and_leaves_nothing_else(server: Any) -> None:
    outcome = weights(NAME, "--from", server.url)
    assert outcome.code == 0, outcome.err
    assert PATH.read_bytes() == CONTENT
    assert os.listdir("checkpoints") == [PATH.name]
    assert "1.0 MB of 1.0 MB" in outcome.out


def test_download__leaves_a_file_that_is_there(server: Any) -> None:
    PATH.parent.mkdir()
    PATH.write_text("mine")
    outcome = weights(NAME, "--from", server.url)
    assert (outcome.code, server.asked) == (0, [])
    assert "is there already" in outcome.out
    assert PATH.read_text() == "mine"


def test_download__that_breaks_off_goes_on_from_there(server: Any) -> None:
    assert_refused(break_off(server), "broke off after 0.5 MB of 1.0 MB", "run this again")
    assert PART.stat().st_size == HALF
    assert not PATH.exists()
    outcome = weights(NAME, "--from", server.url)
    assert outcome.code == 0, outcome.err
    assert server.asked == [None, f"bytes={HALF}-"]
    assert PATH.read_bytes() == CONTENT


def test_download__goes_on_after_a_kill(server: Any) -> None:
    server.sends, server.stalls = HALF, True
    command = [sys.executable, "-m", "no_time_to_train", "weights", NAME, "--from", server.url]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not (PART.exists() and PART.stat().st_size == HALF) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    server.sends, server.stalls = None, False
    assert weights(NAME, "--from", server.url).code == 0
    assert server.asked == [None, f"bytes={HALF}-"]
    assert PATH.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "change",
    [
        {"ranges": False},
        {"etag": '"two"', "content": CONTENT[::-1][:-4] + b"new!"},
        {"etag": "", "content": CONTENT + b"more"},
        {"content": CONTENT[: HALF - 10]},
    ],
    ids=["no Range", "another ETag", "another size", "shorter"],
)
def test_download__begins_again_where_it_cannot_go_on(server: Any, change: dict[str, Any]) -> None:
    break_off(server)
    for name, value in change.items():
        setattr(server, name, value)
    server.content = b"PK\x03\x04" + server.content[4:]
    assert weights(NAME, "--from", server.url).code == 0
    assert PATH.read_bytes() == server.content


def test_download__from_another_address_does_not_continue_a_part(server: Any) -> None:
    break_off(server)
    assert weights(NAME, "--from", server.url + "?mirror=2").code == 0
    assert server.asked == [None, None]
    assert PATH.read_bytes() == CONTENT


def test_download__that_stays_short_is_not_taken_for_whole(server: Any) -> None:
    for _ in range(2):
        assert_refused(break_off(server), "0.5 MB of 1.0 MB")
    assert not PATH.exists()


def test_download__without_a_size_ends_with_the_connection(server: Any) -> None:
    server.tells_size = False
    outcome = weights(NAME, "--from", server.url)
    assert outcome.code == 0, outcome.err
    assert PATH.read_bytes() == CONTENT


def test_progress__is_a_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress("large.pt", 10_000_000, 40_000_000)
    progress.add(10_000_000)
    progress.finish()
    last = terminal.getvalue().split("\r")[-1]
    assert last.startswith(f"large.pt: [{'#' * 15}{'.' * 15}] 20.0 MB of 40.0 MB, ")
    assert last.endswith("\n")


def test_download__of_something_else_is_refused_and_removed(server: Any) -> None:
    server.content = b"<html>please log in</html>"
    assert_refused(weights(NAME, "--from", server.url), "no PyTorch checkpoint", "<html>")
    assert not PATH.exists()
    assert not PART.exists()


def test_download__of_what_is_not_there(server: Any) -> None:
    url = server.url.replace("weights", "nothing")
    assert_refused(weights(NAME, "--from", url), "404", "--from")


def test_download__without_a_network(server: Any) -> None:
    server.server_close()
    assert_refused(weights(NAME, "--from", server.url), "cannot be reached", "check the network")


def test_download__without_room(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=1_000)
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage)
    assert_refused(weights(NAME, "--from", server.url), "needs 1.0 MB more", "make room")


def test_download__on_a_full_disk(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "_copy", write)
    assert_refused(weights(NAME, "--from", server.url), "No space left", "make room")


def test_download__of_another_command_is_waited_for(server: Any) -> None:
    PATH.parent.mkdir()
    with PART.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert_refused(weights(NAME, "--from", server.url), "by another command")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sam2_hiera_tt"], ["sam2_hiera_tt", "did you mean sam2_hiera_t?"]),
        (["xyz"], ["xyz", "`weights` lists"]),
        (["sam2_hiera_demo"], ["sam2_hiera_demo"]),
        ([NAME, "dinov2_large", "--from", "http://x"], ["one file", "2 names"]),
        (["--from", "http://x"], ["0 names"]),
        ([NAME, "--from", "file:///etc/passwd"], ["no address", "https://"]),
        ([NAME, "--form", "x"], ["--form", "--help"]),
    ],
)
def test_wrong_arguments__are_refused(server: Any, arguments: list[str], words: list[str]) -> None:
    assert_refused(weights(*arguments), *words)
