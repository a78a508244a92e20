"""What policies do to requests and answers, on a real Envoy with echoing upstreams."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gen.errors import Rejected
from gen.ir import Action, Certificate, Endpoint, Host, Match, MatchKind, Policy, Redirect, Respond, Route, Upstream
from gen.policy import (
    Affinity,
    Canary,
    CookieRewrite,
    Cors,
    HttpsRedirect,
    Mirror,
    RedirectRewrite,
    Retries,
    Timeouts,
    UpstreamTls,
    Variable,
)
from tests.envoy.configs import certificate, config, source, to, upstream
from tests.envoy.running import Running, wait
from tests.live.certificates import authority, issue
from tests.live.client import Reply, Request
from tests.live.echo import EchoNet, Seen
from tests.live.http2 import send_http2
from tests.live.net import HTTPS_PORT, fresh_address

CA = authority().cert_pem.bytes()
TLS = UpstreamTls(server_name="inner.test", send_name=True)
US = (certificate("n/us", "us.test"),)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TWICE = {"Access-Control-Allow-Origin": "https://upstream.test", "X-It": "theirs"}


def rule(path: str, policy: Policy, action: Action | None = None, kind: MatchKind = "prefix") -> Route:
    return Route(Match(kind, path), action or to("echo"), source("policies", 0), policy)


def site(name: str, *routes: Route, **others: object) -> Host:
    return Host(name, (*routes, rule("/", Policy(), Respond(404))), sources=(source(name, 0),), **others)  # type: ignore[arg-type]


def one(name: str, policy: Policy, action: Action | None = None) -> Host:
    return Host(name, (rule("/", policy, action),), sources=(source(name, 0),))


HOSTS = (
    one("https.test", Policy(https_redirect=HttpsRedirect(), cors=Cors(("https://a.test",), "GET", "X"))),
    one("https-port.test", Policy(https_redirect=HttpsRedirect(301, 8443, keep_slash=True))),
    site(
        "rewrite.test",
        rule("/a(/|$)(.*)", Policy(rewrite=("/b/", Variable("capture", "2")), forwarded_prefix=("/a",)), kind="regex"),
        rule(
            "/it's [x](y)?(z)",
            Policy(rewrite=("/", Variable("capture", "1"), "-", Variable("capture", "2"), Variable("capture", "3"))),
            kind="regex",
        ),
        rule("/no-groups", Policy(rewrite=("/", Variable("capture", "1"), "x?y%")), kind="regex"),
        rule("/plain", Policy(rewrite=("/new path",))),
    ),
    one("cors.test", Policy(cors=Cors((), "GET, PUT", "X-One", "X-Two"), response_headers=(("X-It", "ours"),))),
    one(
        "origins.test",
        Policy(cors=Cors(("https://*.good.test", "http://one.test:8080"), "GET", "X", credentials=False)),
    ),
    one("answers.test", Policy(response_headers=(("X-It", "100% 'it' %REQ(:path)%"), ("Server", "mine")))),
    one("answers-itself.test", Policy(response_headers=(("X-It", "mine"),)), Respond(404)),
    one("moved.test", Policy(https_redirect=HttpsRedirect(), response_headers=(("X-It", "mine"),)),
        Redirect(301, url="https://new.test/")),
    site(
        "requests.test",
        rule("/c/([a-z]+)", Policy(request_headers=(("X-Group", ("<", Variable("capture", "1"), ">")),)), kind="regex"),
        rule("/", Policy(
            request_headers=(("X-Path", (Variable("uri"),)), ("X-Gone", ()), ("X-Forwarded-Host", ("told.test",)),
                             ("X-Forwarded-Proto", ("told",))),
            upstream_host=("to.", Variable("host")),
        )),
    ),
    one("closed.test", Policy(connection_header="close")),
    one("slow.test", Policy(timeouts=Timeouts(read=0.3))),
    one("cookies.test", Policy(cookie_rewrites=(
        CookieRewrite("domain", "old.test", "new.test"), CookieRewrite("path", "/old", "/new"),
    ))),
    one("location.test", Policy(
        redirect_rewrites=(RedirectRewrite("http://old.test/", ("https://", Variable("host"), "/")),),
    )),
    one("header.canary.test", Policy(canary=Canary("twin", header="X-Canary", cookie="can", weight=0))),
    one("value.canary.test", Policy(canary=Canary("twin", header="X-Canary", header_value="yes"))),
    one("pattern.canary.test", Policy(canary=Canary("twin", header="X-Canary", header_pattern="^(a b|c'd)$"))),
    one("search.canary.test", Policy(canary=Canary("twin", header="X-Canary", header_pattern="b+c"))),
    one("weight.canary.test", Policy(canary=Canary("twin", weight=30))),
    one("all.canary.test", Policy(canary=Canary("twin", weight=100))),
    one("empty.canary.test", Policy(canary=Canary("empty", weight=100))),
    one("off.canary.test", Policy(canary=Canary("twin", weight=100)), to("empty")),
    one("sticky.canary.test", Policy(canary=Canary("twin", header="X-Canary"), affinity=Affinity())),
    one("legacy.canary.test", Policy(canary=Canary("twin", header="X-Canary", sticky=False), affinity=Affinity())),
    one("affinity.test", Policy(
        affinity=Affinity("stick", "/here", "dom.test", expires=3600, max_age=60, same_site="Lax"),
    ), to("both")),
    one("none.test", Policy(affinity=Affinity(same_site="None", secure=True, conditional_same_site_none=True))),
    one("persistent.test", Policy(affinity=Affinity("keep", "/there", persistent=True)), to("both")),
    one("hash.test", Policy(hash_by=(Variable("request_uri"), "-", Variable("header", "x-key"))), to("both")),
    one("subset.test", Policy(hash_by=("same",), hash_subset=20), to("both")),
    one("least.test", Policy(balance="least_connections"), to("both")),
    one("plain.test", Policy(), to("both")),
    one("mirror.test", Policy(mirror=Mirror("copies", ("copy.test",), ("/copied", Variable("request_uri"))))),
    one("no-body.test", Policy(mirror=Mirror("copies", ("copy.test",), (), body=False))),
    one("empty.test", Policy(https_redirect=HttpsRedirect()), to("empty")),
    one("tls.test", Policy(protocol="https"), to("secure")),
    one("verified.test", Policy(protocol="https", upstream_tls=UpstreamTls(True, 1, CA, "n/us", "inner.test", True)),
        to("secure")),
    one("unverified.test", Policy(protocol="https", upstream_tls=UpstreamTls(True, 1, CA, "n/us", "other.test", True)),
        to("secure")),
    one("either.test", Policy(protocol="as_client"), to("secure")),
    one("grpc.test", Policy(protocol="grpc"), to("preface")),
    one("slow-twice.test", Policy(retries=Retries(("error", "timeout"), 2), timeouts=Timeouts(read=0.3))),
    one("half-dead.test", Policy(retries=Retries(("error",), 2)), to("half-dead")),
    one("once.test", Policy(retries=Retries(())), to("half-dead")),
    one("statuses.test", Policy(retries=Retries(("http_503",), 2)), to("failing")),
    one("any-method.test", Policy(retries=Retries(("http_503", "non_idempotent"), 2)), to("failing")),
    Host("named.test", (rule("/", Policy()),), aliases=("alias.test", "*.alias.test"),
         alias_patterns=(r"^n[0-9]+\.test$", "[$]x|pat")),
    Host("own.alias.test", (rule("/", Policy(), Respond(200, "own")),)),
)  # fmt: skip


@pytest.fixture(scope="module")
def preface() -> Iterator[socket.socket]:
    """A server that only listens."""
    with socket.create_server((fresh_address(8080), 8080)) as listening:
        yield listening


@pytest.fixture(scope="module")
def proxy(
    binary: str, echo: EchoNet, preface: socket.socket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("policies")
    names = ("echo", "twin", "copies", "other", "secure", "failing")
    places = {name: fresh_address(8080) for name in names}
    for name, address in places.items():
        context = demanding(folder) if name == "secure" else None
        echo.listen(address, 8080, name, speaks=context, status=503 if name == "failing" else 200)
    upstreams = (
        *(upstream(name, address) for name, address in places.items() if name not in ("other", "failing")),
        upstream("both", places["twin"], places["other"]),
        upstream("half-dead", fresh_address(8080), places["echo"]),
        upstream("failing", places["failing"], places["echo"]),
        Upstream("empty"),
        Upstream("preface", (Endpoint(preface.getsockname()[0], 8080),)),
    )
    with Running(binary, folder / "state") as running:
        running.go(config(HOSTS, upstreams, US))
        yield running


def demanding(folder: Path) -> ssl.SSLContext:
    """TLS as `inner.test`; a client may show a certificate."""
    chain, key = issue("inner.test")
    (folder / "inner.pem").write_bytes(chain + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "inner.pem")
    context.load_verify_locations(cadata=CA.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def seen(reply: Reply) -> Seen:
    assert reply.seen, reply
    return reply.seen


# ------------------------------------------------------------------ redirects, paths, headers


def test_plain_http_is_redirected(proxy: Running) -> None:
    reply = proxy.get("HTTPS.test:80", "/a/?b=%20/")
    assert (reply.status, reply.value("location")) == (308, "https://HTTPS.test/a/?b=%20")
    assert proxy.get("https-port.test", "/a/").value("location") == "https://https-port.test:8443/a/"
    assert proxy.get("https.test", scheme="https").status == 200
    assert proxy.get("https.test", "/", ("Origin", "https://a.test"), method="OPTIONS").status == 204
    assert proxy.get("empty.test").status == 308
    assert proxy.get("empty.test", scheme="https").status == 503


@pytest.mark.parametrize(("target", "expected"), [
    ("/a/x%20y:z?q=1", "/b/x%20y:z?q=1"), ("/a", "/b/"), ("/A/%2e%2e/a/%C3%A9", "/b/%C3%A9"),
    ("/a/%25%3F%23?", "/b/%25%3F%23?"), ("/it's xyz", None), ("/it%27s%20xz", "/-z"), ("/it%27s%20xyz", "/y-z"),
    ("/plain/more", "/new%20path"), ('/a/b%0A%7Fc"', "/b/b%0A%7Fc%22"), ("/%61/x", "/b/x"), ("/no-groups", "/x%3Fy%25"),
    ("/a/a\tb", None),
])  # fmt: skip
def test_paths_are_rewritten(proxy: Running, target: str, expected: str | None) -> None:
    reply = proxy.get("rewrite.test", target)
    if expected is None:
        assert reply.status == 400
        return
    assert seen(reply).target == expected


def test_the_prefix_that_was_cut_is_told(proxy: Running) -> None:
    told = seen(proxy.get("rewrite.test", "/a/b", ("X-Forwarded-Prefix", "forged")))
    assert told.values("x-forwarded-prefix") == ["/a"]
    assert not [name for name, _ in told.headers if name.startswith("x-gen")]


def test_a_path_that_is_too_long_to_be_searched(proxy: Running) -> None:
    assert len(seen(proxy.get("rewrite.test", "/a/" + "x" * 7000)).target) == 7003
    assert proxy.get("rewrite.test", "/a/" + "x" * 9000).status == 414


def test_headers_of_requests(proxy: Running) -> None:
    told = seen(proxy.get("requests.test:81", "/a%0d%0ab/%41%3f", ("X-Gone", "1"), ("X-Path", "2")))
    assert told.values("x-path") == ["/a%0D%0Ab/A?"]
    assert told.value("x-gone") is None
    assert told.value("host") == "to.requests.test"
    assert (told.values("x-forwarded-host"), told.values("x-forwarded-proto")) == (["told.test"], ["told"])
    assert seen(proxy.get("requests.test", "/C/Xy/1")).value("x-group") == "<Xy>"


def test_the_connection_of_the_upstream(proxy: Running) -> None:
    assert seen(proxy.get("closed.test")).value("connection") == "close"


def test_headers_of_answers(proxy: Running) -> None:
    reply = proxy.get("answers.test", "/", ("X-Echo-Header", "X-It: theirs"))
    assert (reply.value("x-it"), reply.value("server")) == ("100% 'it' %REQ(:path)%", "mine")
    for name in ("answers-itself.test", "moved.test"):
        assert proxy.get(name).value("x-it") == "mine"
    assert proxy.get("moved.test").status == 301


def test_cookies_are_rewritten(proxy: Running) -> None:
    lines = ("Set-Cookie: a=b; domain=.old.test; Path=/old/x; Secure", "X-A: b", "Set-Cookie: c=d")
    reply = proxy.get("cookies.test", "/", *(("X-Echo-Header", line) for line in lines))
    cookies = [value for name, value in reply.headers if name == "set-cookie"]
    assert cookies == ["a=b; domain=new.test; Path=/new/x; Secure", "c=d"]
    other = "a=b; Domain=cold.test; Path=/x/old"
    assert proxy.get("cookies.test", "/", ("X-Echo-Header", f"Set-Cookie: {other}")).value("set-cookie") == other


def test_redirects_are_rewritten(proxy: Running) -> None:
    reply = proxy.get("location.test", "/", ("X-Echo-Header", "Location: http://old.test/x"))
    assert reply.value("location") == "https://location.test/x"
    reply = proxy.get("location.test", "/", ("X-Echo-Header", "Refresh: 5; URL=http://old.test/x"))
    assert reply.value("refresh") == "5; URL=https://location.test/x"
    reply = proxy.get("location.test", "/", ("X-Echo-Header", "Location: http://cold.test/x"))
    assert reply.value("location") == "http://cold.test/x"


@pytest.mark.parametrize(("name", "status"), [
    ("named.test", 200), ("alias.test", 200), ("x.alias.test", 200), ("n12.test", 200), ("N12.test:81", 200),
    ("nx.test", 404), ("n1.test.evil", 404), ("x.y.alias.test", 404), ("dispatch.test", 200), ("n1.alias.test", 200),
    ("$x.test", 200),
])  # fmt: skip
def test_other_names(proxy: Running, name: str, status: int) -> None:
    assert proxy.get(name).status == status
    assert proxy.says("own.alias.test") == "own"


# ------------------------------------------------------------------ other origins


def test_preflight(proxy: Running) -> None:
    reply = proxy.get("cors.test", "/%61/../b", method="OPTIONS")
    assert (reply.status, reply.value("content-type")) == (204, "text/plain charset=UTF-8")
    assert reply.value("access-control-allow-origin") == "*"
    assert reply.value("access-control-allow-methods") == "GET, PUT"
    assert reply.value("access-control-expose-headers") == "X-Two"
    assert reply.value("access-control-max-age") == "1728000"
    assert reply.value("x-it") == "ours"
    plain = proxy.get("cors.test", "/", *(("X-Echo-Header", f"{name}: {value}") for name, value in TWICE.items()))
    assert (plain.status, plain.value("access-control-allow-credentials")) == (200, "true")
    assert (plain.value("access-control-allow-origin"), plain.value("x-it")) == ("*", "ours")


@pytest.mark.parametrize(("origin", "is_allowed"), [
    ("https://a.good.test", True), ("https://a.b.good.test", False), ("http://a.good.test", False),
    ("https://a.good.test.evil", False), ("https://xgood.test", False), ("http://one.test:8080", True),
    ("http://one.test", False), ("HTTP://ONE.test:8080", True), ("http://onextest:8080", False),
    ("https://.good.test", False), ("https://good.test", False), ("https://a/good.test", False), ("null", False),
])  # fmt: skip
def test_origins(proxy: Running, origin: str, is_allowed: bool) -> None:
    reply = proxy.get("origins.test", "/", ("Origin", origin))
    assert reply.value("access-control-allow-origin") == (origin if is_allowed else None)
    assert reply.value("access-control-allow-credentials") is None
    asked = proxy.get("origins.test", "/", ("Origin", origin), method="OPTIONS")
    assert asked.status == (204 if is_allowed else 200)


# ------------------------------------------------------------------ which upstream, which endpoint


@pytest.mark.parametrize(("host", "headers", "expected"), [
    ("header", (), "echo"), ("header", (("X-Canary", "always"),), "twin"), ("header", (("X-Canary", "x"),), "echo"),
    ("header", (("X-Canary", "never"), ("Cookie", "can=always")), "echo"),
    ("header", (("Cookie", "can=always"),), "twin"), ("header", (("Cookie", "a=b; can=always; c=d"),), "twin"),
    ("header", (("Cookie", "scan=always"),), "echo"), ("header", (("Cookie", "can=alwaysx"),), "echo"),
    ("header", (("Cookie", "a=b;can=never"),), "echo"),
    ("value", (("X-Canary", "yes"),), "twin"), ("value", (("X-Canary", "always"),), "echo"),
    ("pattern", (("X-Canary", "a b"),), "twin"), ("pattern", (("X-Canary", "c'd"),), "twin"),
    ("pattern", (("X-Canary", "xa b"),), "echo"), ("search", (("X-Canary", "abbcd"),), "twin"),
    ("all", (), "twin"), ("empty", (), "echo"), ("sticky", (("X-Canary", "always"),), "twin"),
])  # fmt: skip
def test_canaries(proxy: Running, host: str, headers: tuple[tuple[str, str], ...], expected: str) -> None:
    assert proxy.get(f"{host}.canary.test", "/%61", *headers).service == expected


def test_a_canary_by_one_of_several_cookie_fields(proxy: Running) -> None:
    cookies = (("cookie", "a=b"), ("cookie", "can=always"), ("cookie", "c=d"))
    request = Request("header.canary.test", scheme="https", headers=cookies)
    assert send_http2(proxy.address, HTTPS_PORT, request).service == "twin"


def test_a_canary_of_nobody(proxy: Running) -> None:
    assert proxy.get("off.canary.test").status == 503


def test_the_weight_of_a_canary(proxy: Running) -> None:
    with proxy.connect() as connection:
        found = Counter(connection.exchange(Request("weight.canary.test")).service for _ in range(300))
    assert 50 < found["twin"] < 135, found


def test_a_canary_keeps_whom_it_has(proxy: Running) -> None:
    first = proxy.get("sticky.canary.test", "/", ("X-Canary", "always"))
    cookie = (first.value("set-cookie") or "").partition(";")[0]
    assert {proxy.get("sticky.canary.test", "/", ("Cookie", cookie)).service for _ in range(5)} == {"twin"}
    again = proxy.get("sticky.canary.test", "/", ("Cookie", cookie), ("X-Canary", "never"))
    assert (again.service, again.value("set-cookie")) == ("twin", None)
    legacy = proxy.get("legacy.canary.test", "/", ("X-Canary", "always"))
    assert (legacy.service, legacy.value("set-cookie")) == ("twin", None)
    assert proxy.get("legacy.canary.test").value("set-cookie")


def test_affinity(proxy: Running) -> None:
    found = set()
    for _ in range(8):
        first = proxy.get("affinity.test")
        cookie = first.value("set-cookie") or ""
        assert re.fullmatch(
            r"stick=[0-9a-f]{32}\|[0-9a-f]{16}; Expires=\w{3}, \d\d-\w{3}-\d\d [\d:]{8} GMT; "
            r"Max-Age=60; Domain=dom.test; Path=/here; HttpOnly; SameSite=Lax",
            cookie,
        )
        pair = ("Cookie", "a=b; " + cookie.partition(";")[0])
        again = [proxy.get("affinity.test", "/", pair) for _ in range(4)]
        assert {(each.service, each.value("set-cookie")) for each in again} == {(first.service, None)}
        found.add(first.service)
    found |= {proxy.get("affinity.test").service for _ in range(40)}  # a key is made by chance
    assert len(found) == 2
    assert "; Secure" in (proxy.get("affinity.test", scheme="https").value("set-cookie") or "")


def test_browsers_that_do_not_know_none(proxy: Running) -> None:
    assert (proxy.get("none.test").value("set-cookie") or "").endswith("; Secure; HttpOnly; SameSite=None")
    old = ("User-Agent", "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML) Chrome/51.0.2704.103 Safari/537.36")
    assert (proxy.get("none.test", "/", old).value("set-cookie") or "").endswith("; Secure; HttpOnly")


def test_persistent_affinity(proxy: Running) -> None:
    found = set()
    for _ in range(4):
        first = proxy.get("persistent.test", "/", ("X-Gen-Session", "x"))
        cookie = first.value("set-cookie") or ""
        assert re.fullmatch(r"keep=[^;|]+\|[0-9a-f]{16}; Path=/there; HttpOnly", cookie)
        assert first.value("x-gen-session") is None
        assert seen(first).value("x-gen-session") is None
        for _ in range(3):
            again = proxy.get("persistent.test", "/", ("Cookie", cookie.partition(";")[0]))
            assert (again.service, again.value("set-cookie")) == (first.service, None)
        found.add(first.service)
    assert len(found) == 2
    assert proxy.get("persistent.test", "/", ("Cookie", "keep=garbage|x")).value("set-cookie")


def test_hashing(proxy: Running) -> None:
    by_key = {
        key: {proxy.get("hash.test", "/", ("X-Key", key)).service for _ in range(3)}
        for key in "abcdefghijklmnopqrstuvwxyz"
    }
    assert all(len(services) == 1 for services in by_key.values())
    assert len(set.union(*by_key.values())) == 2


@pytest.mark.parametrize("name", ["subset.test", "least.test", "plain.test"])
def test_the_same_upstream_in_other_ways(proxy: Running, name: str) -> None:
    assert len({proxy.get(name).service for _ in range(48)}) == 2


# ------------------------------------------------------------------ how the upstream is reached


def test_tls_to_the_upstream(proxy: Running) -> None:
    for name in ("tls.test", "verified.test"):
        assert proxy.get(name).service == "secure"
    assert proxy.get("unverified.test").status == 502
    assert proxy.get("either.test", scheme="https").service == "secure"
    assert proxy.get("either.test").status == 502


def test_grpc_is_spoken_by_http2(proxy: Running, preface: socket.socket) -> None:
    with proxy.connect() as client:
        client.write(Request("grpc.test").encode())
        connection, _ = preface.accept()
        with connection:
            assert connection.recv(len(PREFACE), socket.MSG_WAITALL) == PREFACE


def test_patience(proxy: Running) -> None:
    assert proxy.get("slow.test", "/", ("X-Echo-Delay", "2")).status == 504


@pytest.mark.parametrize(("method", "tries"), [("GET", 2), ("POST", 1)])
def test_patience_with_several_tries(proxy: Running, echo: EchoNet, method: str, tries: int) -> None:
    *_, endpoint = [each for each in echo.endpoints.values() if each.service == "echo"]
    before = endpoint.requests
    assert proxy.get("slow-twice.test", "/", ("X-Echo-Delay", "2"), method=method).status == 504
    assert endpoint.requests == before + tries


def test_tries(proxy: Running) -> None:
    assert {proxy.get("half-dead.test").status for _ in range(6)} == {200}
    assert {proxy.get("once.test").status for _ in range(6)} == {200, 502}
    assert {proxy.get("statuses.test").status for _ in range(6)} == {200}
    assert {proxy.get("statuses.test", method="POST").status for _ in range(6)} == {200, 503}
    assert {proxy.get("any-method.test", method="POST").status for _ in range(6)} == {200}


def test_copies(proxy: Running, echo: EchoNet) -> None:
    *_, copies = [each for each in echo.endpoints.values() if each.service == "copies"]
    before = copies.requests
    reply = proxy.get("mirror.test", "/x?y", method="POST", body=b"abc")
    assert (reply.service, seen(reply).body) == ("echo", "abc")
    wait("copy a request", lambda: copies.requests == before + 1)
    assert proxy.get("mirror.test").service == "echo"
    wait("copy a request", lambda: copies.requests == before + 2)
    large = b"x" * 1_500_000
    assert len(seen(proxy.get("mirror.test", method="POST", body=large)).body) == len(large)
    assert proxy.get("no-body.test", method="POST", body=large).status == 200
    wait("copy a request", lambda: copies.requests == before + 3)


# ------------------------------------------------------------------ what is not asked for over the wire

OTHERS = (
    Policy(protocol="grpcs", retries=Retries(("error", "timeout", "invalid_header", "http_502"), 4)),
    Policy(
        protocol="https", upstream_tls=UpstreamTls(verify=True, ca=CA, protocols=("TLSv1.2",), ciphers="HIGH:!aNULL")
    ),
    Policy(protocol="https", upstream_tls=UpstreamTls(ciphers="ECDHE-RSA-AES128-GCM-SHA256", protocols=("TLSv1.3",))),
    Policy(timeouts=Timeouts(1, 2, 3), access_log=False, balance="source_hash"),
    Policy(mirror=Mirror("echo", ("copy.test",), ("/",), tls=True), protocol="as_client"),
)


def test_everything_is_accepted(running: Running) -> None:
    hosts = [one(f"h{number}.test", policy) for number, policy in enumerate(OTHERS)]
    running.go(config(hosts, (upstream("echo", "127.0.0.9"),)))


NASTY = (
    *("'", '"', "\\", "\\1", "%REQ(:path)%", "%", "a b", "#", "$HOME", "${HOME}", "x\ny", "x\ty", "{ }", "a,b)", ";"),
    *("|", "]", "[", "(", "*", "\0", "\x7f", "é", "]] --", "\ud800", "=", " x "),
)


def policies(text: str) -> Iterator[Policy]:
    """Policies that hold a text wherever one may stand."""
    yield Policy(response_headers=(("X", text),), request_headers=(("X", (text, Variable("uri"))),))
    yield Policy(response_headers=((text, "x"),))
    yield Policy(request_headers=((text, ("x",)),))
    yield Policy(cors=Cors((f"https://{text}.test",), text, text, text))
    yield Policy(rewrite=("/", text), forwarded_prefix=(text,), upstream_host=(text,), hash_by=(text,))
    yield Policy(cookie_rewrites=(CookieRewrite("domain", text, text), CookieRewrite("path", text, text)))
    yield Policy(redirect_rewrites=(RedirectRewrite(text, (text,)),))
    yield Policy(affinity=Affinity("a", text, text, same_site=text))
    yield Policy(affinity=Affinity(text), canary=Canary("echo"))
    yield Policy(canary=Canary("echo", header="x", header_value=text), mirror=Mirror("echo", (text,), (text,)))
    yield Policy(canary=Canary("echo", header=text, cookie=text))
    yield Policy(upstream_tls=UpstreamTls(ciphers=text), protocol="https")
    yield Policy(upstream_tls=UpstreamTls(server_name=text, send_name=True), protocol="https")
    yield Policy(connection_header=text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_no_text_becomes_anything_else(running: Running, text: str) -> None:
    places = (upstream("echo", "127.0.0.9"),)
    taken = []
    for policy in policies(text):
        with contextlib.suppress(Rejected):
            running.bundle(config([one("h.test", policy)], places))
            taken.append(policy)
    assert taken or text in ("x\ny", "x\ty", "\0", "\x7f", "\ud800")
    hosts = [one(f"h{number}.test", policy) for number, policy in enumerate(taken)]
    running.run(running.backend.validate(running.bundle(config(hosts, places))))


def test_two_ways_to_one_upstream_are_two_clusters(running: Running) -> None:
    shared = [one(f"h{number}.test", Policy(hash_by=("x",))) for number in range(3)]
    others = [one("n.test", Policy()), one("o.test", Policy(timeouts=Timeouts(read=3)))]
    bundle = running.bundle(config([*shared, *others], (upstream("echo", "127.0.0.9"),)))
    found = re.findall(rb'"name": "(echo[^"]*)", "connect_timeout"', bundle.files["envoy.json"])
    assert len(found) == 2
    assert found == sorted(found)


def test_a_certificate_for_the_upstream_is_a_secret(running: Running) -> None:
    shown: Certificate = certificate("n/us", "us.test")
    host = one("h.test", Policy(protocol="https", upstream_tls=UpstreamTls(certificate="n/us")))
    bundle = running.bundle(config([host], (upstream("echo", "127.0.0.9"),), (shown,)))
    keys = [path for path, content in bundle.files.items() if content == shown.key]
    assert keys
    assert set(keys) <= bundle.secrets


def test_no_policy_of_a_route_changes_a_listener(running: Running) -> None:
    places = [upstream(name, "127.0.0.9") for name in ("echo", "twin", "copies", "empty")]
    plain = running.bundle(config([one("h.test", Policy())], places, US))
    for host in HOSTS:
        for policy in {route.policy for route in host.routes}:
            changed = running.bundle(config([one("h.test", policy)], places, US))
            pushed = running.backend.plan(plain, changed)
            assert not pushed.reload
            assert not [command for command in pushed.commands if "listeners" in command], policy


def test_a_route_gets_another_policy_without_a_failure(running: Running, echo: EchoNet) -> None:
    address = fresh_address(8080)
    echo.listen(address, 8080, "moving")
    policies = [Policy(), Policy(hash_by=("x",)), Policy(affinity=Affinity()), Policy(timeouts=Timeouts(connect=2.0))]
    configs = [config([one("h.test", policy, to("moving"))], (upstream("moving", address),)) for policy in policies]
    running.go(configs[0])
    statuses: Counter[int] = Counter()
    stop = threading.Event()

    def ask() -> None:
        with running.connect() as connection:
            while not stop.is_set():
                statuses[connection.exchange(Request("h.test")).status] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    for each in (*configs[1:], *configs):
        running.go(each)
    stop.set()
    asking.join()
    assert set(statuses) == {200}
    assert statuses[200] > len(configs)
