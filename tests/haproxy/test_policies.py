"""What policies do to requests, on a real HAProxy with echoing upstreams."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from gen.errors import Rejected
from gen.ir import Action, Host, Match, MatchKind, Policy, Redirect, Respond, Route, Upstream
from gen.policy import (
    Affinity,
    BasicAuth,
    Canary,
    ConnectionLimit,
    CookieRewrite,
    Cors,
    ErrorPages,
    ExternalAuth,
    Fallback,
    FastCgi,
    HttpsRedirect,
    Mirror,
    RateLimit,
    RedirectRewrite,
    Retries,
    Timeouts,
    UpstreamTls,
    Variable,
)
from tests.haproxy.configs import config, source, to, upstream
from tests.haproxy.running import Running
from tests.live.client import Reply, Request
from tests.live.echo import EchoNet, Seen
from tests.live.http2 import send_http2
from tests.live.net import HTTPS_PORT, fresh_address

SHA = "{SHA}" + base64.b64encode(hashlib.sha1(b"open sesame").digest()).decode()
SSHA = "{SSHA}" + base64.b64encode(hashlib.sha1(b"open sesamesalt").digest() + b"salt").decode()
USERS = (
    ("apr1", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"),  # myPassword, an example of Apache's documentation
    ("bcrypt", "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC"),  # myPassword, of the same page
    ("plain", "{PLAIN}open sesame"),
    ("sha", SHA),
    ("ssha", SSHA),
    ("unknown", "$9$nobody$knows"),
)
SECRETS = {"apr1": "myPassword", "bcrypt": "myPassword"}
BASIC = BasicAuth('a "realm"', USERS)
EVERYTHING = tuple(
    piece
    for name in ("http_host", "scheme", "remote_addr", "uri", "request_uri")
    for piece in (*(() if name == "http_host" else (" ",)), Variable(name))
)
ASKED = ExternalAuth(
    "guard", ("guard.test",), ("/check?from=", Variable("host")), response_headers=("X-User", "X-None")
)


def rule(path: str, policy: Policy, action: Action | None = None, kind: MatchKind = "prefix") -> Route:
    return Route(Match(kind, path), action or to("echo"), source(0, "policies"), policy)


def site(name: str, *routes: Route, **others: object) -> Host:
    return Host(name, (*routes, rule("/", Policy(), Respond(404))), sources=(source(0, name),), **others)  # type: ignore[arg-type]


def one(name: str, policy: Policy, action: Action | None = None) -> Host:
    return Host(name, (rule("/", policy, action),), sources=(source(0, name),))


HOSTS = (
    one("https.test", Policy(https_redirect=HttpsRedirect(), auth_basic=BASIC)),
    one("https-port.test", Policy(https_redirect=HttpsRedirect(301, 8443, keep_slash=True))),
    site(
        "rewrite.test",
        rule("/a(/|$)(.*)", Policy(rewrite=("/b/", Variable("capture", "2")), forwarded_prefix=("/a",)), kind="regex"),
        rule(
            "/it's [x](y)?(z)",
            Policy(rewrite=("/", Variable("capture", "1"), "-", Variable("capture", "2"))),
            kind="regex",
        ),
        rule("/plain", Policy(rewrite=("/new path",))),
    ),
    one("cors.test", Policy(cors=Cors((), "GET, PUT", "X-One", "X-Two"), auth_basic=BASIC)),
    one(
        "origins.test",
        Policy(cors=Cors(("https://*.good.test", "http://one.test:8080"), "GET", "X", credentials=False)),
    ),
    one("allow.test", Policy(allow=("127.0.0.0/8", "::1/128"))),
    one("deny.test", Policy(deny=("127.0.0.1",), allow=("0.0.0.0/0",), auth_basic=BASIC)),
    one("nobody.test", Policy(allow=())),
    one("basic.test", Policy(auth_basic=BASIC)),
    one("digest.test", Policy(auth_basic=BasicAuth("x", USERS, "digest"))),
    one("satisfy.test", Policy(auth_basic=BASIC, allow=("10.0.0.0/8",), satisfy_any=True)),
    one("satisfied.test", Policy(auth_basic=BASIC, allow=("127.0.0.0/8",), satisfy_any=True)),
    one("guarded.test", Policy(auth_external=ASKED)),
    one(
        "signin.test",
        Policy(
            auth_external=ExternalAuth(
                "guard", ("g.test",), ("/401",), signin=("https://login.test/?rd=", Variable("escaped_request_uri"))
            )
        ),
    ),
    one(
        "kept.test",
        Policy(
            auth_external=msgspec.structs.replace(
                ASKED, cache_key=(Variable("header", "x-key"),), cache_valid=(((200, 202), 60.0), ((401,), 60.0))
            )
        ),
    ),
    one("unguarded.test", Policy(auth_external=ExternalAuth("empty", ("g.test",), ("/",)))),
    one("rates.test", Policy(rate_limits=(RateLimit("z1", 1, 60.0, 3, status=429),))),
    one("more-rates.test", Policy(rate_limits=(RateLimit("z1", 1, 60.0, 3, status=429),), https_redirect=None)),
    one("free-rates.test", Policy(rate_limits=(RateLimit("z2", 1, 60.0, 0, exempt=("127.0.0.0/8",)),))),
    one("connections.test", Policy(connection_limit=ConnectionLimit("z3", 1))),
    one("body.test", Policy(body_limit=10)),
    one("body-free.test", Policy(body_limit=0)),
    one("body-large.test", Policy(body_limit=100_000)),
    one("body-guarded.test", Policy(body_limit=40, auth_basic=BASIC, request_headers=(("X-All", EVERYTHING),))),
    one("body-default.test", Policy(response_headers=(("X-It", "100% 'it'"), ("Server", "mine")))),
    one(
        "requests.test",
        Policy(
            request_headers=(("X-Path", (Variable("uri"),)), ("X-Gone", ())), upstream_host=("to.", Variable("host"))
        ),
    ),
    one("slow.test", Policy(timeouts=Timeouts(read=0.3))),
    one(
        "cookies.test",
        Policy(
            cookie_rewrites=(CookieRewrite("domain", "old.test", "new.test"), CookieRewrite("path", "/old", "/new"))
        ),
    ),
    one(
        "location.test",
        Policy(redirect_rewrites=(RedirectRewrite("http://old.test/", ("https://", Variable("host"), "/")),)),
    ),
    one("header.canary.test", Policy(canary=Canary("twin", header="X-Canary", cookie="can", weight=0))),
    one("value.canary.test", Policy(canary=Canary("twin", header="X-Canary", header_value="yes"))),
    one("pattern.canary.test", Policy(canary=Canary("twin", header="X-Canary", header_pattern="^(a b|c'd)$"))),
    one("weight.canary.test", Policy(canary=Canary("twin", weight=30))),
    one("all.canary.test", Policy(canary=Canary("twin", weight=100))),
    one("empty.canary.test", Policy(canary=Canary("empty", weight=100))),
    one("sticky.canary.test", Policy(canary=Canary("twin", header="X-Canary"), affinity=Affinity())),
    one(
        "affinity.test",
        Policy(affinity=Affinity("stick", "/here", "dom.test", expires=3600, max_age=60, same_site="Lax")),
        to("both"),
    ),
    one("persistent.test", Policy(affinity=Affinity("keep", "/there", persistent=True)), to("both")),
    one("hash.test", Policy(hash_by=(Variable("request_uri"), "-", Variable("header", "x-key"))), to("both")),
    one("pages.test", Policy(error_pages=ErrorPages((404, 503), "pages", (("X-Namespace", "ns"),)))),
    one("no-pages.test", Policy(error_pages=ErrorPages((404,), ""))),
    one("mirror.test", Policy(mirror=Mirror("copies", ("copy.test",), ("/copied", Variable("request_uri"))))),
    one("fallback.test", Policy(fallback=Fallback("twin", (("X-Namespace", "ns"),))), to("empty")),
    one("empty.test", Policy(auth_basic=BASIC), to("empty")),
    one("not-found.test", Policy(auth_basic=BASIC), Respond(404)),
    one("moved.test", Policy(auth_basic=BASIC, https_redirect=HttpsRedirect()), Redirect(301, url="https://new.test/")),
    Host(
        "named.test",
        (rule("/", Policy()),),
        aliases=("alias.test", "*.alias.test"),
        alias_patterns=(r"^n[0-9]+\.test$",),
    ),
)


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    names = ("echo", "twin", "guard", "pages", "copies", "other")
    places = {name: fresh_address(8080) for name in names}
    for name, address in places.items():
        echo.listen(address, 8080, name)
    upstreams = (
        *(upstream(name, address) for name, address in places.items() if name != "other"),
        upstream("both", places["twin"], places["other"]),
        Upstream("empty"),
    )
    with Running(binary, tmp_path_factory.mktemp("policies")) as running:
        running.go(config(HOSTS, upstreams), body_limit=4096)
        yield running


def seen(reply: Reply) -> Seen:
    assert reply.seen, reply
    return reply.seen


def login(name: str, password: str) -> tuple[str, str]:
    return "Authorization", f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


# ------------------------------------------------------------------ redirects, paths, headers


def test_plain_http_is_redirected_before_anybody_asks_for_a_password(proxy: Running) -> None:
    reply = proxy.get("HTTPS.test:80", "/a/?b=%20/")
    assert (reply.status, reply.value("location")) == (308, "https://HTTPS.test/a/?b=%20")
    assert proxy.get("https-port.test", "/a/").value("location") == "https://https-port.test:8443/a/"
    assert proxy.send(Request("https.test", scheme="https")).status == 401


@pytest.mark.parametrize(("target", "expected"), [
    ("/a/x%20y:z?q=1", "/b/x%20y:z?q=1"), ("/a", "/b/"), ("/A/%2e%2e/a/%C3%A9", "/b/%C3%A9"),
    ("/a/%25%3F%23?", "/b/%25%3F%23"), ("/it's xyz", None), ("/it%27s%20xz", "/-z"), ("/it%27s%20xyz", "/y-z"),
    ("/plain/more", "/new%20path"),
])  # fmt: skip
def test_paths_are_rewritten(proxy: Running, target: str, expected: str | None) -> None:
    reply = proxy.get("rewrite.test", target)
    if expected is None:
        assert reply.status == 400
        return
    assert seen(reply).target.removesuffix("?") == expected


def test_the_prefix_that_was_cut_is_told(proxy: Running) -> None:
    assert seen(proxy.get("rewrite.test", "/a/b")).value("x-forwarded-prefix") == "/a"


def test_headers_of_requests(proxy: Running) -> None:
    told = seen(proxy.get("requests.test", "/a%0d%0ab/%41", ("X-Gone", "1"), ("X-Path", "2")))
    assert told.values("x-path") == ["/ab/A"]
    assert told.value("x-gone") is None
    assert told.value("host") == "to.requests.test"


def test_headers_of_answers(proxy: Running) -> None:
    reply = proxy.get("body-default.test")
    assert (reply.value("x-it"), reply.value("server")) == ("100% 'it'", "mine")


def test_cookies_and_redirects_are_rewritten(proxy: Running) -> None:
    cookie = ("X-Echo-Header", "Set-Cookie: a=b; Domain=old.test; Path=/old/x; Secure")
    assert proxy.get("cookies.test", "/", cookie).value("set-cookie") == "a=b; Domain=new.test; Path=/new/x; Secure"
    other = ("X-Echo-Header", "Set-Cookie: a=b; Domain=cold.test; Path=/x/old")
    assert proxy.get("cookies.test", "/", other).value("set-cookie") == "a=b; Domain=cold.test; Path=/x/old"
    location = ("X-Echo-Header", "Location: http://old.test/x")
    assert proxy.get("location.test", "/", location).value("location") == "https://location.test/x"


def test_other_names(proxy: Running) -> None:
    for name in ("named.test", "alias.test", "x.alias.test", "n12.test"):
        assert proxy.get(name).status == 200
    assert proxy.get("nx.test").status == 404


# ------------------------------------------------------------------ other origins


def test_preflight(proxy: Running) -> None:
    reply = proxy.send(Request("cors.test", method="OPTIONS"))
    assert reply.status == 204
    assert reply.value("access-control-allow-origin") == "*"
    assert reply.value("access-control-allow-methods") == "GET, PUT"
    assert reply.value("access-control-expose-headers") == "X-Two"
    assert reply.value("access-control-max-age") == "1728000"
    refused = proxy.get("cors.test")
    assert (refused.status, refused.value("access-control-allow-credentials")) == (401, "true")


@pytest.mark.parametrize(("origin", "is_allowed"), [
    ("https://a.good.test", True), ("https://a.b.good.test", False), ("http://a.good.test", False),
    ("https://a.good.test.evil", False), ("https://xgood.test", False), ("http://one.test:8080", True),
    ("http://one.test", False), ("HTTP://ONE.test:8080", True), ("http://onextest:8080", False),
])  # fmt: skip
def test_origins(proxy: Running, origin: str, is_allowed: bool) -> None:
    reply = proxy.get("origins.test", "/", ("Origin", origin))
    assert reply.value("access-control-allow-origin") == (origin if is_allowed else None)
    asked = proxy.send(Request("origins.test", method="OPTIONS", headers=(("Origin", origin),)))
    assert asked.status == (204 if is_allowed else 200)


# ------------------------------------------------------------------ who may pass


def test_networks(proxy: Running) -> None:
    assert proxy.get("allow.test").status == 200
    assert proxy.get("nobody.test").status == 403
    assert proxy.get("deny.test").status == 403


@pytest.mark.parametrize("name", [name for name, _ in USERS])
def test_passwords(proxy: Running, name: str) -> None:
    password = SECRETS.get(name, "open sesame")
    fine = proxy.get("basic.test", "/", login(name, password))
    if name == "unknown":
        assert fine.status == 401
        return
    assert seen(fine).value("authorization") is None
    for wrong in (login(name, "wrong"), login(name, ""), login(name.upper(), password), login("", password)):
        assert proxy.get("basic.test", "/", wrong).status == 401


def test_without_a_password(proxy: Running) -> None:
    reply = proxy.get("basic.test")
    assert (reply.status, reply.value("www-authenticate")) == (401, r'Basic realm="a \"realm\""')
    assert proxy.get("digest.test", "/", login("plain", "open sesame")).status == 401


def test_one_of_two_is_enough(proxy: Running) -> None:
    assert proxy.get("satisfy.test").status == 401
    assert proxy.get("satisfy.test", "/", login("sha", "open sesame")).status == 200
    assert proxy.get("satisfied.test").status == 200


@pytest.mark.parametrize(
    ("status", "expected"), [(200, 200), (204, 200), (401, 401), (403, 403), (302, 500), (500, 500)]
)
def test_another_service_decides(proxy: Running, echo: EchoNet, status: int, expected: int) -> None:
    headers = (("X-Echo-Status", str(status)), ("X-Echo-Header", "WWW-Authenticate: Magic"), ("X-None", "forged"))
    reply = proxy.get("guarded.test", "/x", *headers)
    if expected == 200:
        assert reply.status == status
        return
    assert (reply.status, reply.service) == (expected, None)
    assert reply.value("www-authenticate") == ("Magic" if status == 401 else None)


def test_the_user_of_the_other_service(proxy: Running) -> None:
    reply = proxy.get(
        "guarded.test", "/x", ("X-User", "forged"), ("X-None", "forged"), ("X-Echo-Header", "X-User: alice")
    )
    assert seen(reply).values("x-user") == ["alice"]
    assert seen(reply).value("x-none") is None


def test_a_redirect_to_sign_in(proxy: Running) -> None:
    reply = proxy.get("signin.test", "/a?b=c&d", ("X-Echo-Status", "401"))
    assert (reply.status, reply.value("location")) == (302, "https://login.test/?rd=%2Fa%3Fb%3Dc%26d")


def test_answers_are_kept(proxy: Running, echo: EchoNet) -> None:
    def ask(key: str, status: int, target: str = "/x", *headers: tuple[str, str]) -> tuple[int, int]:
        """The status, and how often the other service was asked."""
        before = asked(echo, "guard")
        told = (("X-Key", key), ("X-Echo-Status", str(status)), ("X-Echo-Header", f"X-User: {key}"), *headers)
        reply = proxy.get("kept.test", target, *told)
        if reply.seen:
            assert reply.seen.value("x-user") == key
        return reply.status, asked(echo, "guard") - before

    assert [ask("alice", 200), ask("alice", 200), ask("alice", 403)] == [(200, 1), (200, 0), (403, 0)]
    assert [ask("bob", 200), ask("alice", 200, "/y"), ask("alice", 403, "/z")] == [(200, 1), (200, 1), (403, 1)]
    assert [ask("alice", 403, "/z"), ask("eve", 401), ask("eve", 401)] == [(403, 1), (401, 1), (401, 0)]
    cookie = ("X-Echo-Header", "Set-Cookie: a=b")
    assert [ask("carol", 200, "/x", cookie), ask("carol", 200)] == [(200, 1), (200, 1)]
    assert ask("dan", 401, "/short") == (401, 1)


def test_nobody_to_ask(proxy: Running) -> None:
    assert proxy.get("unguarded.test").status == 500


def test_order(proxy: Running) -> None:
    assert proxy.get("empty.test").status == 503
    assert proxy.get("not-found.test").status == 401
    assert proxy.get("not-found.test", "/", login("sha", "open sesame")).status == 404
    assert proxy.get("moved.test").status == 301


# ------------------------------------------------------------------ limits


def test_rates(proxy: Running) -> None:
    assert [proxy.get("rates.test").status for _ in range(6)] == [200] * 4 + [429] * 2
    assert proxy.get("more-rates.test").status == 429
    assert {proxy.get("free-rates.test").status for _ in range(5)} == {200}


def test_connections(proxy: Running, echo: EchoNet) -> None:
    before = asked(echo, "echo")
    with proxy.connect() as first:
        first.write(Request("connections.test", headers=(("X-Echo-Delay", "3"),)).encode())
        asked(echo, "echo", more_than=before)
        assert [proxy.get("connections.test").status for _ in range(3)] == [503] * 3
        assert first.read_reply().status == 200


@pytest.mark.parametrize(("host", "size", "status"), [
    ("body.test", 10, 200), ("body.test", 11, 413), ("body-free.test", 5000, 200),
    ("body-default.test", 4096, 200), ("body-default.test", 4097, 413), ("named.test", 4097, 413),
])  # fmt: skip
def test_bodies(proxy: Running, host: str, size: int, status: int) -> None:
    assert proxy.send(Request(host, method="POST", body=b"x" * size)).status == status


@pytest.mark.parametrize(("host", "size", "status"), [
    ("body.test", 10, 200), ("body.test", 11, 413), ("body-free.test", 100_000, 200),
    ("body-default.test", 4096, 200), ("body-default.test", 4097, 413), ("body-default.test", 3_000_000, 413),
    ("body-large.test", 99_999, 200), ("body-large.test", 100_001, 413), ("named.test", 4097, 413),
])  # fmt: skip
def test_bodies_that_do_not_tell_their_size(proxy: Running, echo: EchoNet, host: str, size: int, status: int) -> None:
    before = asked(echo, "echo")
    with proxy.connect() as connection:
        connection.write(chunked("POST" if size % 2 else "GET", host, b"x" * size))
        reply = connection.read_reply()
    assert reply.status == status
    if status == 200:
        told = seen(reply)
        assert (told.body, told.value("host"), told.target) == ("x" * size, host, "/a%20b?c")
        assert not [name for name, _ in told.headers if name.startswith("x-gen")]
        assert (told.value("x-forwarded-for"), told.value("x-forwarded-proto")) == ("127.0.0.1", "http")
    else:
        assert asked(echo, "echo") == before


def chunked(method: str, host: str, body: bytes) -> bytes:
    head = f"{method} /a%20b?c HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nX-Gen-Backend: no\r\n\r\n"
    pieces = [body[start : start + 7000] for start in range(0, len(body), 7000)]
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in (*pieces, b""))


@pytest.mark.parametrize(("host", "size", "status"), [
    ("body-default.test", 4096, 200), ("body-default.test", 4097, 413), ("body.test", 11, 413),
    ("body-default.test", 0, 200),
])  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_bodies_over_http2(proxy: Running, host: str, size: int, status: int, method: str) -> None:
    request = Request(host, method=method, scheme="https", body=b"x" * size)
    assert send_http2(proxy.address, HTTPS_PORT, request).status == status


def test_a_counted_request_keeps_its_policy(proxy: Running) -> None:
    with proxy.connect("https", "body-guarded.test") as connection:
        connection.write(chunked("POST", "body-guarded.test", b"x" * 50))
        assert connection.read_reply().status == 401
    login_line = ": ".join(login("plain", "open sesame")).encode()
    with proxy.connect("https", "body-guarded.test") as connection:
        connection.write(chunked("POST", "body-guarded.test", b"x").replace(b"X-Gen-Backend: no", login_line))
        told = seen(connection.read_reply())
    assert told.value("x-all") == "body-guarded.test https 127.0.0.1 /a b /a%20b?c"


def test_patience(proxy: Running) -> None:
    assert proxy.get("slow.test", "/", ("X-Echo-Delay", "2")).status == 504


# ------------------------------------------------------------------ which upstream, which server


@pytest.mark.parametrize(("host", "headers", "expected"), [
    ("header", (), "echo"), ("header", (("X-Canary", "always"),), "twin"), ("header", (("X-Canary", "x"),), "echo"),
    ("header", (("X-Canary", "never"), ("Cookie", "can=always")), "echo"),
    ("header", (("Cookie", "can=always"),), "twin"),
    ("value", (("X-Canary", "yes"),), "twin"), ("value", (("X-Canary", "always"),), "echo"),
    ("pattern", (("X-Canary", "a b"),), "twin"), ("pattern", (("X-Canary", "c'd"),), "twin"),
    ("pattern", (("X-Canary", "xa b"),), "echo"), ("all", (), "twin"), ("empty", (), "echo"),
    ("sticky", (("X-Canary", "always"),), "twin"),
])  # fmt: skip
def test_canaries(proxy: Running, host: str, headers: tuple[tuple[str, str], ...], expected: str) -> None:
    assert proxy.get(f"{host}.canary.test", "/", *headers).service == expected


def test_the_weight_of_a_canary(proxy: Running) -> None:
    found = Counter(proxy.get("weight.canary.test").service for _ in range(300))
    assert 50 < found["twin"] < 135, found


def test_a_canary_keeps_whom_it_has(proxy: Running) -> None:
    first = proxy.get("sticky.canary.test", "/", ("X-Canary", "always"))
    cookie = (first.value("set-cookie") or "").partition(";")[0]
    assert {proxy.get("sticky.canary.test", "/", ("Cookie", cookie)).service for _ in range(5)} == {"twin"}
    again = proxy.get("sticky.canary.test", "/", ("Cookie", cookie), ("X-Canary", "never"))
    assert (again.service, again.value("set-cookie")) == ("twin", None)


def test_affinity(proxy: Running) -> None:
    found = set()
    for _ in range(6):
        first = proxy.get("affinity.test")
        cookie = first.value("set-cookie") or ""
        assert re.fullmatch(
            r"stick=\w{32}\|\w{16}; Expires=\w{3}, \d\d-\w{3}-\d\d [\d:]{8} GMT; "
            r"Max-Age=60; Domain=dom.test; Path=/here; HttpOnly; SameSite=Lax",
            cookie,
        )
        pair = ("Cookie", cookie.partition(";")[0])
        again = {proxy.get("affinity.test", "/", pair).service for _ in range(4)}
        assert again == {first.service}
        found.add(first.service)
    assert "; Secure" in (proxy.send(Request("affinity.test", scheme="https")).value("set-cookie") or "")


def test_persistent_affinity(proxy: Running) -> None:
    first = proxy.get("persistent.test")
    cookie = first.value("set-cookie") or ""
    assert re.fullmatch(r"keep=\w+; Path=/there; HttpOnly", cookie)
    pair = ("Cookie", cookie.partition(";")[0])
    for _ in range(4):
        again = proxy.get("persistent.test", "/", pair)
        assert (again.service, again.value("set-cookie")) == (first.service, None)


def test_hashing(proxy: Running) -> None:
    by_key = {key: {proxy.get("hash.test", "/", ("X-Key", key)).service for _ in range(3)} for key in "abcdefghijkl"}
    assert all(len(services) == 1 for services in by_key.values())
    assert len(set.union(*by_key.values())) == 2


def test_a_fallback(proxy: Running) -> None:
    told = seen(proxy.get("fallback.test", "/path?q"))
    assert (told.service, told.target, told.value("x-code"), told.value("x-namespace")) == (
        "twin",
        "/path?q",
        "503",
        "ns",
    )


# ------------------------------------------------------------------ requests of our own


def test_pages_for_errors(proxy: Running) -> None:
    reply = proxy.get(
        "pages.test", "/x?q=1", ("X-Echo-Status", "404"), ("Accept", "text/x"), ("X-Echo-Header", "X-A: 1")
    )
    told = seen(reply)
    assert (reply.status, told.service, told.target) == (200, "pages", "/?q=1")
    assert {name: told.value(name) for name in ("x-code", "x-format", "x-original-uri", "x-namespace")} == {
        "x-code": "404", "x-format": "text/x", "x-original-uri": "/x?q=1", "x-namespace": "ns",
    }  # fmt: skip
    assert proxy.get("pages.test", "/x", ("X-Echo-Status", "500")).status == 500
    assert proxy.get("no-pages.test", "/x", ("X-Echo-Status", "404")).service is None


def test_copies(proxy: Running, echo: EchoNet) -> None:
    before = asked(echo, "copies")
    assert proxy.send(Request("mirror.test", "/x?y", method="POST", body=b"abc")).service == "echo"
    assert asked(echo, "copies", more_than=before) == before + 1


def asked(echo: EchoNet, service: str, more_than: int = -1) -> int:
    """How many requests a service has had; waits until they are more."""
    deadline = time.monotonic() + 10
    while True:
        count = sum(each.requests for each in echo.endpoints.values() if each.service == service)
        if count > more_than or time.monotonic() > deadline:
            return count
        time.sleep(0.01)


# ------------------------------------------------------------------ what is not asked for over the wire

PROTOCOLS = (
    Policy(protocol="grpc", hash_by=(Variable("header", "x"),)),
    Policy(protocol="grpcs", retries=Retries(("error", "timeout", "invalid_header", "http_502"), 4)),
    Policy(protocol="fcgi", fastcgi=FastCgi("index.php", (("SCRIPT_FILENAME", ("/srv", Variable("uri"))),))),
    Policy(protocol="https", upstream_tls=UpstreamTls(verify=True, protocols=("TLSv1.2",), ciphers="HIGH:!aNULL")),
    Policy(retries=Retries(()), timeouts=Timeouts(1, 2, 3), connection_header="close", access_log=False),
    Policy(balance="source_hash"),
    Policy(balance="least_connections", affinity=Affinity("a", persistent=True, expires=5, secure=True)),
    Policy(affinity=Affinity("a", same_site="None", conditional_same_site_none=True)),
)


def test_everything_is_accepted(running: Running) -> None:
    hosts = [one(f"h{number}.test", policy) for number, policy in enumerate(PROTOCOLS)]
    hosts.append(one("closed.test", Policy(cors=Cors((), "GET", "X")), Respond(503)))
    hosts.append(one("page.test", Policy(error_pages=ErrorPages((503,), "echo")), Respond(404)))
    bundle = running.bundle(config(hosts, (upstream("echo", "127.0.0.9"),)))
    running.run(running.backend.validate(bundle))


NASTY = (
    *(
        "'",
        '"',
        "\\",
        "%[src]",
        "a b",
        "#",
        "$HOME",
        "${HOME}",
        "x\ny",
        "{ }",
        "a,b)",
        "%",
        ";",
        "|",
        "]",
        "\0",
        "\x7f",
    ),
    *("é", "' if { always_true } '", '"\n"', "'),map(/etc/passwd)"),
)


def policies(text: str) -> Iterator[Policy]:
    """Policies that hold a text wherever one may stand."""
    asking = ExternalAuth("echo", (text,), (text,), signin=(text,), request_headers=(("X", (text,)),))
    yield Policy(auth_basic=BasicAuth(text, ((text, "$1$salt$qJH7.N4xYta3aEG/dfqo/0"), (f"{text}2", SHA))))
    yield Policy(response_headers=(("X", text),), request_headers=(("X", (text, Variable("uri"))),))
    yield Policy(cors=Cors((f"https://{text}.test",), text, text, text))
    yield Policy(rewrite=("/", text), forwarded_prefix=(text,), upstream_host=(text,), hash_by=(text,))
    yield Policy(cookie_rewrites=(CookieRewrite("domain", text, text), CookieRewrite("path", text, text)))
    yield Policy(redirect_rewrites=(RedirectRewrite(text, (text,)),))
    yield Policy(error_pages=ErrorPages((404,), "", (("X", text),)))
    yield Policy(affinity=Affinity("a", text, text, same_site=text))
    yield Policy(auth_external=asking)
    yield Policy(canary=Canary("echo", header="x", header_value=text), mirror=Mirror("echo", (text,), (text,)))
    yield Policy(fastcgi=FastCgi(text, (("X", (text,)),)), protocol="fcgi")
    yield Policy(rate_limits=(RateLimit(text, 1, 1.0, 1),))
    yield Policy(upstream_tls=UpstreamTls(ciphers=text, server_name=text, send_name=True), protocol="https")


@pytest.mark.parametrize("text", NASTY, ids=repr)
def test_no_text_becomes_anything_else(running: Running, text: str) -> None:
    places = (upstream("echo", "127.0.0.9"),)

    def lines(*policies: Policy) -> int:
        hosts = [one(f"h{number}.test", policy) for number, policy in enumerate(policies)]
        return running.bundle(config(hosts, places)).files["haproxy.cfg"].count(b"\n")

    taken = []
    for plain, hostile in zip(policies("plain"), policies(text), strict=True):
        with contextlib.suppress(Rejected):
            assert lines(hostile) == lines(plain)
            taken.append(hostile)
    assert taken
    hosts = [one(f"h{number}.test", policy) for number, policy in enumerate(taken)]
    running.run(running.backend.validate(running.bundle(config(hosts, places))))
