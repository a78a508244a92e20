"""What upstreams and clients get to see, on a real Envoy with echoing upstreams."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived

from gen.ir import Endpoint, Policy, Redirect, Respond
from gen.policy import Variable
from tests.envoy.configs import certificate, config, host, saying, to, upstream
from tests.envoy.running import Running
from tests.live.client import Connection, Reply, Request
from tests.live.echo import EchoNet, Seen
from tests.live.http2 import send_http2
from tests.live.net import HTTP_PORT, HTTPS_PORT, free_port, fresh_address, has_ipv6

ECHO = "requests.test"
URL = 'https://elsewhere.test:8443/a%20b?x=%REQ(:path)%&y=%%HOST%%&z=%DYNAMIC_METADATA(["a","b"])%#\'"z'
TEXT = 'it\'s "short" %REQ(:path)%\n\tand \\stout é\n'
MADE = (
    *("x-", Variable("host"), "-", Variable("http_host"), "-", Variable("scheme"), "-", Variable("uri")),
    *("-", Variable("request_uri"), "-", Variable("escaped_request_uri"), "-", Variable("is_args"), Variable("args")),
    *("-", Variable("remote_user"), "-", Variable("request_method"), "-", Variable("request_id")),
    *("-", Variable("server_port"), "-", Variable("header", "x-other"), "-", Variable("cookie", "b")),
    *("-", Variable("query", "y"), "-%REQ(:path)%"),
)
HOSTS = (
    host(ECHO, ("prefix", "/", to("echo"))),
    host("named.test", ("prefix", "/", to("echo")), policy=Policy(upstream_host=("inner.svc:81",))),
    host("peer.test", ("prefix", "/", to("echo")), policy=Policy(upstream_host=("ip-", Variable("remote_addr")))),
    host("nobody.test", ("prefix", "/", to("echo")), policy=Policy(upstream_host=(Variable("header", "none"),))),
    host("made.test", ("prefix", "/", to("echo")), policy=Policy(upstream_host=MADE)),
    host("both.test", ("prefix", "/", to("echo", "twin"))),
    host("parts.test", ("prefix", "/", to(echo=1, twin=3, nobody=0))),
    host("nothing.test", ("prefix", "/", to(echo=0))),
    host("empty.test", ("prefix", "/", to("empty"))),
    host("unresolved.test", ("prefix", "/", to("unresolved"))),
    host("half-dead.test", ("prefix", "/", to("half-dead"))),
    host("dead.test", ("prefix", "/", to("dead"))),
    host("sticky.test", ("prefix", "/", to("sticky"))),
    host("draining.test", ("prefix", "/", to("draining"))),
    host(
        "answers.test",
        ("exact", "/url", Redirect(308, url=URL)),
        ("exact", "/path", Redirect(301, path="/path/é b%?")),
        ("exact", "/fixed", Redirect(300, path="/é", query="y=%20")),
        ("exact", "/bare", Redirect(302, path="/b", query="")),
        ("exact", "/relative", Redirect(303, path="/r", query="z", is_relative=True)),
        ("exact", "/moved", Redirect(307, path="/m", host="other.test")),
        ("exact", "/far", Redirect(302, path="/f", query="q", host="other.test")),
        ("exact", "/other", Redirect(302, path="/x y", is_relative=True)),
        ("prefix", "/cut", Redirect(308, host="www.test", cut_slash=True)),
        ("prefix", "/both", Redirect(308, query="new", cut_slash=True, is_relative=True)),
        ("exact", "/text", Respond(418, TEXT)),
        ("exact", "/long", Respond(200, "x" * 100_000)),
        ("exact", "/silent", Respond(503)),
    ),
    host("*.wild.test", ("exact", "/only", Respond(200, "wild")), ("prefix", "/", to("echo"))),
    host("own.wild.test", ("exact", "/own", Respond(200, "own"))),
    saying("*.deep.wild.test", "deep"),
    host("", ("exact", "/any", Respond(200, "any"))),
    saying("secure.test", "secure", "tests/secure"),
    saying("*.secure.test", "wild", "tests/wild"),
    saying("exact.secure.test", "exact", "tests/exact"),
    saying("plain.secure.test", "plain"),
)
CERTIFICATES = (
    certificate("tests/secure", "secure.test"),
    certificate("tests/wild", "*.secure.test"),
    certificate("tests/exact", "exact.secure.test"),
)


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    places = {name: fresh_address(8080) for name in ("echo", "twin")}
    for name, address in places.items():
        echo.listen(address, 8080, name)
    dead = fresh_address(8080)
    here, there = places.values()
    sticky = msgspec.structs.replace(upstream("sticky", here, there), balance="source_hash")
    draining = (Endpoint(here, 8080, draining=True), Endpoint(there, 8080), Endpoint(dead, 8080, weight=0))
    upstreams = (
        upstream("echo", here),
        upstream("twin", there),
        upstream("unresolved", dns="nowhere.invalid", port=80),
        upstream("half-dead", dead, here),
        upstream("dead", dead),
        sticky,
        msgspec.structs.replace(upstream("draining"), endpoints=draining),
    )
    with Running(binary, tmp_path_factory.mktemp("envoy") / "state") as running:
        running.go(
            config(HOSTS, upstreams, CERTIFICATES), read_timeout=1.0, body_limit=10_000, resolvers=("127.0.0.1:1",)
        )
        yield running


def seen(reply: Reply) -> Seen:
    assert reply.seen, f"{reply.status} {reply.body[:200]!r}"
    return reply.seen


# ------------------------------------------------------------------ headers


def test_headers_to_the_upstream(proxy: Running) -> None:
    request = seen(proxy.get(ECHO, "/p?x=1", ("X-Other", "v"), ("Proxy", "evil"), ("Bad_Name", "v"), ("TE", "gzip")))
    assert request.target == "/p?x=1"
    headers = dict(request.headers)
    assert re.fullmatch("[0-9a-f]{32}", headers.pop("x-request-id"))
    client = headers.pop("x-real-ip")
    assert headers == {
        "host": ECHO,
        "user-agent": "gen-tests",
        "x-other": "v",
        "x-forwarded-for": client,
        "x-forwarded-host": ECHO,
        "x-forwarded-port": str(HTTP_PORT),
        "x-forwarded-proto": "http",
        "x-forwarded-scheme": "http",
        "x-scheme": "http",
    }


def test_what_the_client_claims_is_replaced(proxy: Running) -> None:
    claims = {
        "X-Forwarded-For": "192.0.2.1, 192.0.2.2",
        "X-Forwarded-Host": "claimed.test",
        "X-Forwarded-Port": "1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Scheme": "https",
        "X-Scheme": "https",
        "X-Real-IP": "192.0.2.3",
    }
    request = seen(proxy.get(ECHO, "/", *claims.items()))
    assert request.values("x-forwarded-for") == request.values("x-real-ip") != ["192.0.2.3"]
    assert request.value("x-original-forwarded-for") == "192.0.2.1, 192.0.2.2"
    assert request.value("x-original-forwarded-host") == "claimed.test"
    assert request.values("x-forwarded-host") == [ECHO]
    assert request.values("x-forwarded-port") == [str(HTTP_PORT)]
    for name in ("x-forwarded-proto", "x-forwarded-scheme", "x-scheme"):
        assert request.values(name) == ["http"]


def test_request_ids_are_kept_or_made_and_never_alike(proxy: Running) -> None:
    given = "0f1e2d3c-0000-4000-8000-00000000abcd"
    assert seen(proxy.get(ECHO, "/", ("X-Request-ID", given))).values("x-request-id") == [given]
    assert len({seen(proxy.get(ECHO)).value("x-request-id") for _ in range(50)}) == 50


def test_an_empty_request_id_is_replaced_and_forged_originals_go(proxy: Running) -> None:
    forged = (("X-Request-ID", ""), ("X-Original-Forwarded-For", "x"), ("X-Original-Forwarded-Host", "x"))
    request = seen(proxy.get(ECHO, "/", *forged))
    assert re.fullmatch("[0-9a-f]{32}", request.value("x-request-id") or "")
    assert not [name for name, _ in request.headers if name.startswith("x-original")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "keep-alive, Foo", "Keep-Alive": "5", "Proxy-Connection": "keep-alive"},
        {"TE": "gzip", "Connection": "TE"},
        {"Upgrade": "websocket"},
        {"Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__", "Connection": "Upgrade, HTTP2-Settings"},
    ],
    ids=" ".join,
)
def test_hop_by_hop_headers_stay_here(proxy: Running, headers: dict[str, str]) -> None:
    request = seen(proxy.get(ECHO, "/", *headers.items()))
    hop = {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings"}
    assert not hop & {name for name, _ in request.headers}


def test_clients_cannot_steer_envoy(proxy: Running) -> None:
    steering = (
        ("X-Envoy-Upstream-Rq-Timeout-Ms", "1"),
        ("X-Envoy-Max-Retries", "9"),
        ("X-Envoy-Decorator-Operation", "x"),
        ("X-Echo-Delay", "0.3"),
    )
    request = seen(proxy.get(ECHO, "/", *steering))
    assert not [name for name, _ in request.headers if name.startswith("x-envoy-")]


def test_tls_is_told_to_the_upstream(proxy: Running) -> None:
    request = seen(proxy.get(ECHO, scheme="https"))
    told = {name: request.value(name) for name in ("x-forwarded-proto", "x-scheme", "x-forwarded-port")}
    assert told == {"x-forwarded-proto": "https", "x-scheme": "https", "x-forwarded-port": str(HTTPS_PORT)}


def test_host_is_sent_as_it_came(proxy: Running) -> None:
    for name in ("REQUESTS.Test:8080", f"{ECHO}.", f"{ECHO}.:80"):
        request = seen(proxy.get(name))
        assert (request.value("host"), request.value("x-forwarded-host")) == (name, name)
    other = seen(proxy.get("named.test:99"))
    assert (other.value("host"), other.value("x-forwarded-host")) == ("inner.svc:81", "named.test:99")


def test_a_host_made_of_the_request(proxy: Running) -> None:
    headers = (("X-Other", "other"), ("Cookie", "a=1; b=2; c=3"), ("X-Request-ID", "id"))
    request = seen(proxy.get("MADE.test:81", "/%61//%C3%A9%25?x=1&y=2", *headers))
    wanted = (
        *("x-made.test", "MADE.test:81", "http", "/a/\u00c3\u00a9%", "/%61//%C3%A9%25?x=1&y=2"),
        *("%2F%2561%2F%2F%25C3%25A9%2525%3Fx%3D1%26y%3D2", "?x=1&y=2", "", "GET", "id", str(HTTP_PORT)),
        *("other", "2", "2", "%REQ(:path)%"),
    )
    assert request.value("host") == "-".join(wanted)
    assert request.values("x-forwarded-host") == ["MADE.test:81"]
    peer = seen(proxy.get("peer.test"))
    assert peer.value("host") == f"ip-{peer.value('x-real-ip')}"
    assert seen(proxy.get("nobody.test")).value("host") == "nobody.test"


def test_headers_to_the_client(proxy: Running) -> None:
    reply = proxy.get(ECHO, "/", ("X-Echo-Header", "X-From: backend"))
    names = [name for name, _ in reply.headers]
    assert reply.value("server") == "echo"
    assert reply.value("x-from") == "backend"
    for headers in (names, [name for name, _ in proxy.get("answers.test", "/silent").headers]):
        assert not [name for name in headers if name.startswith("x-") and name != "x-from"]
    assert proxy.get("answers.test", "/silent").value("server") is None


# ------------------------------------------------------------------ answers of the proxy itself


def test_redirects(proxy: Running) -> None:
    reply = proxy.get("answers.test", "/url?q")
    assert (reply.status, reply.value("location"), reply.body) == (308, URL, b"")
    reply = proxy.get("answers.test:81", "/path?q=%20")
    assert (reply.status, reply.value("location")) == (301, "http://answers.test:81/path/%C3%A9%20b%25%3F?q=%20")
    reply = proxy.get("answers.test", "/path", scheme="https")
    assert reply.value("location") == "https://answers.test/path/%C3%A9%20b%25%3F"


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        ("/fixed?x", 300, "{scheme}://answers.test:81/%C3%A9?y=%20"),
        ("/bare?x", 302, "{scheme}://answers.test:81/b"),
        ("/relative?x", 303, "/r?z"),
        ("/moved?x=%20", 307, "{scheme}://other.test:{port}/m?x=%20"),
        ("/moved", 307, "{scheme}://other.test:{port}/m"),
        ("/far?x", 302, "{scheme}://other.test:{port}/f?q"),
        ("/cut/a%2Fb?x=/y", 308, "{scheme}://www.test:{port}/cut/a%2Fb?x=/y"),
        ("/cut/a/", 308, "{scheme}://www.test:{port}/cut/a"),
        ("/cut//", 308, "{scheme}://www.test:{port}/cut/"),
        ("/cut/?a=/", 308, "{scheme}://www.test:{port}/cut/?a="),
        ("/cut", 308, "{scheme}://www.test:{port}/cut"),
        ("/other?a", 302, "/x%20y?a"),
        ("/other?", 302, "/x%20y"),
        ("/both/a/?b/", 308, "/both/a?new"),
        ("//moved?x", 307, "{scheme}://other.test:{port}/m?x"),
    ],
)
def test_redirects_made_from_the_request(proxy: Running, target: str, status: int, location: str) -> None:
    for scheme, port in (("http", HTTP_PORT), ("https", HTTPS_PORT)):
        reply = proxy.get("answers.test:81", target, scheme=scheme)
        assert (reply.status, reply.value("location")) == (status, location.format(scheme=scheme, port=port))


def test_texts(proxy: Running) -> None:
    reply = proxy.get("answers.test", "/text")
    assert (reply.status, reply.body.decode(), reply.value("content-type")) == (418, TEXT, "text/plain")
    assert len(proxy.get("answers.test", "/long").body) == 100_000
    assert proxy.get("answers.test", "/silent").status == 503


@pytest.mark.parametrize("name", ["empty.test", "nothing.test", "unresolved.test"])
def test_nobody_there_is_503(proxy: Running, name: str) -> None:
    assert proxy.get(name).status == 503


def test_somebody_who_does_not_listen_is_502(proxy: Running) -> None:
    reply = proxy.get("dead.test")
    assert (reply.status, reply.body) == (502, b"Bad Gateway")


# ------------------------------------------------------------------ hosts


@pytest.mark.parametrize(
    ("name", "target", "answer"),
    [
        ("a.wild.test", "/only", "wild"),
        ("A.WILD.test:80", "/only", "wild"),
        ("a.wild.test.", "/only", "wild"),
        ("own.wild.test", "/own", "own"),
        ("own.wild.test", "/only", "nothing here"),
        ("a.b.wild.test", "/only", "nothing here"),
        ("a.b.wild.test", "/any", "any"),
        ("a.b.wild.test.:80", "/any", "any"),
        ("wild.test", "/any", "any"),
        (".wild.test", "/any", "any"),
        ("x.deep.wild.test", "/", "deep"),
        ("x.y.deep.wild.test", "/any", "any"),
        ("deep.wild.test", "/only", "wild"),
        ("192.0.2.1:80", "/any", "any"),
        ("[::1]:80", "/any", "any"),
        ("elsewhere.test", "/any", "any"),
    ],
)
def test_hosts(proxy: Running, name: str, target: str, answer: str) -> None:
    assert proxy.says(name, target) == answer


def test_requests_without_a_host_by_http_1_0(proxy: Running) -> None:
    with proxy.connect() as connection:
        connection.write(b"GET /any HTTP/1.0\r\n\r\n")
        assert connection.read_reply().body == b"any"


@pytest.mark.parametrize(
    ("server_name", "certificate"),
    [
        ("secure.test", "secure.test"),
        ("SECURE.Test", "secure.test"),
        ("exact.secure.test", "exact.secure.test"),
        ("some.secure.test", "*.secure.test"),
        ("plain.secure.test", "default.test"),
        (ECHO, "default.test"),
        ("elsewhere.test", "default.test"),
        ("", "default.test"),
    ],
)
def test_certificates_by_server_name(proxy: Running, server_name: str, certificate: str) -> None:
    reply = proxy.get(ECHO, scheme="https", sni=server_name)
    assert reply.certificate_names == [certificate]
    assert seen(reply).service == "echo"  # routing is by Host, not by the name in the greeting


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_http_2(proxy: Running, scheme: str) -> None:
    port = HTTPS_PORT if scheme == "https" else HTTP_PORT
    reply = send_http2(proxy.address, port, Request(ECHO, "/p?q", scheme=scheme, method="POST", body=b"content"))
    assert (reply.version, seen(reply).target, seen(reply).body) == ("HTTP/2", "/p?q", "content")
    assert seen(reply).value("x-forwarded-proto") == scheme


# ------------------------------------------------------------------ forwarding


def test_weights(proxy: Running) -> None:
    counts = Counter(proxy.get("parts.test").service for _ in range(400))
    assert counts.keys() == {"echo", "twin"}
    assert 50 < counts["echo"] < 150
    assert Counter(proxy.get("both.test").service for _ in range(100)).keys() == {"echo", "twin"}


def test_source_hash_stays_and_draining_gets_nothing(proxy: Running) -> None:
    assert len({proxy.get("sticky.test").service for _ in range(20)}) == 1
    assert {proxy.get("draining.test").service for _ in range(10)} == {"twin"}


def test_methods_bodies_and_queries_pass(proxy: Running) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        request = seen(proxy.get(ECHO, "/x?a=%zz&b=%00", method=method, body=b"\0\xff"))
        assert (request.method, request.target, request.body) == (method, "/x?a=%zz&b=%00", "\0\xff")
    assert proxy.get(ECHO, method="HEAD").status == 200


def test_chunked_bodies_pass(proxy: Running) -> None:
    with proxy.connect() as connection:
        head = f"POST / HTTP/1.1\r\nHost: {ECHO}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.write(head.encode() + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert seen(connection.read_reply()).body == "abcde"


def test_large_bodies_are_refused(proxy: Running) -> None:
    assert proxy.get(ECHO, method="POST", body=b"x" * 10_000).status == 200
    assert proxy.get(ECHO, method="POST", body=b"x" * 10_001).status == 413


def test_websockets(proxy: Running) -> None:
    upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
    with proxy.connect() as connection:
        reply = connection.exchange(Request(ECHO, headers=upgrade))
        assert (reply.status, reply.value("sec-websocket-accept")) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        connection.write(b"\0ping\xff")
        assert connection.read(6) == b"\0ping\xff"


def test_websockets_by_http_2(proxy: Running) -> None:
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


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_ipv6_on_both_sides(running: Running, echo: EchoNet) -> None:
    port, http_port = free_port("::1"), free_port("::1")
    echo.listen("::1", port, "six")
    whole = config([host("a.test", ("prefix", "/", to("six")))], [upstream("six", "::1", port=port)])
    running.go(whole, bind=(running.address, "::1"), http_port=http_port, https_port=free_port("::1"))
    with Connection("::1", http_port) as connection:
        request = seen(connection.exchange(Request("a.test")))
    assert (request.service, request.value("x-real-ip")) == ("six", "::1")


def test_a_dead_endpoint_is_passed_over(proxy: Running) -> None:
    for method in ("GET", "POST"):
        assert {proxy.get("half-dead.test", method=method).status for _ in range(20)} == {200}


def test_only_what_may_be_repeated_is_sent_again(proxy: Running, echo: EchoNet) -> None:
    *_, endpoint = (each for each in echo.endpoints.values() if each.service == "echo")
    for method, tries in (("GET", 3), ("PUT", 3), ("POST", 1), ("PATCH", 1)):
        before = endpoint.requests
        assert proxy.get(ECHO, "/", ("X-Echo-Drop", "1"), method=method).status == 502
        assert endpoint.requests - before == tries


def test_a_silent_upstream_is_given_up(proxy: Running) -> None:
    assert proxy.get(ECHO, "/", ("X-Echo-Delay", "2.5")).status == 504
    assert proxy.get(ECHO, "/", ("X-Echo-Delay", "0.6")).status == 200
