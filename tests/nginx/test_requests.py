"""What clients and upstreams get to see, on a real nginx with echoing upstreams."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import get_args

import pytest

from gen.ir import Balance, Endpoint, Forward, Policy, Redirect, Respond, Upstream, Weighted
from tests.haproxy.configs import certificate, config, host, to, upstream
from tests.live.client import Connection, Reply, Request
from tests.live.echo import EchoNet, Seen
from tests.live.http2 import send_http2
from tests.live.net import HTTP_PORT, HTTPS_PORT, fresh_address
from tests.nginx.running import Running

ECHO = "requests.test"
BALANCES: tuple[Balance, ...] = get_args(Balance)
HOSTS = (
    host(ECHO, ("prefix", "/", to("echo"))),
    host("other-name.test", ("prefix", "/", to("echo")), policy=Policy(upstream_host=("inner.svc:81",))),
    host("twins.test", ("prefix", "/", to("twins"))),
    host("parts.test", ("prefix", "/", Forward((Weighted("echo", 1), Weighted("twin", 3), Weighted("off", 0))))),
    host("half.test", ("prefix", "/", to("echo", "empty"))),
    host("empty.test", ("prefix", "/", to("empty"))),
    host("unresolved.test", ("prefix", "/here", to("unresolved")), ("prefix", "/", to("unresolved", "echo"))),
    host("dead.test", ("prefix", "/", to("dead"))),
    host("half-dead.test", ("prefix", "/", to("half-dead"))),
    host("draining.test", ("prefix", "/", to("draining"))),
    *(host(f"{balance}.test".replace("_", "-"), ("prefix", "/", to(f"0/{balance}:1"))) for balance in BALANCES),
    host(
        "answers.test",
        ("exact", "/url", Redirect(308, url="https://elsewhere.test:8443/a%20b?x=$uri&y='\"#;}z")),
        ("exact", "/path", Redirect(301, path="/path/é $b")),
        ("exact", "/odd", Redirect(300, url="https://odd.test/$host")),
        ("exact", "/query", Redirect(302, path="/q", query="a=$b&c")),
        ("exact", "/no-query", Redirect(302, path="/q", query="")),
        ("exact", "/relative", Redirect(302, path="/q r", is_relative=True)),
        ("exact", "/odd-relative", Redirect(300, path="/q", is_relative=True)),
        ("prefix", "/www", Redirect(308, host="www.answers.test", cut_slash=True)),
        ("prefix", "/same", Redirect(307, host="www.answers.test")),
        ("prefix", "/same-path", Redirect(307, query="own=1")),
        ("exact", "/text", Respond(418, 'it\'s "short" $host ${x} \\n #;{} \\ and\tstout\nß\n')),
        ("exact", "/silent", Respond(404)),
    ),
    host("*.wild.test", ("prefix", "/", Respond(200, "wild")), secret="wild"),
    host("exact.wild.test", ("prefix", "/", Respond(200, "exact")), secret="exact"),
    host("plain.wild.test", ("prefix", "/", Respond(200, "plain"))),
    host("", ("prefix", "/", Respond(200, "any"))),
)
CERTIFICATES = (certificate("wild", "*.wild.test"), certificate("exact", "exact.wild.test"))


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    echoes = {name: fresh_address(8080) for name in ("echo", "twin")}
    for name, address in echoes.items():
        echo.listen(address, 8080, name)
    dead = [fresh_address(8080) for _ in range(3)]
    twins = tuple(Endpoint(address, 8080) for address in sorted(echoes.values()))
    draining = (Endpoint(dead[0], 8080, draining=True), Endpoint(echoes["echo"], 8080))
    upstreams = (
        *(upstream(name, address) for name, address in echoes.items()),
        upstream("twins", *echoes.values()),
        upstream("unresolved", dns="nowhere.invalid", port=80),
        upstream("dead", *dead),
        upstream("half-dead", *dead[:2], echoes["echo"]),
        Upstream("draining", draining),
        *(Upstream(f"0/{balance}:1", twins, balance=balance) for balance in BALANCES),
    )
    with Running(binary, tmp_path_factory.mktemp("state")) as running:
        running.go(config(HOSTS, upstreams, CERTIFICATES), resolvers=("127.0.0.1:1",), connect_timeout=0.5)
        yield running


def seen(reply: Reply) -> Seen:
    assert reply.seen, reply
    return reply.seen


# ------------------------------------------------------------------ hosts and certificates


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("one.wild.test", "wild"),
        ("ONE.Wild.Test.", "wild"),
        ("with_underscore.wild.test:8080", "wild"),
        ("exact.wild.test", "exact"),
        ("two.one.wild.test", "any"),
        ("wild.test", "any"),
        ("onexwild.test", "any"),
        ("nobody.test", "any"),
        ("127.0.0.1", "any"),
    ],
)
def test_a_host_is_chosen_by_its_name(proxy: Running, name: str, answer: str) -> None:
    assert proxy.get(name).body == answer.encode()


@pytest.mark.parametrize(
    ("sni", "names"),
    [
        ("one.wild.test", ["*.wild.test"]),
        ("exact.wild.test", ["exact.wild.test"]),
        ("plain.wild.test", ["default.test"]),
        ("two.one.wild.test", ["default.test"]),
        ("nobody.test", ["default.test"]),
        ("", ["default.test"]),
    ],
)
def test_the_certificate_is_chosen_by_sni_and_the_host_by_the_header(
    proxy: Running, sni: str, names: list[str]
) -> None:
    reply = proxy.send(Request("exact.wild.test", scheme="https", sni=sni))
    assert (reply.certificate_names, reply.body) == (names, b"exact")


def test_http2_over_tls(proxy: Running) -> None:
    reply = send_http2(proxy.address, HTTPS_PORT, Request(ECHO, "/two?x", scheme="https"))
    assert (reply.status, seen(reply).target, seen(reply).value("host")) == (200, "/two?x", ECHO)


# ------------------------------------------------------------------ what the upstream sees


@pytest.mark.parametrize("target", ["/a%20b//c/./d/%2e%2e/?q=%zz&x", "/%C3%A9;p=1", "/a?b?c#d", "/%2F%5c"])
def test_the_request_target_arrives_as_it_was_sent(proxy: Running, target: str) -> None:
    assert seen(proxy.get(ECHO, target)).target == target


def test_headers_for_the_upstream(proxy: Running) -> None:
    sent = (
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Host", "evil"),
        ("X-Forwarded-Port", "1"),
        ("X-Forwarded-Proto", "gopher"),
        ("X-Real-IP", "6.6.6.6"),
        ("X-Original-Forwarded-For", "spoofed"),
        ("Proxy", "evil"),
        ("under_score", "dropped"),
        ("Keep", "kept"),
        ("TE", "trailers"),
    )
    request = seen(proxy.get(f"{ECHO}:99", "/", *sent))
    assert {name: request.value(name) for name, _ in request.headers} == {
        "host": f"{ECHO}:99",
        "user-agent": "gen-tests",
        "keep": "kept",
        "x-forwarded-for": "127.0.0.1",
        "x-real-ip": "127.0.0.1",
        "x-forwarded-host": f"{ECHO}:99",
        "x-forwarded-port": str(HTTP_PORT),
        "x-forwarded-proto": "http",
        "x-forwarded-scheme": "http",
        "x-scheme": "http",
        "x-original-forwarded-for": "6.6.6.6",
        "x-original-forwarded-host": "evil",
        "x-request-id": request.value("x-request-id"),
    }
    assert re.fullmatch("[0-9a-f]{32}", request.value("x-request-id") or "")


def test_headers_for_the_upstream_over_tls(proxy: Running) -> None:
    headers = (("X-Request-ID", "mine"), ("X-Original-Forwarded-For", "spoofed"))
    request = seen(proxy.send(Request(ECHO, scheme="https", headers=headers)))
    names = ("x-forwarded-port", "x-forwarded-proto", "x-scheme", "x-request-id", "x-original-forwarded-for")
    assert [request.value(name) for name in names] == [str(HTTPS_PORT), "https", "https", "mine", None]


def test_another_host_for_the_upstream(proxy: Running) -> None:
    request = seen(proxy.get("other-name.test"))
    assert (request.value("host"), request.value("x-forwarded-host")) == ("inner.svc:81", "other-name.test")


def test_headers_of_the_upstream_reach_the_client(proxy: Running) -> None:
    reply = proxy.get(ECHO, "/", ("X-Echo-Header", "Location: http://echo/there"), ("X-Echo-Header", "X-Own: 1"))
    assert (reply.value("server"), reply.value("location"), reply.value("x-own")) == ("echo", "http://echo/there", "1")
    assert len([name for name, _ in reply.headers if name in {"server", "date"}]) == 2


def test_an_upstream_cannot_send_the_request_elsewhere(proxy: Running) -> None:
    assert proxy.get(ECHO, "/", ("X-Echo-Header", "X-Accel-Redirect: /elsewhere")).service == "echo"


def test_a_large_body_arrives_whole(proxy: Running) -> None:
    body = bytes(range(256)) * 4096
    assert seen(proxy.send(Request(ECHO, method="POST", body=body))).body == body.decode("latin-1")


def test_websockets_pass_and_other_protocols_of_http_do_not(proxy: Running) -> None:
    with proxy.connect() as connection:
        upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "AAAA"))
        assert connection.exchange(Request(ECHO, headers=upgrade)).status == 101
        connection.write(b"\x00ping\xff")
        assert connection.read(6) == b"\x00ping\xff"
    smuggled = (("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__"))
    request = seen(proxy.get(ECHO, "/", *smuggled))
    assert [request.value(name) for name in ("connection", "upgrade", "http2-settings")] == [None, None, None]


def test_the_host_in_the_request_line_counts(proxy: Running) -> None:
    with proxy.connect() as connection:
        connection.write(f"GET http://{ECHO}:99/x?y HTTP/1.1\r\nHost: other-name.test\r\n\r\n".encode())
        request = seen(connection.read_reply())
    assert [request.value(name) for name in ("host", "x-forwarded-host")] == [f"{ECHO}:99"] * 2
    assert request.target == "/x?y"


def test_a_request_without_a_host_goes_to_the_catch_all(proxy: Running) -> None:
    with proxy.connect() as connection:
        connection.write(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.read_reply().body == b"any"


# ------------------------------------------------------------------ which upstream


def test_all_endpoints_get_their_part(proxy: Running) -> None:
    answers = Counter(proxy.get("twins.test").service for _ in range(40))
    assert answers.keys() == {"echo", "twin"}
    assert min(answers.values()) >= 15


@pytest.mark.parametrize("balance", BALANCES)
def test_balances(proxy: Running, balance: Balance) -> None:
    services = {proxy.get(f"{balance}.test".replace("_", "-")).service for _ in range(20)}
    assert services <= {"echo", "twin"}
    assert len(services) == (1 if balance == "source_hash" else 2)


def test_upstreams_get_parts_by_weight(proxy: Running) -> None:
    answers = Counter(proxy.get("parts.test").service for _ in range(400))
    assert answers.keys() == {"echo", "twin"}
    assert 60 <= answers["echo"] <= 140


def test_the_part_of_an_empty_upstream_is_503(proxy: Running) -> None:
    answers = Counter(proxy.get("half.test").status for _ in range(100))
    assert answers.keys() == {200, 503}
    assert min(answers.values()) >= 25


def test_an_upstream_without_endpoints_is_503(proxy: Running) -> None:
    assert proxy.get("empty.test").status == 503


def test_a_name_that_does_not_resolve_is_503(proxy: Running) -> None:
    assert proxy.get("unresolved.test", "/here").status == 503
    assert {proxy.get("unresolved.test").status for _ in range(12)} == {200, 503}


def test_dead_endpoints_are_passed_over(proxy: Running) -> None:
    assert {proxy.get("half-dead.test").service for _ in range(12)} == {"echo"}
    assert {proxy.send(Request("half-dead.test", method="POST", body=b"x")).service for _ in range(12)} == {"echo"}
    assert proxy.get("dead.test").status == 502


def test_a_draining_endpoint_gets_nothing_while_others_can_answer(proxy: Running) -> None:
    assert {proxy.get("draining.test").service for _ in range(6)} == {"echo"}
    assert "draining.test" not in proxy.log()


def test_a_request_that_may_have_been_processed_is_not_sent_twice(proxy: Running, echo: EchoNet) -> None:
    def requests() -> int:
        return sum(endpoint.requests for endpoint in echo.endpoints.values() if endpoint.service in {"echo", "twin"})

    drop = (("X-Echo-Drop", "1"),)
    before = requests()
    assert proxy.send(Request("twins.test", method="POST", headers=drop, body=b"x")).status == 502
    assert requests() == before + 1
    assert proxy.send(Request("twins.test", headers=drop)).status == 502
    assert requests() > before + 2


# ------------------------------------------------------------------ answers of nginx itself


def test_redirects(proxy: Running) -> None:
    by_url, odd = proxy.get("answers.test", "/url?own=1"), proxy.get("answers.test", "/odd")
    assert (by_url.status, by_url.value("location")) == (308, "https://elsewhere.test:8443/a%20b?x=$uri&y='\"#;}z")
    assert (odd.status, odd.value("location")) == (300, "https://odd.test/$host")
    by_path = proxy.get("answers.test:99", "/path?own=1&x")
    assert (by_path.status, by_path.value("location")) == (301, "http://answers.test:99/path/%C3%A9%20$b?own=1&x")
    secure = proxy.send(Request("answers.test", "/path", scheme="https"))
    assert secure.value("location") == "https://answers.test/path/%C3%A9%20$b"


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/query?x=1", "http://answers.test/q?a=$b&c"),
        ("/no-query?x=1", "http://answers.test/q"),
        ("/relative?x=1", "/q%20r?x=1"),
        ("/odd-relative", "/q"),
        ("/www/a%20b/?x/", f"http://www.answers.test:{HTTP_PORT}/www/a%20b/?x"),
        ("/www/", f"http://www.answers.test:{HTTP_PORT}/www"),
        ("/www", f"http://www.answers.test:{HTTP_PORT}/www"),
        ("/same//a/../?x/", f"http://www.answers.test:{HTTP_PORT}/same//a/../?x/"),
        ("/same-path/%61/?x", "http://answers.test/same-path/%61/?own=1"),
    ],
)
def test_redirects_that_keep_a_part(proxy: Running, target: str, location: str) -> None:
    assert proxy.get("answers.test", target).value("location") == location


def test_own_answers(proxy: Running) -> None:
    text, silent = proxy.get("answers.test", "/text"), proxy.get("answers.test", "/silent")
    assert text.status == 418
    assert text.body.decode() == 'it\'s "short" $host ${x} \\n #;{} \\ and\tstout\nß\n'
    assert (silent.status, silent.body) == (404, b"")
    assert {text.value("content-type"), silent.value("content-type")} == {"text/plain"}


def test_nothing_tells_the_version(proxy: Running) -> None:
    assert [proxy.get(name).value("server") for name in ("empty.test", "nobody.test")] == ["nginx", "nginx"]


def test_the_digest_is_for_gen_alone(proxy: Running) -> None:
    for name in ("", ECHO, "gen", "nobody.test"):
        with Connection(proxy.address, HTTP_PORT) as connection:
            reply = connection.exchange(Request(name or "x", "/gen/digest"))
        assert proxy.live
        assert proxy.live.digest.encode() not in reply.body
