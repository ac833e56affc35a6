"""Nothing leaves the machine: what Gradio is told before its import, and browsers each time."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTENT_POLICY = "; ".join(
    (
        "default-src 'self' data: blob:",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "frame-ancestors 'self'",
        "form-action 'self'",
    )
)
"""Browsers refuse what a page asks of other machines than the one it came from."""
LOOPBACK_NAMES = {"127.0.0.1", "localhost", "[::1]"}


def silence_gradio(uploads: Path) -> None:
    """Switch off usage statistics and the look for newer versions; call it before the import.

    Args:
        uploads: Folder for what browsers send.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)


class LocalOnly:
    """Sends browsers a content policy, and answers no page that a foreign name has led here.

    A site whose name is made to lead to 127.0.0.1 could otherwise read this page in its visitors'
    browsers.
    """

    def __init__(self, app: Application, check_name: bool) -> None:
        """Stand in front of an application.

        Args:
            app: What answers.
            check_name: Whether only names of the loopback interface are answered.
        """
        self._app = app
        self._check_name = check_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._check_name and not _is_for_loopback(scope):
            await _refuse(send)
        else:
            await self._app(scope, receive, _with_policy(send))


def _is_for_loopback(scope: Scope) -> bool:
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in LOOPBACK_NAMES


def _with_policy(send: Send) -> Send:
    async def send_with_policy(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            policy = (b"content-security-policy", CONTENT_POLICY.encode())
            message["headers"] = [*message["headers"], policy]
        await send(message)

    return send_with_policy


async def _refuse(send: Send) -> None:
    text = b"this page answers to 127.0.0.1 and localhost alone; open it under one of them\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": text})
