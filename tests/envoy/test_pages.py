"""Pages in the place of errors, and fallbacks, on a real Envoy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gen.ir import Policy
from gen.policy import BasicAuth, ErrorPages, Fallback
from tests.envoy.configs import config, host, to, upstream
from tests.envoy.running import Running
from tests.live.echo import EchoNet
from tests.live.net import fresh_address

WHERE = (("X-Namespace", "tests"),)
ALL = ErrorPages((401, 404, 413, 503), "pages", WHERE)
NOBODYS = ErrorPages((404, 503), "")
CLOSED = BasicAuth("x", ())
TOLD = ("X-Told", "1")
POLICIES = {
    "pages": Policy(error_pages=ALL, body_limit=10, response_headers=(TOLD,)),
    "closed": Policy(error_pages=ALL, auth_basic=CLOSED),
    "spared": Policy(error_pages=ErrorPages((401, 404), "pages", WHERE, intercept_upstream=False), auth_basic=None),
    "spared-closed": Policy(
        error_pages=ErrorPages((401,), "pages", WHERE, intercept_upstream=False), auth_basic=CLOSED
    ),
    "nobodys": Policy(error_pages=NOBODYS),
    "dead-pages": Policy(error_pages=ErrorPages((404,), "dead")),
}
EMPTY = {
    "empty": Policy(error_pages=ALL),
    "fallback": Policy(fallback=Fallback("pages", WHERE), rewrite=("/other",)),
    "closed-fallback": Policy(fallback=Fallback("pages", WHERE), auth_basic=CLOSED),
    "no-fallback": Policy(fallback=Fallback("gone")),
}


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    places = {name: fresh_address(8080) for name in ("echo", "pages")}
    for name, address in places.items():
        echo.listen(address, 8080, name)
    upstreams = [upstream(name, address) for name, address in places.items()]
    upstreams += [upstream("dead", fresh_address(8080)), upstream("gone")]
    hosts = [host(f"{name}.test", ("prefix", "/", to("echo")), policy=each) for name, each in POLICIES.items()]
    hosts += [host(f"{name}.test", ("prefix", "/", to("gone")), policy=each) for name, each in EMPTY.items()]
    with Running(binary, tmp_path_factory.mktemp("envoy") / "state") as running:
        running.go(config(hosts, upstreams))
        yield running


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("pages", "404", "404"), ("pages", "503", "503"), ("closed", "200", "401"), ("spared-closed", "200", "401")],
)
def test_a_page_is_asked_for(proxy: Running, name: str, status: str, code: str) -> None:
    reply = proxy.get(f"{name}.test", "/a?b=c", ("X-Echo-Status", status), ("Accept", "text/x"))
    assert reply.seen
    assert (reply.status, reply.seen.service, reply.seen.target) == (200, "pages", "/?b=c")
    wanted = {"x-code": code, "x-format": "text/x", "x-original-uri": "/a?b=c", "x-namespace": "tests"}
    assert {key: reply.seen.value(key) for key in wanted} == wanted
    assert dict(reply.headers).get("x-told") == ("1" if name == "pages" else None)
    assert "x-gen-answered" not in dict(reply.headers)


def test_our_own_errors_have_pages(proxy: Running) -> None:
    reply = proxy.get("empty.test")
    assert reply.seen
    assert (reply.seen.service, reply.seen.value("x-code")) == ("pages", "503")
    assert proxy.get("pages.test", method="POST", body=b"x" * 20).status == 413


@pytest.mark.parametrize(("name", "status"), [("pages", 200), ("pages", 500), ("spared", 404)])
def test_other_answers_are_left_alone(proxy: Running, name: str, status: int) -> None:
    reply = proxy.get(f"{name}.test", "/", ("X-Echo-Status", str(status)))
    assert reply.seen
    assert (reply.status, reply.seen.service) == (status, "echo")


def test_pages_of_nobody(proxy: Running) -> None:
    reply = proxy.get("nobodys.test", "/", ("X-Echo-Status", "503"))
    assert (reply.status, reply.body) == (404, b"default backend - 404")
    assert proxy.get("dead-pages.test", "/", ("X-Echo-Status", "404")).status == 503


def test_a_fallback_answers_for_an_upstream_without_endpoints(proxy: Running) -> None:
    seen = proxy.get("fallback.test", "/a?b", method="PUT", body=b"x").seen
    assert seen
    assert (seen.service, seen.method, seen.target, seen.body) == ("pages", "PUT", "/a?b", "x")
    assert (seen.value("x-code"), seen.value("x-namespace")) == ("503", "tests")
    assert proxy.get("closed-fallback.test").status == 401
    assert proxy.get("no-fallback.test").status == 503
