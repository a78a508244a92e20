"""HTTP as it is spoken outside: upgrades, bodies, retries, and requests that only an attacker sends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from tests.live.client import Connection, Reply, Request
from tests.live.echo import EchoNet, Endpoint
from tests.live.gen import GenRun
from tests.live.manifests import endpoint_slice, ingress, path, service
from tests.live.net import fresh_address
from tests.live.proxies import BACKENDS

HOST = "protocol.example"
KEY = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")


class Site:
    """A host with two endpoints, and another one."""

    def __init__(self, gen: GenRun, echo: EchoNet) -> None:
        self.gen = gen
        addresses = [fresh_address(8080) for _ in range(3)]
        self.endpoints = [echo.listen(address, 8080, "protocol/web") for address in addresses[:2]]
        self.other = echo.listen(addresses[2], 8080, "protocol/other")
        gen.apply(
            [
                ingress("web", "protocol", {HOST: [path("/", "web")], f"other.{HOST}": [path("/", "other")]}),
                service("web", "protocol"),
                endpoint_slice("web", "protocol", addresses[:2]),
                service("other", "protocol"),
                endpoint_slice("other", "protocol", addresses[2:]),
            ]
        )

    def raw(self, content: bytes) -> Reply:
        """The answer to these bytes."""
        with self.gen.connect() as connection:
            connection.write(content)
            return connection.read_reply()

    @property
    def requests(self) -> int:
        """How many requests the endpoints have seen."""
        return sum(one.requests for one in self.all_endpoints)

    @property
    def all_endpoints(self) -> list[Endpoint]:
        """All endpoints."""
        return [*self.endpoints, self.other]


@pytest.fixture(scope="module", params=BACKENDS)
def site(request: pytest.FixtureRequest, shared_gen: Callable[[str], GenRun], echo: EchoNet) -> Site:
    """The site behind each proxy."""
    return Site(shared_gen(request.param), echo)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_websockets_pass(site: Site, scheme: str) -> None:
    with site.gen.connect(scheme, HOST) as connection:
        headers = (("Connection", "Upgrade"), ("Upgrade", "websocket"), KEY, ("Sec-WebSocket-Version", "13"))
        reply = connection.exchange(Request(HOST, "/socket", headers=headers))
        assert (reply.status, (reply.value("upgrade") or "").lower()) == (101, "websocket")
        assert reply.value("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        for size in (1, 100, 70_000):
            connection.write(b"x" * size)
            assert connection.read(size) == b"x" * size


def test_other_upgrades_do_not_pass(site: Site) -> None:
    headers = (
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    )
    reply = site.gen.send(Request(HOST, headers=headers))
    assert reply.status == 200
    assert reply.seen
    assert reply.seen.value("upgrade") is None
    assert reply.seen.value("http2-settings") is None


def test_one_connection_serves_many_requests(site: Site) -> None:
    with site.gen.connect() as connection:
        for number in range(50):
            reply = connection.exchange(Request(HOST, f"/{number}"))
            assert reply.seen
            assert reply.seen.target == f"/{number}"


def test_a_large_body_passes(site: Site) -> None:
    body = b"0123456789abcdef" * 65_536
    seen = site.gen.send(Request(HOST, method="PUT", body=body)).seen
    assert seen
    assert seen.body.encode() == body


def test_a_chunked_body_passes(site: Site) -> None:
    head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    seen = site.raw(head + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n").seen
    assert seen
    assert seen.body == "hello world"


def test_a_client_that_waits_for_100_gets_it(site: Site) -> None:
    with site.gen.connect() as connection:
        head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode()
        connection.write(head)
        connection.write(b"hello")
        seen = connection.read_reply().seen
        assert seen
        assert seen.body == "hello"


def test_head_has_no_body(site: Site) -> None:
    with site.gen.connect() as connection:
        for _ in range(2):
            reply = connection.exchange(Request(HOST, method="HEAD"))
            assert (reply.status, reply.body) == (200, b"")
            assert int(reply.value("content-length") or 0) > 0


def test_a_request_that_may_have_been_processed_is_not_sent_again(site: Site) -> None:
    before = site.requests
    reply = site.gen.send(Request(HOST, method="POST", body=b"once", headers=(("X-Echo-Drop", "1"),)))
    assert reply.status in {502, 503}
    assert site.requests == before + 1


def test_a_repeatable_request_is_sent_again_a_few_times(site: Site) -> None:
    before = site.requests
    reply = site.gen.send(Request(HOST, headers=(("X-Echo-Drop", "1"),)))
    assert reply.status in {502, 503}
    assert 2 <= site.requests - before <= 3


def test_concurrent_requests_do_not_wait_for_each_other(site: Site) -> None:
    with site.gen.connect() as slow:
        slow.write(Request(HOST, headers=(("X-Echo-Delay", "3"),)).encode())
        assert site.gen.send(Request(HOST)).status == 200
        assert slow.read_reply().status == 200


@pytest.mark.parametrize(
    "request_line_and_headers",
    [
        "GET / HTTP/1.1\r\n",
        f"GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: other.{HOST}\r\n",
        f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX : y\r\nContent-Length: x\r\n",
        f"GET / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        f"GET /a b HTTP/1.1\r\nHost: {HOST}\r\n",
        f"GET /%00 HTTP/1.1\r\nHost: {HOST}\r\n",
        f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked, x\r\n",
    ],
    ids=["no-host", "two-hosts", "bad-length", "two-lengths", "blank-in-target", "nul", "unknown-coding"],
)
def test_malformed_requests_are_refused(site: Site, request_line_and_headers: str) -> None:
    before = site.requests
    with contextlib.suppress(ConnectionError):  # closing the connection without a word is an answer, too
        assert 400 <= site.raw(f"{request_line_and_headers}\r\n".encode()).status < 502
    assert site.requests == before


def test_a_request_cannot_hide_in_another(site: Site) -> None:
    """Content-Length and Transfer-Encoding at once: the upstream never sees the second one (RFC 9112 section 6.1)."""
    before = site.requests
    hidden = f"GET /hidden HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    body = f"0\r\n\r\n{hidden}"
    head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with contextlib.suppress(ConnectionError):
        site.raw((head + body).encode())
    assert site.requests - before <= 1


def test_the_authority_of_the_target_counts(site: Site) -> None:
    """An absolute target overrules the Host header (RFC 9112 section 3.2.2): nobody is answered for by both."""
    reply = site.raw(f"GET http://{HOST}/x HTTP/1.1\r\nHost: other.{HOST}\r\n\r\n".encode())
    if reply.status != 400:
        assert reply.seen
        assert reply.seen.service == "protocol/web"
        assert reply.seen.value("host") == HOST


def test_connect_is_refused(site: Site) -> None:
    before = site.requests
    with Connection(site.gen.address, 18080) as connection:
        connection.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        assert 400 <= connection.read_reply().status < 500
    assert site.requests == before
