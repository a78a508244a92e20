"""How often, how much and how fast, on a real Envoy."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from gen.ir import Policy
from gen.policy import Bandwidth, RateLimit
from tests.envoy.configs import config, host, to, upstream
from tests.envoy.running import Running, wait
from tests.live.echo import EchoNet
from tests.live.net import HTTP_PORT, fresh_address

DEFAULT, SMALL, LARGE = 1000, 10, 100_000
HERE, NOT_HERE = ("127.0.0.0/8", "::1/128"), ("10.0.0.0/8",)


def limited(zone: str, rate: int = 1, period: float = 60.0, exempt: tuple[str, ...] = ()) -> tuple[RateLimit, ...]:
    return (RateLimit(zone, rate, period, 5, status=429, exempt=exempt),)


POLICIES = {
    "default": Policy(),
    "small": Policy(body_limit=SMALL),
    "large": Policy(body_limit=LARGE),
    "any": Policy(body_limit=0),
    "zone": Policy(rate_limits=limited("zone")),
    "same-zone": Policy(rate_limits=limited("zone")),
    "quick": Policy(rate_limits=limited("quick", rate=10, period=1.0)),
    "two": Policy(rate_limits=(*limited("two", rate=1000, period=1.0), *limited("two"))),
    "exempt": Policy(rate_limits=limited("exempt", exempt=HERE)),
    "not-exempt": Policy(rate_limits=limited("not-exempt", exempt=NOT_HERE)),
    "slow": Policy(bandwidth=Bandwidth(1024)),
}


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    address = fresh_address(8080)
    echo.listen(address, 8080, "echo")
    hosts = [host(f"{name}.test", ("prefix", "/", to("echo")), policy=policy) for name, policy in POLICIES.items()]
    with Running(binary, tmp_path_factory.mktemp("envoy") / "state") as running:
        running.go(config(hosts, [upstream("echo", address)]), body_limit=DEFAULT)
        yield running


def post(proxy: Running, name: str, size: int, *, chunked: bool = False, more: str = "", path: str = "/") -> int:
    """The status of an answer to a body of some size, which says how long it is or comes in two chunks."""
    head = f"POST {path} HTTP/1.1\r\nHost: {name}.test\r\n{more}"
    half = b"x" * (size // 2)
    chunk = b"%x\r\n%s\r\n" % (len(half), half)
    body = chunk + chunk + b"0\r\n\r\n" if chunked else half + half
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    with socket.create_connection((proxy.address, HTTP_PORT), timeout=10) as connection:
        connection.sendall(f"{head}{length}\r\n\r\n".encode() + body)
        return int(connection.recv(64).split(b" ")[1])


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("name", "limit"), [("default", DEFAULT), ("small", SMALL), ("large", LARGE)])
def test_bodies_are_limited(proxy: Running, name: str, limit: int, *, chunked: bool) -> None:
    assert post(proxy, name, limit, chunked=chunked) == 200
    assert post(proxy, name, limit + 2, chunked=chunked) == 413


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["//", "/./a", "/%2e/", "/a/../b"])
def test_a_path_that_is_not_canonical_has_the_limit_of_its_route(proxy: Running, path: str, *, chunked: bool) -> None:
    assert post(proxy, "small", SMALL + 2, chunked=chunked, path=path) == 413


def test_bodies_without_a_limit(proxy: Running) -> None:
    assert [post(proxy, "any", LARGE + 2, chunked=chunked) for chunked in (False, True)] == [200, 200]


def test_a_header_that_is_no_upgrade_does_not_lift_the_limit(proxy: Running) -> None:
    assert post(proxy, "small", SMALL + 2, chunked=True, more="Upgrade: websocket\r\n") == 413
    assert post(proxy, "small", SMALL + 2, chunked=True, more="Upgrade: h2c\r\nConnection: upgrade\r\n") == 413
    assert post(proxy, "small", SMALL + 2, chunked=True, more="Upgrade: x\r\nConnection: upgrade\r\n") == 403


def ask(proxy: Running, name: str, times: int = 8, path: str = "/") -> dict[int, int]:
    return dict(Counter(proxy.get(f"{name}.test", path).status for _ in range(times)))


def test_routes_of_a_zone_share_its_buckets(proxy: Running) -> None:
    assert ask(proxy, "zone", path="//") == {200: 6, 429: 2}
    assert ask(proxy, "same-zone") == {429: 8}


def test_all_limits_of_a_route_count(proxy: Running) -> None:
    assert ask(proxy, "two") == {200: 6, 429: 2}


def test_who_is_exempt_is_not_limited(proxy: Running) -> None:
    assert ask(proxy, "exempt") == {200: 8}
    assert ask(proxy, "not-exempt") == {200: 6, 429: 2}


def test_a_bucket_fills_again(proxy: Running) -> None:
    wait("run dry", lambda: proxy.get("quick.test").status == 429)
    wait("let anybody pass again", lambda: proxy.get("quick.test").status == 200)


def test_answers_take_their_time(proxy: Running) -> None:
    began = time.monotonic()
    assert proxy.get("slow.test", "/", ("X-Padding", "x" * 1500)).status == 200
    assert time.monotonic() - began > 0.9
