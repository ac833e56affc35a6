"""Connections by which ranks learn of each other's end where no parent process tells them.

Ranks that torchrun or SLURM has started, on other machines above all, would miss a killed one only
where results are gathered, which may be hours later. The system closes the connections of a process
however it ends, and finds with probes when the machine at the other end has gone.

Only the standard library is imported, for `termination`.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

CONNECT_SECONDS = 60.0
TOKEN_BYTES = 16
PROBES = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
"""Seconds before the first and between further ones; how many without an answer mean the end."""


class Invitation(NamedTuple):
    """What the other ranks need to reach rank 0."""

    host: str
    port: int
    token: bytes


class RankLinks:
    """The open connections: of rank 0 with all others, of any other with rank 0."""

    def __init__(self, rank: int, connections: Mapping[int, socket.socket]) -> None:
        self.rank, self._connections = rank, dict(connections)
        self.working = dict(connections)
        """Those at whose other end nobody has ended."""
        self._done, self._lock = False, threading.Lock()
        for connection in connections.values():
            connection.settimeout(None)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in PROBES.items():
                if hasattr(socket, name):  # Linux has all of them
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def ended(self) -> tuple[int, int | None] | None:
        """The next rank that has failed and its exit code, None where it could not tell it."""
        with self._lock:  # the main thread asks too
            for rank, connection in list(self.working.items()):
                if select.select([connection], [], [], 0)[0]:
                    code = _read_code(connection)
                    del self.working[rank]
                    if code != 0 and not self._done:
                        return rank, code
        return None

    def tell(self, code: int) -> None:
        """Let the others know that this rank ends, and with which exit code.

        After 0 it does not matter to it how others end.
        """
        self._done = code == 0
        for connection in self._connections.values():
            with suppress(OSError):  # that rank has ended itself
                connection.send(bytes([code]))

    def close(self) -> None:
        """In a forked process: leave the connections to its parent, with which they are to end."""
        for connection in self._connections.values():
            connection.close()

    def await_end_of_first(self, seconds: float) -> None:
        """Wait until rank 0 has ended, but not longer than some seconds."""
        if self.rank > 0:
            deadline, first = time.monotonic() + seconds, self._connections[0]
            while (left := deadline - time.monotonic()) > 0:
                if select.select([first], [], [], left)[0] and _read_code(first) is None:
                    return


def _read_code(connection: socket.socket) -> int | None:
    try:
        return next(iter(connection.recv(1)), None)
    except OSError:  # it was reset, or probes had no answer
        return None


class Reception:
    """Rank 0's side while the connections are made."""

    def __init__(self, host: str) -> None:
        """Listen.

        Args:
            host: The name or address under which the other ranks reach this machine.
        """
        if socket.has_dualstack_ipv6():
            family = socket.AF_INET6
            self._listener = socket.create_server(("", 0), family=family, dualstack_ipv6=True)
        else:
            self._listener = socket.create_server(("", 0))
        port = self._listener.getsockname()[1]
        self.invitation = Invitation(host, port, os.urandom(TOKEN_BYTES))

    def await_all(self, world_size: int) -> RankLinks:
        """Take the connections of ranks 1, 2, ...

        Raises:
            TimeoutError: Some have not come.
        """
        connections: dict[int, socket.socket] = {}
        deadline = time.monotonic() + CONNECT_SECONDS
        with self._listener:
            while len(connections) < world_size - 1:
                self._listener.settimeout(max(deadline - time.monotonic(), 0.001))
                connection = self._listener.accept()[0]
                connection.settimeout(CONNECT_SECONDS)
                greeting = connection.recv(TOKEN_BYTES + 4, socket.MSG_WAITALL)
                if greeting[:TOKEN_BYTES] == self.invitation.token:
                    connections[int.from_bytes(greeting[TOKEN_BYTES:], "big")] = connection
                else:
                    connection.close()
        return RankLinks(0, connections)


def join(invitation: Invitation, rank: int) -> RankLinks:
    """Connect with rank 0.

    Raises:
        OSError: It cannot be reached.
    """
    address = invitation.host, invitation.port
    connection = socket.create_connection(address, timeout=CONNECT_SECONDS)
    connection.sendall(invitation.token + rank.to_bytes(4, "big"))
    return RankLinks(rank, {0: connection})
