"""Whom a real Envoy believes: who the client is, and what another proxy says of it."""

from __future__ import annotations

import socket

import msgspec
import pytest

from gen.ir import Policy
from gen.policy import Forwarded
from tests.envoy.configs import config, host, to, upstream
from tests.envoy.running import Running
from tests.live.echo import EchoNet, Seen
from tests.live.net import HTTP_PORT, HTTPS_PORT, fresh_address

LIST = ("X-Forwarded-For", "9.9.9.9, 1.2.3.4, 127.0.0.5")
CLAIMS = (
    *(("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "one.test, two.test"), ("X-Forwarded-Port", "99")),
    ("X-Client", "7.7.7.7"),
)
PEER = "127.0.0.1"
HOSTS = (
    host("trust.test", ("prefix", "/", to("echo"))),
    host("only.test", ("prefix", "/", to("echo")), policy=Policy(allow=("9.9.9.9",))),
)


class Trusting:
    """An Envoy whose options change."""

    def __init__(self, running: Running, address: str) -> None:
        self.running, self.config = running, config(HOSTS, [upstream("echo", address)])

    def go(self, **options: object) -> None:
        self.running.go(self.config, **options)


@pytest.fixture
def trusting(running: Running, echo: EchoNet) -> Trusting:
    echo.listen(address := fresh_address(8080), 8080, "echo")
    return Trusting(running, address)


def seen(proxy: Trusting, *headers: tuple[str, str], port: int = HTTP_PORT, proxied: str = "") -> Seen:
    """What the upstream sees of a request, perhaps after a line of the PROXY protocol."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    with socket.create_connection((proxy.running.address, port), timeout=10) as connection:
        connection.sendall(f"{proxied}GET / HTTP/1.1\r\nHost: trust.test\r\n{lines}Connection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=Seen)


def said(request: Seen) -> tuple[str | None, ...]:
    """Client, list, list as it came, scheme, host and port, as the upstream is told."""
    names = ("x-real-ip", "x-forwarded-for", "x-original-forwarded-for")
    return tuple(map(request.value, (*names, "x-forwarded-proto", "host", "x-forwarded-port")))


def test_forwarded(trusting: Trusting) -> None:
    """One Envoy for all: what it is told changes, and nobody may be believed too much for a moment."""
    port, came = str(HTTP_PORT), LIST[1]
    ours = ("http", "trust.test", port)
    theirs = ("https", "one.test", "99")
    expected = [
        (None, (PEER, PEER, came, *ours)),
        (Forwarded(), (PEER, PEER, came, *ours)),
        (Forwarded(headers=True), (PEER, PEER, came, *theirs)),
        (Forwarded(networks=("127.0.0.0/8",)), ("1.2.3.4", "1.2.3.4", came, *ours)),
        (Forwarded(networks=("0.0.0.0/0",)), ("9.9.9.9", "9.9.9.9", came, *ours)),
        (Forwarded(networks=("10.0.0.0/8",)), (PEER, PEER, came, *ours)),
        (Forwarded(networks=("127.0.0.0/8",), address_header="X-Client"), ("7.7.7.7", "7.7.7.7", "7.7.7.7", *ours)),
        (Forwarded(networks=("0.0.0.0/0",), append=True), ("9.9.9.9", f"{came}, {PEER}", came, *ours)),
        (Forwarded(networks=("10.0.0.0/8",), append=True), (PEER, f"{came}, {PEER}", came, *ours)),
    ]
    for forwarded, wanted in expected:
        trusting.go(forwarded=forwarded)
        assert (forwarded, said(seen(trusting, LIST, *CLAIMS))) == (forwarded, wanted)
        assert (forwarded, said(seen(trusting))[:2]) == (forwarded, (PEER, PEER))
        passes = trusting.running.get("only.test", "/", LIST, *CLAIMS).status == 200
        assert (forwarded, passes) == (forwarded, wanted[0] == "9.9.9.9")


def test_nobody_steers_the_router(trusting: Trusting) -> None:
    trusting.go(forwarded=Forwarded(networks=("0.0.0.0/0",)))
    request = seen(trusting, ("X-Envoy-Upstream-Rq-Timeout-Ms", "1"), ("X-Echo-Delay", "0.1"))
    assert request.value("x-envoy-upstream-rq-timeout-ms") is None


def test_the_proxy_protocol(trusting: Trusting) -> None:
    trusting.go(proxy_protocol=("0.0.0.0/0", "::/0"))
    line = "PROXY TCP4 9.9.9.9 192.0.2.1 1234 {}\r\n"
    assert said(seen(trusting, LIST, proxied=line.format(81)))[::3] == ("9.9.9.9", "http")
    assert said(seen(trusting, proxied=line.format(81)))[5] == "81"
    assert said(seen(trusting, proxied=line.format(443)))[3::2] == ("https", "443")
    with pytest.raises((OSError, ValueError)):
        seen(trusting)
    trusting.go(proxy_protocol=("10.0.0.0/8",))
    for port in (HTTP_PORT, HTTPS_PORT):
        with pytest.raises((OSError, ValueError)):
            seen(trusting, proxied=line.format(81), port=port)
