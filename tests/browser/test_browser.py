"""The browser that the other tests here look at pages with, and what they notice."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import overflow, requests_elsewhere, script_errors

ROOT = Path(__file__).resolve().parents[2]


def test_page__runs_scripts_and_is_as_wide_as_asked(page: Page) -> None:
    page.set_content("<script>document.title = 6 * 7</script><div style='width: 1300px'>x</div>")
    assert page.title() == "42"
    assert overflow(page) == 1300 + 8 - 1280  # 8 pixels of margin on the left


def test_page__request_to_another_machine_is_noticed(browser: Browser) -> None:
    context = browser.new_context()
    elsewhere = requests_elsewhere(context)
    context.route("**/*", lambda route: route.abort())
    page = context.new_page()
    page.set_content(
        "<img src='http://127.0.0.1:9/a.png'><img src='https://example.invalid/b.png'>"
    )
    page.wait_for_load_state("networkidle")
    context.close()
    assert elsewhere == ["https://example.invalid/b.png"]


def test_page__script_error_is_noticed(browser: Browser) -> None:
    context = browser.new_context()
    errors = script_errors(context)
    context.new_page().set_content("<script>absent()</script>")
    context.close()
    assert len(errors) == 1
    assert "absent is not defined" in errors[0]


@pytest.mark.parametrize("there", ["", "google-chrome"])
def test_chromium_script__installs_one_where_there_is_none(tmp_path: Path, there: str) -> None:
    (tmp_path / "apt-get").write_text('#!/bin/sh\necho "$@" >> "$RECORD"\n')
    (tmp_path / (there or "other")).write_text("#!/bin/sh\n")
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    record = tmp_path / "record"
    done = subprocess.run(
        ["/bin/bash", str(ROOT / "scripts/chromium.sh")],
        env={"PATH": str(tmp_path), "RECORD": str(record)},
        capture_output=True,
        text=True,
    )
    if there:
        assert (done.returncode, record.exists()) == (0, False)
    elif os.geteuid() == 0:
        assert record.read_text() == "update -qq\ninstall -qq -y chromium\n"
    else:
        assert (done.returncode, record.exists()) == (1, False)
        assert "only root" in done.stderr
