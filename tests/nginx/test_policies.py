"""Policies of routes, seen by clients and upstreams of a real nginx."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from gen.ir import Config, Host, Match, Policy, Respond, Route
from gen.policy import (
    Affinity,
    BasicAuth,
    Canary,
    ConnectionLimit,
    Cors,
    ErrorPages,
    ExternalAuth,
    FastCgi,
    HttpsRedirect,
    RateLimit,
    Text,
    Variable,
)
from tests.haproxy.configs import config, host, source, to, upstream
from tests.live.client import Reply, Request
from tests.live.echo import EchoNet
from tests.live.fastcgi import FastCgiApplication
from tests.live.net import fresh_address
from tests.nginx.running import Running

SIGNIN: Text = ("http://login.test/?rd=", Variable("scheme"), "://", Variable("host"), Variable("escaped_request_uri"))
USERS = (("ann", "{PLAIN}secret"),)
POLICIES = {
    "https.test": Policy(https_redirect=HttpsRedirect(), auth_basic=BasicAuth("x", USERS)),
    "cors.test": Policy(cors=Cors(("https://*.page.test",), "GET", "X-A"), deny=("127.0.0.0/8",)),
    "deny.test": Policy(deny=("127.0.0.0/8",), auth_basic=BasicAuth("x", USERS)),
    "off.test": Policy(auth_basic=BasicAuth("off", USERS)),
    "basic.test": Policy(auth_basic=BasicAuth('a "realm"', USERS)),
    "any.test": Policy(allow=("127.0.0.0/8",), auth_basic=BasicAuth("x", USERS), satisfy_any=True),
    "rate.test": Policy(rate_limits=(RateLimit("z", 1, 60.0, 2, 429),)),
    "free.test": Policy(rate_limits=(RateLimit("f", 1, 60.0, 0, 429, ("127.0.0.0/8",)),)),
    "most.test": Policy(connection_limit=ConnectionLimit("c", 5)),
    "auth.test": Policy(auth_external=ExternalAuth("auth", ("auth.svc",), ("/check?a=b",), signin=SIGNIN)),
    "canary.test": Policy(canary=Canary("other", header="X-C", cookie="c-c")),
    "sticky.test": Policy(affinity=Affinity(cookie="a-b", path="/p", max_age=5)),
    "persistent.test": Policy(affinity=Affinity(cookie="a-b", persistent=True)),
    "errors.test": Policy(error_pages=ErrorPages((418,), "other", (("X-Namespace", "n$s"),))),
    "headers.test": Policy(
        response_headers=(("X-Own", "a$b"),), request_headers=(("X-In", ("${x}", Variable("uri"))),)
    ),
    "hash.test": Policy(hash_by=(Variable("request_uri"),)),
}


def routes() -> tuple[Host, ...]:
    """A host for each policy, one with a regex, and one whose answer of its own waits for a password."""
    twins = {"sticky.test", "persistent.test", "hash.test"}
    hosts = [host(name, ("prefix", "/", to("twins" if name in twins else "echo")), policy=each)
             for name, each in POLICIES.items()]  # fmt: skip
    rewrite = Policy(rewrite=("/new/", Variable("capture", "1")), forwarded_prefix=("/p", Variable("capture", "1")))
    hosts.append(host("rewrite.test", ("regex", "/old/(.*)", to("echo")), policy=rewrite))
    late = Route(Match("prefix", "/"), Respond(404, "none"), source(0, "late.test"), POLICIES["basic.test"])
    return (*hosts, Host("late.test", (late,), sources=(source(0, "late.test"),)))


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    places = {name: fresh_address(8080) for name in ("echo", "other", "auth")}
    for name, address in places.items():
        echo.listen(address, 8080, name)
    upstreams = [upstream(name, address) for name, address in places.items()]
    whole: Config = config(routes(), [*upstreams, upstream("twins", places["echo"], places["other"])])
    with Running(binary, tmp_path_factory.mktemp("state")) as running:
        running.go(whole, hsts="max-age=9")
        yield running


def password(text: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(text.encode()).decode()


def test_https_comes_before_the_password_and_loses_one_slash(proxy: Running) -> None:
    reply = proxy.get("https.test:80", "/a/?b=c/")
    assert (reply.status, reply.value("location")) == (308, "https://https.test/a/?b=c")
    secure = proxy.send(Request("https.test", scheme="https"))
    assert (secure.status, secure.value("strict-transport-security")) == (401, "max-age=9")


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://a.page.test", 204), ("https://a.b.page.test", 403), ("https://page.test.evil", 403)],
)
def test_a_preflight_of_an_allowed_origin_is_answered_before_addresses_count(
    proxy: Running, origin: str, status: int
) -> None:
    reply = proxy.send(Request("cors.test", method="OPTIONS", headers=(("Origin", origin),)))
    assert reply.status == status
    assert reply.value("access-control-allow-origin") == (origin if status == 204 else None)
    assert reply.value("access-control-allow-methods") == ("GET" if status == 204 else None)


@pytest.mark.parametrize(
    ("name", "headers", "status"),
    [
        ("deny.test", (password("ann:secret"),), 403),
        ("off.test", (), 401),
        ("basic.test", (), 401),
        ("basic.test", (password("ann:wrong"),), 401),
        ("basic.test", (password("ann:secret"),), 200),
        ("any.test", (), 200),
        ("late.test", (), 401),
        ("late.test", (password("ann:secret"),), 404),
        ("free.test", (), 200),
        ("most.test", (), 200),
    ],
)
def test_who_may_pass(proxy: Running, name: str, headers: tuple[tuple[str, str], ...], status: int) -> None:
    reply = proxy.get(name, "/", *headers)
    assert reply.status == status
    assert reply.seen is None or reply.seen.value("authorization") is None
    if name == "basic.test" and status == 401:
        assert reply.value("www-authenticate") == 'Basic realm="a \\"realm\\""'


def test_a_client_that_asks_too_often(proxy: Running) -> None:
    assert [proxy.get("rate.test").status for _ in range(4)] == [200, 200, 200, 429]


def test_another_service_decides(proxy: Running) -> None:
    assert proxy.get("auth.test").service == "echo"


def test_the_way_to_the_login_carries_the_whole_request(proxy: Running, echo: EchoNet) -> None:
    reply = proxy.get("auth.test", "/a%20b/c?d=e&f=g+h", ("X-Echo-Status", "401"))
    wanted = "http://login.test/?rd=http://auth.test%2Fa%2520b%2Fc%3Fd%3De%26f%3Dg%2Bh"
    assert (reply.status, reply.value("location")) == (302, wanted)


@pytest.mark.parametrize(
    ("headers", "service"),
    [
        ((), "echo"),
        ((("X-C", "always"),), "other"),
        ((("X-C", "Always"),), "echo"),
        ((("Cookie", "x=1; c-c=always"),), "other"),
        ((("X-C", "never"), ("Cookie", "c-c=always")), "echo"),
    ],
)
def test_a_canary_gets_what_asks_for_it(proxy: Running, headers: tuple[tuple[str, str], ...], service: str) -> None:
    assert proxy.get("canary.test", "/", *headers).service == service


def test_a_client_whose_endpoint_fails_gets_another_cookie(running: Running, echo: EchoNet) -> None:
    place, dead = fresh_address(8080), fresh_address(8080)
    echo.listen(place, 8080, "echo")
    hosts = [
        host(name, ("prefix", "/", to("half")), policy=Policy(affinity=Affinity(cookie="c", change_on_failure=changes)))
        for name, changes in (("stays.test", False), ("changes.test", True))
    ]
    running.go(config(hosts, (upstream("half", place, dead),)))
    changed = {name: set[bool]() for name in ("stays.test", "changes.test")}
    for number in range(24):  # about half of the keys lead to the endpoint that is down
        for name, found in changed.items():
            reply = running.get(name, "/", ("Cookie", f"c=key{number}|x"))
            assert reply.status == 200
            found.add(bool(reply.value("set-cookie")))
    assert changed == {"stays.test": {False}, "changes.test": {False, True}}


def test_a_fastcgi_application_gets_our_headers_and_not_the_clients(running: Running) -> None:
    place = fresh_address(9000)
    policy = Policy(
        protocol="fcgi",
        upstream_host=("other.test",),
        request_headers=(("X-In", ("a",)),),
        auth_basic=BasicAuth("x", USERS),
        fastcgi=FastCgi("index.php", (("SCRIPT_FILENAME", ("/srv", Variable("uri"))), ("HTTP_X_MORE", ("b",)))),
    )
    one = host("a.test", ("prefix", "/", to("app")), policy=policy)
    forged = (("X-Real-IP", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("Proxy", "evil:1"), ("X-Seen", "yes"))
    with FastCgiApplication(place, 9000):
        running.go(config((one,), (upstream("app", place, port=9000),)))
        reply = running.get("a.test", "/x.php?y=1", *forged, password("ann:secret"))
    assert reply.status == 200
    seen = json.loads(reply.body)
    wanted = {
        "HTTP_HOST": "other.test", "HTTP_X_IN": "a", "HTTP_X_MORE": "b", "HTTP_X_SEEN": "yes",
        "SCRIPT_FILENAME": "/srv/x.php", "QUERY_STRING": "y=1", "HTTP_X_FORWARDED_PROTO": "http",
        "HTTP_X_REAL_IP": "127.0.0.1", "HTTP_X_FORWARDED_HOST": "a.test",
    }  # fmt: skip
    assert {name: seen.get(name) for name in wanted} == wanted
    assert not seen.keys() & {"HTTP_AUTHORIZATION", "HTTP_PROXY", "HTTP_X_ORIGINAL_FORWARDED_FOR"}


def cookie_of(reply: Reply) -> str:
    return (reply.value("set-cookie") or "").partition(";")[0]


@pytest.mark.parametrize("name", ["sticky.test", "persistent.test"])
def test_a_cookie_keeps_a_client_at_its_endpoint(proxy: Running, name: str) -> None:
    seen = set()
    for _ in range(12):
        first = proxy.get(name)
        assert cookie_of(first).startswith("a-b=")
        again = [proxy.get(name, "/", ("Cookie", cookie_of(first))) for _ in range(4)]
        assert {each.service for each in again} == {first.service}
        assert {each.value("set-cookie") for each in again} == {None}
        seen.add(first.service)
    assert seen == {"echo", "other"}


def test_the_attributes_of_the_cookie(proxy: Running) -> None:
    plain = proxy.get("sticky.test").value("set-cookie") or ""
    assert plain.partition("; ")[2] == "Max-Age=5; Path=/p; HttpOnly"
    secure = proxy.send(Request("sticky.test", scheme="https")).value("set-cookie") or ""
    assert secure.partition("; ")[2] == "Max-Age=5; Path=/p; Secure; HttpOnly"


def test_one_text_always_leads_to_one_endpoint(proxy: Running) -> None:
    found = {
        target: {proxy.get("hash.test", target).service for _ in range(3)} for target in map("/{}".format, range(12))
    }
    assert {len(services) for services in found.values()} == {1}
    assert set.union(*found.values()) == {"echo", "other"}


def test_an_error_is_told_by_another_upstream(proxy: Running) -> None:
    reply = proxy.get("errors.test", "/a?b=c", ("X-Echo-Status", "418"))
    seen = reply.seen
    assert seen
    assert (seen.service, seen.target) == ("other", "/?b=c")
    assert (seen.value("x-code"), seen.value("x-original-uri"), seen.value("x-namespace")) == ("418", "/a?b=c", "n$s")


def test_headers_both_ways(proxy: Running) -> None:
    reply = proxy.get("headers.test", "/u", ("X-Echo-Header", "X-Own: theirs"))
    assert (reply.value("x-own"), reply.seen and reply.seen.value("x-in")) == ("a$b", "${x}/u")
    assert reply.seen
    assert reply.seen.value("x-real-ip")


@pytest.mark.parametrize(("target", "arrives"), [("/OLD/a%20b?c=d", "/new/a%20b?c=d"), ("/old/", "/new/")])
def test_a_path_is_rewritten(proxy: Running, target: str, arrives: str) -> None:
    seen = proxy.get("rewrite.test", target).seen
    assert seen
    assert seen.target == arrives
    assert seen.value("x-forwarded-prefix") == "/p" + arrives.removeprefix("/new/").partition("?")[0]


def test_a_changed_password_counts_from_the_reload_on(running: Running, echo: EchoNet) -> None:
    place = fresh_address(8080)
    echo.listen(place, 8080, "echo")
    for text in ("one", "two"):
        policy = Policy(auth_basic=BasicAuth("x", (("ann", f"{{PLAIN}}{text}"),)))
        one = host("a.test", ("prefix", "/", to("echo")), policy=policy)
        running.go(config((one,), (upstream("echo", place),)))
        found = {given: running.get("a.test", "/", password(f"ann:{given}")).status for given in ("one", "two")}
        assert found == {given: 200 if given == text else 401 for given in ("one", "two")}
