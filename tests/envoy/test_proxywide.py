"""What holds for the whole proxy, on a real Envoy."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from gen.ir import Policy
from gen.policy import BasicAuth, Gzip, Variable
from tests.envoy.configs import config, host, to, upstream
from tests.envoy.running import Running
from tests.live.client import Reply
from tests.live.echo import EchoNet
from tests.live.net import fresh_address

ADDED = '50%REQ %%x "q"'
PEER = ("X-Peer", ("from ", Variable("remote_addr")))
HOSTS = (
    host("open.test", ("prefix", "/", to("echo"))),
    host("closed.test", ("prefix", "/", to("echo")), policy=Policy(auth_basic=BasicAuth("x", ()))),
    host("own.test", ("prefix", "/", to("echo")), policy=Policy(request_headers=(("X-Peer", ("own",)),))),
)


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    echo.listen(address := fresh_address(8080), 8080, "echo")
    with Running(binary, tmp_path_factory.mktemp("envoy") / "state") as running:
        running.go(
            config(HOSTS, [upstream("echo", address)]),
            hsts="max-age=1",
            response_headers=(("X-Added", ADDED),),
            request_headers=(PEER,),
            gzip=Gzip(1, 600, ("application/json",)),
            block_user_agents=((True, "evil.?bot$"),),
            block_referers=((False, "http://bad.example/X"),),
            block_networks=("10.0.0.0/8", "2001:db8::/32"),
            underscores_in_headers=True,
            request_id=False,
        )
        yield running


def has(reply: Reply, name: str) -> str | None:
    return dict(reply.headers).get(name)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("name", "path", "status"),
    [("open", "/", 200), ("closed", "/", 401), ("nobody", "/", 404), ("open", "/%zz", 400)],
)
def test_all_answers_have_our_headers(proxy: Running, scheme: str, name: str, path: str, status: int) -> None:
    reply = proxy.get(f"{name}.test", path, scheme=scheme)
    assert (reply.status, has(reply, "x-added")) == (status, ADDED)
    assert has(reply, "strict-transport-security") == ("max-age=1" if scheme == "https" else None)


def test_long_answers_are_compressed_for_who_takes_them(proxy: Running) -> None:
    takes, pads = ("Accept-Encoding", "gzip"), ("X-Padding", "x" * 600)
    assert has(proxy.get("open.test", "/", pads), "content-encoding") is None
    assert has(proxy.get("open.test", "/", takes), "content-encoding") is None
    reply = proxy.get("open.test", "/", takes, pads)
    assert has(reply, "content-encoding") == "gzip"
    assert b"x" * 600 in gzip.decompress(reply.body)


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        *(("Referer", "HTTP://bad.example/x", 403), ("Referer", "http://bad.example/x/", 200)),
        *(("From", "evilbot", 200), ("X-Agent", "EvilBot", 200)),
    ],
)
def test_some_are_not_let_in(proxy: Running, header: str, value: str, status: int) -> None:
    assert proxy.get("open.test", "/", (header, value)).status == status


@pytest.mark.parametrize(("agent", "status"), [("curl/8 Evil-BOT", 403), ("evilbot/1", 200)])
def test_some_agents_are_not_let_in(proxy: Running, agent: str, status: int) -> None:
    with proxy.connect() as connection:
        connection.write(f"GET / HTTP/1.1\r\nHost: open.test\r\nUser-Agent: {agent}\r\n\r\n".encode())
        assert connection.read_reply().status == status


def test_what_upstreams_are_told(proxy: Running) -> None:
    reply = proxy.get("open.test", "/", ("X_Under", "1"), ("X-Peer", "forged"))
    assert reply.seen
    assert [reply.seen.value(name) for name in ("x-peer", "x_under", "x-request-id")] == ["from 127.0.0.1", "1", None]
    own = proxy.get("own.test").seen
    assert own
    assert own.value("x-peer") == "own"
