"""Raw directives of routes and hosts on a real nginx: they do what they say, and nothing beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crossplane
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.nginx import snippets
from backends.nginx.parts import Base
from gen.dialects.directives import parse
from gen.dialects.ingress_nginx.snippet_rules import RULES
from gen.dialects.ingress_nginx.snippets import of_host, of_routes
from gen.errors import BadValue
from gen.ir import Host, HostPolicy, Match, Policy, Redirect, Route
from gen.policy import Cors, Directive, Timeouts
from tests.dialects.samples import RULES as SAMPLES
from tests.haproxy.configs import config, host, source, to, upstream
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.net import fresh_address
from tests.nginx.running import Running

CORPUS = Path(__file__).parent.parent / "data" / "nasty-strings.jsonl"
STRINGS = [text for line in CORPUS.read_text().splitlines() if (text := json.loads(line)["s"]) is not None]
ROUTES = {
    "headers.test": "more_set_headers 'X-Own: $request_method' 'X-Seen: new'; add_header X-Fine a; "
                    "proxy_set_header X-In $best_http_host; more_clear_headers X-Gone;",
    "return.test": 'return 200 "a\\nb $req_id;{}";',
    "if.test": "if ($http_x_kind ~* ^a(.*)$) { add_header X-Kind a always; return 418 $1; }",
    "rewrite.test": "rewrite ^/a/(.*)$ /b/$1 break;",
    "set.test": "set $kind '\"x\\\\'; if ($arg_k = \"\") { set $kind none; } add_header X-Kind $kind always;",
    "times.test": "proxy_read_timeout 30s; client_max_body_size 1k; deny 10.0.0.0/8; absolute_redirect off;",
    "everything.test": "sub_filter a b; sub_filter_once off; sub_filter_types *; default_type a/b; charset utf-8; "
                       "expires 1h; etag off; gzip on; gzip_types a/b; gzip_min_length 10; gzip_comp_level 2; "
                       "limit_rate 10m; limit_rate_after 1m; client_body_timeout 5s; send_timeout 5s; "
                       "keepalive_timeout 5s; proxy_connect_timeout 5s; proxy_send_timeout 5s; proxy_buffering on; "
                       "proxy_request_buffering off; proxy_http_version 1.1; access_log off; allow 127.0.0.1; "
                       "if ($host) { expires off; gzip off; limit_rate 1m; limit_rate_after 1; } "
                       "proxy_hide_header X; more_clear_input_headers X-Away;",
}  # fmt: skip
POLICIES = {
    "times.test": Policy(timeouts=Timeouts(read=9.0), body_limit=5),
    "if.test": Policy(cors=Cors((), "GET", "X-A")),
}


def hosts() -> Iterator[Host]:
    """A host for each snippet of a route, one with one of its own, one that redirects and one that leaves out both."""
    for name, text in ROUTES.items():
        policy = snippeted(POLICIES.get(name, Policy()), of_routes(text))
        yield host(name, ("prefix", "/", to("echo")), policy=policy)
    whole = of_host(
        "more_set_headers 'X-Host: a'; proxy_set_header X-In b; if ($arg_stop) { return 410; } deny 10.0.0.0/8;"
    )
    routes = (
        Route(
            Match("prefix", "/own"), to("echo"), source(0, "h"), snippeted(Policy(), of_routes("add_header X-Own a;"))
        ),
        Route(Match("prefix", "/"), to("echo"), source(1, "h")),
    )
    yield Host("host.test", routes, policy=HostPolicy(directives=whole), sources=(source(0, "host.test"),))
    moved = Redirect(302, "https://moved.test")
    late = snippeted(Policy(), of_routes("absolute_redirect off; add_header X-Own a always;"))
    answer = Route(Match("prefix", "/"), moved, source(0, "moved.test"), late)
    yield Host("moved.test", (answer,), sources=(source(0, "moved.test"),))
    yield host("plain.test", ("prefix", "/", to("echo")))


def snippeted(policy: Policy, directives: tuple[Directive, ...]) -> Policy:
    fields: dict[str, Any] = {name: getattr(policy, name) for name in policy.__struct_fields__}
    return Policy(**{**fields, "directives": directives})


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    address = fresh_address(8080)
    echo.listen(address, 8080, "echo")
    with Running(binary, tmp_path_factory.mktemp("state")) as running:
        running.go(config(tuple(hosts()), [upstream("echo", address)]), hsts="max-age=9")
        yield running


def test_headers_join_those_that_are_there_anyway(proxy: Running) -> None:
    reply = proxy.send(Request("headers.test", scheme="https", headers=(("X-Real-IP", "6.6.6.6"),)))
    assert (reply.value("x-own"), reply.value("x-fine")) == ("GET", "a")
    assert reply.value("strict-transport-security") == "max-age=9"
    assert reply.seen
    assert (reply.seen.value("x-in"), reply.seen.value("x-real-ip")) == ("headers.test", "127.0.0.1")
    assert reply.seen.value("x-forwarded-proto") == "https"


def test_an_answer_has_lines_and_signs_as_they_were_written(proxy: Running) -> None:
    reply = proxy.send(Request("return.test", headers=(("X-Request-ID", "7"),)))
    assert (reply.status, reply.body) == (200, b"a\nb 7;{}")


def test_a_condition_keeps_the_headers_of_the_route(proxy: Running) -> None:
    reply = proxy.send(Request("if.test", scheme="https", headers=(("X-Kind", "Abc"),)))
    assert (reply.status, reply.body, reply.value("x-kind")) == (418, b"bc", "a")
    assert reply.value("access-control-allow-origin") == "*"
    assert reply.value("strict-transport-security") == "max-age=9"
    assert proxy.get("if.test").value("x-kind") is None


def test_the_rewrite_module(proxy: Running) -> None:
    seen = proxy.get("rewrite.test", "/a/x?y=1").seen
    assert seen
    assert seen.target == "/b/x?y=1"
    assert proxy.get("set.test").value("x-kind") == "none"
    assert proxy.get("set.test", "/?k=1").value("x-kind") == '"x\\'


def test_a_snippet_counts_where_a_policy_says_the_same(proxy: Running) -> None:
    assert proxy.send(Request("times.test", method="POST", body=b"x" * 900)).status == 200
    assert proxy.send(Request("times.test", method="POST", body=b"x" * 1100)).status == 413
    moved = proxy.get("moved.test")
    assert (moved.status, moved.value("location"), moved.value("x-own")) == (302, "https://moved.test", "a")


def test_what_a_host_says_holds_for_all_its_routes(proxy: Running) -> None:
    for path, own in (("/", None), ("/own", "a")):
        reply = proxy.send(Request("host.test", path, scheme="https"))
        assert (reply.value("x-host"), reply.value("x-own")) == ("a", own)
        assert reply.value("strict-transport-security") == "max-age=9"
        assert reply.seen
        assert (reply.seen.value("x-in"), reply.seen.value("x-real-ip")) == ("b", "127.0.0.1")
    assert proxy.get("host.test", "/own?stop=1").status == 410
    assert proxy.get("plain.test", "/?stop=1").value("x-host") is None


# ---------------------------------------------------------------- laws

FRAMES = (
    'add_header X-A "{}";',
    "return 200 '{}';",
    "set $a {};",
    "if ($host = {}) {{ break; }}",
    "{}",
    "break; {} break;",
)


def rendered(text: str) -> list[Any]:
    """What is written for a snippet, read by another parser."""
    tree = of_routes(text)
    lines = [*snippets.phased(tree, Base(), list), *(snippets.written(each, Base()) for each in tree if not each.block)]
    parsed: list[Any] = crossplane.parse(write(lines), check_ctx=False, check_args=False)["config"][0]["parsed"]
    return parsed


def write(lines: list[Any]) -> str:
    file = FOLDER / "snippet.conf"
    file.write_text("\n".join(lines))
    return str(file)


FOLDER = Path("/nonexistent")


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER  # noqa: PLW0603 Hypothesis runs with module-wide fixtures only
    FOLDER = tmp_path_factory.mktemp("snippets")


@pytest.mark.parametrize("frame", FRAMES)
def test_hostile_text_stays_in_its_place_or_is_refused(frame: str) -> None:
    for text in (*STRINGS, *SAMPLES[0], *SAMPLES[1]):
        snippet = frame.replace("{}", text).replace("{{", "{").replace("}}", "}")
        try:
            names = {name for each in of_routes(snippet) for name in names_of(each)}
        except BadValue as fault:
            assert fault.code == "SnippetDenied"  # noqa: PT017 most are refused, and then so
            continue
        assert {name for each in rendered(snippet) for name in parsed_names(each)} <= names


def names_of(each: Directive) -> Iterator[str]:
    yield each.name
    for inner in each.block or ():
        yield from names_of(inner)


def parsed_names(each: Any) -> Iterator[str]:
    yield each["directive"]
    for inner in each.get("block", ()):
        yield from parsed_names(inner)


WORDS = st.text("ab \t\n\"'\\{};#$()", max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4))
def test_what_is_written_is_read_back(words: list[str]) -> None:
    tree = (Directive("set", tuple(words)),)
    text = str(snippets.written(tree[0], Base()))
    assert parse(text) == tree
    found = crossplane.parse(write([text]), check_ctx=False, check_args=False)["config"][0]["parsed"]
    assert [(each["directive"], len(each["args"])) for each in found] == [("set", len(words))]


def test_the_page_names_every_directive() -> None:
    page = Path("docs/snippets.md").read_text().partition("## What is not")[0]
    named = {word for row in page.splitlines() if row.startswith("| `") for word in re.findall("`([a-z_]+)`", row)}
    assert named >= {*RULES, "if"}
    assert named - {*RULES, "if"} <= {"access_log off"}
