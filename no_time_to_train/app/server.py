"""Where the page is served: a port of this machine, an address that is printed."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import threading
import time
import webbrowser
from typing import Any

from no_time_to_train.errors import InputError

logger = logging.getLogger(__name__)

FIRST_PORT = 7860
PORTS = 100
"""Ports that are tried, from the first one on, where none is asked for."""
LAST_PORT = 65_535
START_SECONDS = 30.0


def listen(host: str, port: int | None) -> socket.socket:
    """Take a port, before the seconds that the networks take to load.

    Args:
        host: Name or address of this machine.
        port: By default the first free one from 7860 on; 0 is any free one.

    Raises:
        InputError: The port is taken or may not be used, or the host is not this machine.
    """
    ports = range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]
    family = _family(host)
    for number in ports:
        try:
            return socket.create_server((host, number), family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise InputError(
                    f"--host {host}, port {number}: cannot listen there ({error.strerror}); give "
                    "an address of this machine and a port from 1024 on"
                ) from None
    if port is not None:
        raise InputError(f"--port {port} is taken; give another, or none to take the next free one")
    raise InputError(
        f"the ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1} of {host} are all taken; give a free "
        "one with --port"
    )


def _family(host: str) -> socket.AddressFamily:
    try:
        return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    except (OSError, UnicodeError):
        raise InputError(
            f"--host {host[:100]!r} is no address of this machine; give one, such as 127.0.0.1"
        ) from None


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def address(listener: socket.socket) -> str:
    """What to type into a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(application: Any, listener: socket.socket, open_browser: bool) -> None:
    """Answer until the process is ended.

    Args:
        application: An ASGI application.
        listener: As `listen` returns it.
        open_browser: Whether the page is opened as well.
    """
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", access_log=False))
    # Not in the main thread, where it would take the signals for itself.
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="server", daemon=True
    )
    thread.start()
    _await_start(server, thread)
    logger.info("The page is at %s; Ctrl-C ends it.", address(listener))
    if open_browser:
        webbrowser.open(address(listener))
    thread.join()


def _await_start(server: Any, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while thread.is_alive() and not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    if not server.started:
        raise RuntimeError("the server of the page did not start; the lines above say why")
