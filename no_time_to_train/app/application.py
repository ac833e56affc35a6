"""The page as a web application."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from no_time_to_train import termination
from no_time_to_train.app.privacy import LocalOnly, silence_gradio

if TYPE_CHECKING:
    from no_time_to_train.api import FewShotSegmenter


@dataclass(frozen=True)
class PageSettings:
    """What the page begins with."""

    memory: Path | None
    """File of a memory; None for no classes."""
    threshold: float
    """Lowest score that is shown."""
    as_stored: bool
    """Whether the EXIF orientation of pictures with examples does not count."""
    loopback: bool
    """Whether only this machine reaches it."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what browsers send and get; it goes when the process ends, whatever ends it."""
    folder = Path(tempfile.mkdtemp(prefix="no-time-to-train-"))
    with termination.temporary(folder):
        yield folder


def build_application(
    networks: FewShotSegmenter, settings: PageSettings, scratch: Path
) -> LocalOnly:
    """Make the page and what answers for it.

    Args:
        networks: Shared by all who use the page.
        settings: What it begins with.
        scratch: Folder for what browsers send and get.
    """
    silence_gradio(scratch / "uploads")
    import gradio
    from fastapi import FastAPI

    from no_time_to_train.app.handlers import Handlers
    from no_time_to_train.app.page import CSS, build_page, theme

    sessions = scratch / "sessions"
    sessions.mkdir()
    handlers = Handlers(networks, sessions, settings.memory, settings.as_stored)
    application = gradio.mount_gradio_app(
        FastAPI(openapi_url=None),
        build_page(handlers, settings.threshold),
        path="/",
        theme=theme(),
        css=CSS,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    return LocalOnly(application, check_name=settings.loopback)
