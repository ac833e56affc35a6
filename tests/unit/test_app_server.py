"""Where the page is served, and whom it answers."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from no_time_to_train.app import server
from no_time_to_train.app.privacy import CONTENT_POLICY, LocalOnly
from no_time_to_train.errors import InputError


def test_listen__takes_the_next_port_where_none_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with server.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(server, "FIRST_PORT", port)
        with server.listen("127.0.0.1", None) as found:
            assert port < found.getsockname()[1] < port + server.PORTS
        monkeypatch.setattr(server, "PORTS", 1)
        with pytest.raises(InputError, match=f"the ports {port} to {port} of 127.0.0.1 are all"):
            server.listen("127.0.0.1", None)
        with pytest.raises(InputError, match=rf"--port {port} is taken; give another"):
            server.listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no such host", "203.0.113.1", "\ud800"])
def test_listen__at_an_address_of_others_is_one_sentence(host: str) -> None:
    with pytest.raises(InputError, match=r"--host .*; give"):
        server.listen(host, 0)


def test_address__is_one_that_browsers_take() -> None:
    with server.listen("127.0.0.1", 0) as listener:
        assert server.is_loopback(listener)
        assert server.address(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    with server.listen("0.0.0.0", 0) as listener:
        assert not server.is_loopback(listener)
        assert server.address(listener) == f"http://localhost:{listener.getsockname()[1]}"


def answer(host: str, check_name: bool = True) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of what `LocalOnly` answers."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    scope = {"type": "http", "headers": [(b"host", host.encode())]}
    asyncio.run(LocalOnly(page, check_name)(scope, None, send))  # type: ignore[arg-type]
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "localhost:80", "[::1]:7860"])
def test_local_only__answers_with_a_policy_that_names_no_other_machine(host: str) -> None:
    status, headers = answer(host)
    assert status == 200
    assert headers[b"content-security-policy"] == CONTENT_POLICY.encode()
    assert "http" not in CONTENT_POLICY
    assert "*" not in CONTENT_POLICY


@pytest.mark.parametrize("host", ["example.org", "example.org:7860", "127.0.0.1.example.org", ""])
def test_local_only__refuses_foreign_names(host: str) -> None:
    assert answer(host)[0] == 403
    assert answer(host, check_name=False)[0] == 200
