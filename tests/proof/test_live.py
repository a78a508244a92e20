"""The pieces that the other proofs stand on, tried without a proxy between."""

from __future__ import annotations

import pytest

from tests.live.client import ClosedEarlyError, Connection, Request
from tests.live.echo import EchoNet
from tests.live.net import fresh_address


def test_an_echo_server_says_what_it_saw(echo: EchoNet) -> None:
    address = fresh_address(8080)
    echo.listen(address, 8080, "shop/web", "192.0.2.1")
    request = Request("a.example", "/a//b/../%41?x=%20", "POST", headers=(("X-One", "1"),), body=b"hello")
    with Connection(address, 8080) as connection:
        for _ in range(2):
            seen = connection.exchange(request).seen
            assert seen
            assert (seen.service, seen.instance) == ("shop/web", "192.0.2.1")
            assert (seen.method, seen.target, seen.body) == ("POST", "/a//b/../%41?x=%20", "hello")
            assert seen.value("host") == "a.example"
            assert seen.value("x-one") == "1"
            assert seen.value("x-two") is None
        assert connection.exchanges == 2


def test_an_echo_server_answers_as_it_is_told(echo: EchoNet) -> None:
    address = fresh_address(8080)
    echo.listen(address, 8080, "shop/web")
    headers = (("X-Echo-Status", "418"), ("X-Echo-Header", "X-Tea: pot"))
    with Connection(address, 8080) as connection:
        reply = connection.exchange(Request("a.example", headers=headers))
        assert (reply.status, reply.value("x-tea")) == (418, "pot")
        with pytest.raises(ClosedEarlyError):
            connection.exchange(Request("a.example", headers=(("X-Echo-Drop", "1"),)))


def test_an_echo_server_speaks_websocket(echo: EchoNet) -> None:
    address = fresh_address(8080)
    echo.listen(address, 8080, "shop/web")
    key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    with Connection(address, 8080) as connection:
        headers = (("Connection", "Upgrade"), ("Upgrade", "websocket"), key)
        reply = connection.exchange(Request("a.example", headers=headers))
        assert reply.status == 101
        assert reply.value("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        connection.write(b"\x81\x05hello")
        assert connection.read(7) == b"\x81\x05hello"
