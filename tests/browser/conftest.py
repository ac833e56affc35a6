"""A headless Chromium for pages that people look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--no-sandbox",  # it refuses to start as root otherwise, as CI does
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = (
    f"none of {', '.join(PROGRAMS)} is installed; on Debian `bash scripts/chromium.sh` gets one"
)
HERE = ("127.0.0.1", "localhost")


@pytest.fixture(scope="module")  # while it is open, nothing else in this process can run asyncio
def browser() -> Iterator[Browser]:
    """The browser, with a new profile; skips where there is none, except in CI, where it fails."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page 1280 pixels wide; a request to another machine, or an error of a script, fails."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    elsewhere, errors = requests_elsewhere(context), script_errors(context)
    yield context.new_page()
    context.close()
    assert elsewhere == []
    assert errors == []


def requests_elsewhere(context: BrowserContext) -> list[str]:
    """Addresses on other machines that pages ask for from now on; the list grows."""
    found: list[str] = []

    def note(address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("file", "data", "blob", "about") and parts.hostname not in HERE:
            found.append(address)

    context.on("request", lambda request: note(request.url))
    context.on("page", lambda page: page.on("websocket", lambda socket: note(socket.url)))
    return found


def script_errors(context: BrowserContext) -> list[str]:
    """What scripts of pages raise from now on; the list grows."""
    found: list[str] = []
    context.on("weberror", lambda error: found.append(str(error.error)))
    return found


def overflow(page: Page) -> int:
    """Pixels by which a page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width
