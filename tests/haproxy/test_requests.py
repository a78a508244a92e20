"""What upstreams and clients get to see, on a real HAProxy with echoing upstreams."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterator

import pytest
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived

from gen.ir import Endpoint, Forward, Policy, Redirect, Respond, Upstream, Weighted
from tests.haproxy.configs import certificate, config, host, to, upstream
from tests.haproxy.running import Running
from tests.live.client import Connection, Reply, Request
from tests.live.echo import EchoNet, Seen
from tests.live.http2 import send_http2
from tests.live.net import HTTP_PORT, HTTPS_PORT, free_port, fresh_address, has_ipv6

ECHO = "requests.test"
SERVED = (
    host(ECHO, ("prefix", "/", to("echo"))),
    host("other-name.test", ("prefix", "/", to("echo")), policy=Policy(upstream_host=("inner.svc:81",))),
    host("both.test", ("prefix", "/", to("echo", "twin"))),
    host("parts.test", ("prefix", "/", Forward((Weighted("echo", 1), Weighted("twin", 3), Weighted("nobody", 0))))),
    host("nothing.test", ("prefix", "/", Forward((Weighted("echo", 0),)))),
    host("empty.test", ("prefix", "/", to("empty"))),
    host("unresolved.test", ("prefix", "/", to("unresolved"))),
    host("dead.test", ("prefix", "/", to("half-dead"))),
    host(
        "answers.test",
        ("exact", "/url", Redirect(308, url="https://elsewhere.test:8443/a%20b?x=%[src]&y='\"#z")),
        ("exact", "/path", Redirect(301, path="/path/é b")),
        ("exact", "/query", Redirect(301, path="/q", query="a=b&c=%20'd'%")),
        ("exact", "/no-query", Redirect(301, path="/q", query="")),
        ("exact", "/relative", Redirect(302, path="/x y", is_relative=True)),
        ("prefix", "/www", Redirect(308, host="www.answers.test")),
        ("prefix", "/cut", Redirect(308, host="www.answers.test", cut_slash=True)),
        ("prefix", "/both", Redirect(308, query="new", cut_slash=True, is_relative=True)),
        ("exact", "/odd", Redirect(300, url="https://odd.test/")),
        ("exact", "/text", Respond(418, 'it\'s "short" $HOME %[src] #\\ and\tstout\n')),
        ("exact", "/silent", Respond(503)),
    ),
    host("secure.test", ("prefix", "/", to("echo")), secret="secure"),
    host("*.secure.test", ("prefix", "/", to("echo")), secret="wild"),
    host("exact.secure.test", ("prefix", "/", to("echo")), secret="exact"),
    host("plain.secure.test", ("prefix", "/", to("echo"))),
    host("unsecured.test", ("prefix", "/", to("echo"))),
)
CERTIFICATES = (
    certificate("default", "default.test", "secure.test", "exact.secure.test"),
    certificate("secure", "secure.test"),
    certificate("wild", "*.secure.test"),
    certificate("exact", "exact.secure.test"),
)


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    places = {name: fresh_address(8080) for name in ("echo", "twin")}
    for name, address in places.items():
        echo.listen(address, 8080, name)
    dead = fresh_address(8080)
    upstreams = (
        *(upstream(name, address) for name, address in places.items()),
        upstream("unresolved", dns="nowhere.invalid", port=80),
        upstream("half-dead", dead, places["echo"]),
    )
    with Running(binary, tmp_path_factory.mktemp("requests")) as running:
        resolver = f"{fresh_address(53)}:5353"
        running.go(config(SERVED, upstreams, CERTIFICATES), resolvers=(resolver,), connect_timeout=2.0, body_limit=4096)
        yield running


def seen(reply: Reply) -> Seen:
    assert reply.seen, reply
    return reply.seen


# ------------------------------------------------------------------ the request that goes on


@pytest.mark.parametrize(
    "target",
    ["/", "//aaa", "/a%20b", "/a/../b", "/a%2Fb", "/%7e%61?", "/a?b=%20//../c&%zz", '/a|b"<>`{}^\\', "/%c3%a9/./",
     "/;a=b", "/x?y?z", "/" + "a" * 7000],
    ids=lambda target: target[:20],
)  # fmt: skip
def test_the_target_goes_on_as_it_was_sent(proxy: Running, target: str) -> None:
    assert seen(proxy.get(ECHO, target)).target == target
    assert seen(send_http2(proxy.address, HTTP_PORT, Request(ECHO, target))).target == target


def test_an_absolute_target_goes_on_as_a_path(proxy: Running) -> None:
    assert seen(proxy.get(ECHO, f"http://{ECHO}//x/../y?z")).target == "//x/../y?z"


@pytest.mark.parametrize(("scheme", "port"), [("http", HTTP_PORT), ("https", HTTPS_PORT)])
@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
def test_what_the_upstream_is_told(proxy: Running, scheme: str, port: int, http2: bool) -> None:
    name = f"{ECHO}:{port}"
    forged = ("X-Real-IP", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Scheme")
    headers = (*((header, "forged") for header in forged), ("Proxy", "evil"), ("X_Under", "1"), ("X-Fine", "2"))
    request = Request(name, scheme=scheme, headers=headers, sni=ECHO)
    reply = send_http2(proxy.address, port, request) if http2 else proxy.send(request)
    told = {key: value for key, value in seen(reply).headers if key != "user-agent"}
    assert re.fullmatch("[0-9a-f]{32}", told.pop("x-request-id"))
    assert told == {
        "host": name,
        "x-fine": "2",
        "x-real-ip": "127.0.0.1",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-host": name,
        "x-forwarded-port": str(port),
        "x-forwarded-proto": scheme,
        "x-forwarded-scheme": scheme,
        "x-scheme": scheme,
    }


def test_what_the_client_said_is_kept_apart(proxy: Running) -> None:
    sent = (("X-Forwarded-For", "1.2.3.4, 5.6.7.8"), ("X-Forwarded-Host", "evil.test"), ("X-Request-ID", "Mine-1"))
    told = seen(proxy.get(ECHO, "/", *sent))
    assert told.values("x-original-forwarded-for") == ["1.2.3.4, 5.6.7.8"]
    assert told.values("x-original-forwarded-host") == ["evil.test"]
    assert told.values("x-forwarded-for") == ["127.0.0.1"]
    assert told.values("x-forwarded-host") == [ECHO]
    assert told.values("x-request-id") == ["Mine-1"]


def test_an_empty_request_id_is_replaced_and_forged_originals_go(proxy: Running) -> None:
    told = seen(proxy.get(ECHO, "/", ("X-Request-ID", ""), ("X-Original-Forwarded-For", "9.9.9.9")))
    assert re.fullmatch("[0-9a-f]{32}", told.value("x-request-id") or "")
    assert told.value("x-original-forwarded-for") is None


def test_another_host_for_the_upstream(proxy: Running) -> None:
    told = seen(proxy.get("other-name.test"))
    assert (told.value("host"), told.value("x-forwarded-host")) == ("inner.svc:81", "other-name.test")


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "keep-alive, Foo", "Keep-Alive": "5", "Proxy-Connection": "keep-alive"},
        {"Connection": "close"},
        {"TE": "gzip", "Connection": "TE"},
        {"Upgrade": "websocket"},
        {"Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__", "Connection": "Upgrade, HTTP2-Settings"},
    ],
    ids=" ".join,
)
def test_hop_by_hop_headers_stay_here(proxy: Running, headers: dict[str, str]) -> None:
    told = seen(proxy.get(ECHO, "/", *headers.items()))
    hop = {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings"}
    assert not hop & {name for name, _ in told.headers if (name, headers.get("Connection")) != ("connection", "close")}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_websocket(proxy: Running, scheme: str) -> None:
    headers = (("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
               ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))  # fmt: skip
    with proxy.connect(scheme, ECHO) as connection:
        reply = connection.exchange(Request(ECHO, "/socket", headers=headers))
        assert (reply.status, reply.value("sec-websocket-accept")) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        for message in (b"one", b"\0\xff" * 5000):
            connection.write(message)
            assert connection.read(len(message)) == message


def test_a_websocket_by_http2(proxy: Running) -> None:
    """RFC 8441, which browsers use because HAProxy offers it."""
    with socket.create_connection((proxy.address, HTTP_PORT), 10) as connection:
        state = H2Connection()
        state.initiate_connection()
        pseudo = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/", ":authority": ECHO}
        state.send_headers(1, [*pseudo.items(), ("sec-websocket-version", "13")])
        connection.sendall(state.data_to_send())
        body = b""
        while body != b"over and back":
            for event in state.receive_data(connection.recv(65536)):
                if isinstance(event, ResponseReceived):
                    state.send_data(1, b"over and back")
                elif isinstance(event, DataReceived):
                    body += event.data or b""
            connection.sendall(state.data_to_send())


def test_bodies_and_their_limit(proxy: Running) -> None:
    assert seen(proxy.send(Request(ECHO, method="POST", body=b"x" * 4096))).body == "x" * 4096
    assert proxy.send(Request(ECHO, method="POST", body=b"x" * 4097)).status == 413


# ------------------------------------------------------------------ the answer


def test_the_answer_comes_as_the_upstream_sent_it(proxy: Running) -> None:
    reply = proxy.get(ECHO, "/", ("X-Echo-Status", "299"), ("X-Echo-Header", "X-Own: yes"))
    assert reply.status == 299
    assert {name for name, _ in reply.headers} == {"content-type", "content-length", "date", "server", "x-own"}
    assert reply.value("server") == "echo"


def test_redirects(proxy: Running) -> None:
    def location(request: Request) -> tuple[int, str | None]:
        reply = proxy.send(request)
        return reply.status, reply.value("location")

    wanted = "https://elsewhere.test:8443/a%20b?x=%[src]&y='\"#z"
    assert location(Request("answers.test", "/url?lost")) == (308, wanted)
    assert location(Request("answers.test", "/odd")) == (300, "https://odd.test/")
    assert location(Request("answers.test:81", "/path")) == (301, "http://answers.test:81/path/%C3%A9%20b")
    secure = Request("answers.test", "//path?a=%20&b", scheme="https")
    assert location(secure) == (301, "https://answers.test/path/%C3%A9%20b?a=%20&b")
    assert location(Request("answers.test", "/path?")) == (301, "http://answers.test/path/%C3%A9%20b")
    assert location(Request("answers.test", "/query?lost")) == (301, "http://answers.test/q?a=b&c=%20'd'%")
    assert location(Request("answers.test", "/no-query?lost")) == (301, "http://answers.test/q")
    assert location(Request("answers.test", "/relative?a")) == (302, "/x%20y?a")
    www = f"http://www.answers.test:{HTTP_PORT}"
    assert location(Request("answers.test:1", "/www//a%20/?b/")) == (308, f"{www}/www//a%20/?b/")
    assert (
        location(Request("answers.test", "/www/", scheme="https"))[1] == f"https://www.answers.test:{HTTPS_PORT}/www/"
    )
    assert location(Request("answers.test", "/cut/a//")) == (308, f"{www}/cut/a/")
    assert location(Request("answers.test", "/cut/?a=/")) == (308, f"{www}/cut/?a=")
    assert location(Request("answers.test", "/both/a/?b/")) == (308, "/both/a?new")


def test_responses(proxy: Running) -> None:
    reply = proxy.get("answers.test", "/text")
    assert (reply.status, reply.body) == (418, b'it\'s "short" $HOME %[src] #\\ and\tstout\n')
    assert reply.value("content-type") == "text/plain"
    silent = proxy.get("answers.test", "/silent")
    assert (silent.status, silent.body) == (503, b"")
    assert proxy.send(Request("answers.test", "/text", method="HEAD")).status == 418


@pytest.mark.parametrize("name", ["empty.test", "unresolved.test", "nothing.test"])
def test_without_endpoints(proxy: Running, name: str) -> None:
    assert proxy.get(name).status == 503


# ------------------------------------------------------------------ which upstream


def shares(proxy: Running, name: str, requests: int) -> Counter[str | None]:
    with proxy.connect() as connection:
        return Counter(connection.exchange(Request(name)).service for _ in range(requests))


def test_a_split_follows_the_weights(proxy: Running) -> None:
    even, uneven = shares(proxy, "both.test", 400), shares(proxy, "parts.test", 400)
    assert set(even) == set(uneven) == {"echo", "twin"}
    assert 140 < even["echo"] < 260, "200 +- 6 standard deviations"
    assert 48 < uneven["echo"] < 152, "100 +- 6 standard deviations"


def test_a_dead_endpoint_costs_no_request(proxy: Running) -> None:
    for method in ("GET", "POST"):
        for _ in range(4):
            assert seen(proxy.send(Request("dead.test", method=method))).service == "echo"


@pytest.mark.parametrize(("method", "tries"), [("GET", 3), ("PUT", 3), ("POST", 1), ("PATCH", 1)])
def test_only_what_may_be_repeated_is_repeated(proxy: Running, echo: EchoNet, method: str, tries: int) -> None:
    served = [endpoint for endpoint in echo.endpoints.values() if endpoint.service in {"echo", "twin"}]
    before = sum(endpoint.requests for endpoint in served)
    reply = proxy.send(Request("both.test", method=method, headers=(("X-Echo-Drop", "1"),)))
    assert reply.status == 502
    assert sum(endpoint.requests for endpoint in served) - before == tries


def test_connections_to_upstreams_are_kept(proxy: Running, echo: EchoNet) -> None:
    with proxy.connect() as connection:
        connection.exchange(Request(ECHO))
        (endpoint,) = [
            each
            for each in echo.endpoints.values()
            if each.instance == seen(connection.exchange(Request(ECHO))).instance
        ]
        before = set(endpoint.connections)
        for _ in range(5):
            connection.exchange(Request(ECHO))
        assert set(endpoint.connections) <= before


@pytest.mark.parametrize("balance", ["round_robin", "least_connections", "source_hash", "random"])
def test_every_balance_and_weight(running: Running, echo: EchoNet, balance: str) -> None:
    first, second = fresh_address(8080), fresh_address(8080)
    for address in (first, second):
        echo.listen(address, 8080, "web", address)
    ends = (
        Endpoint(first, 8080, weight=1000),
        Endpoint(second, 8080, weight=1),
        Endpoint("192.0.2.1", 80, draining=True),
    )
    web = Upstream("web", tuple(sorted(ends)), balance=balance)  # type: ignore[arg-type]
    running.go(config([host("web.test", ("prefix", "/", to("web")))], [web]))
    told = Counter(seen(running.get("web.test")).instance for _ in range(40))
    assert set(told) <= {first, second}
    assert max(told.values()) >= 20 or balance == "least_connections"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_ipv6_on_both_sides(running: Running, echo: EchoNet) -> None:
    port = free_port("::1")
    echo.listen("::1", port, "six")
    whole = config([host("web.test", ("prefix", "/", to("web")))], [upstream("web", "::1", port=port)])
    ports = {"http_port": free_port("::1"), "https_port": free_port("::1")}
    running.go(whole, bind=(running.address, "::1"), **ports)
    with Connection("::1", ports["http_port"]) as connection:
        told = seen(connection.exchange(Request("web.test")))
    assert (told.service, told.value("x-real-ip")) == ("six", "::1")


# ------------------------------------------------------------------ TLS


@pytest.mark.parametrize(
    ("server_name", "wanted"),
    [
        ("secure.test", ["secure.test"]),
        ("SECURE.test", ["secure.test"]),
        ("one.secure.test", ["*.secure.test"]),
        ("exact.secure.test", ["exact.secure.test"]),
        ("plain.secure.test", list(CERTIFICATES[0].names)),
        ("two.one.secure.test", list(CERTIFICATES[0].names)),
        ("unsecured.test", list(CERTIFICATES[0].names)),
        ("unknown.test", list(CERTIFICATES[0].names)),
        ("", list(CERTIFICATES[0].names)),
    ],
)
def test_certificates_by_server_name(proxy: Running, server_name: str, wanted: list[str]) -> None:
    reply = proxy.send(Request("secure.test", scheme="https", sni=server_name))
    assert reply.certificate_names == sorted(wanted)
    assert seen(reply).value("host") == "secure.test"


def test_https_speaks_both_versions(proxy: Running) -> None:
    assert send_http2(proxy.address, HTTPS_PORT, Request("secure.test", scheme="https")).status == 200
    with Connection(proxy.address, HTTPS_PORT, server_name="secure.test", alpn="http/1.1") as connection:
        assert connection.protocol == "http/1.1"
        assert connection.exchange(Request("secure.test")).status == 200
