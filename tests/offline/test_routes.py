"""The routing table for people: one row a route, in match order."""

from __future__ import annotations

import msgspec

from gen.ir import Action, DnsName, Forward, Host, Match, Redirect, Respond, Route, Source, Upstream, Weighted
from gen.offline.routes import Row, routes
from tests.live.manifests import endpoint_slice, ingress, path, service
from tests.translate.translating import translate

SOURCE = Source("Ingress", "t1", "i")


def test_a_row_says_who_answers() -> None:
    items = [
        ingress("i", "t1", {"*.a.example": [path("/x", "s")], "b.example": [path("/", "s")]}),
        service("s", "t1"),
        endpoint_slice("s", "t1", ["10.0.0.1", "10.0.0.2"]),
    ]
    rows = routes(translate(items).config)
    assert [(row.host, row.kind, row.path, row.action) for row in rows] == [
        ("b.example", "prefix", "/", "forward t1/s:80"),
        ("*.a.example", "prefix", "/x", "forward t1/s:80"),
        ("*.a.example", "prefix", "/", "respond 404"),
        ("*", "prefix", "/", "respond 404"),
    ]
    assert rows[0].endpoints == ("10.0.0.1:8080", "10.0.0.2:8080")
    assert str(rows[0].source) == "Ingress t1/i, spec.rules[1].http.paths[0]"
    assert rows[2].endpoints == ()


def test_every_action_has_its_words() -> None:
    actions: list[Action] = [
        Redirect(301, url="https://x.example/"),
        Redirect(301, path="/x/"),
        Respond(503),
        Forward((Weighted("t1/a:80", 90), Weighted("t1/b:80", 10))),
    ]
    config = translate([]).config
    host = Host("a.example", tuple(Route(Match("exact", f"/{n}"), action, SOURCE) for n, action in enumerate(actions)))
    upstreams = {"t1/a:80": Upstream("t1/a:80"), "t1/b:80": Upstream("t1/b:80", dns=DnsName("x.example", 81))}
    rows = routes(msgspec.structs.replace(config, hosts={"a.example": host}, upstreams=upstreams))
    assert [row.action for row in rows] == [
        "redirect 301 https://x.example/",
        "redirect 301 /x/",
        "respond 503",
        "forward t1/a:80 (weight 90), t1/b:80 (weight 10)",
    ]
    assert rows[3] == Row("a.example", "exact", "/3", rows[3].action, ("x.example:81",), SOURCE)


def test_addresses_of_ipv6_are_in_brackets() -> None:
    item = endpoint_slice("s", "t1", ["2001:db8::1"]) | {"addressType": "IPv6"}
    config = translate([ingress("i", "t1", {"a.example": [path("/", "s")]}), service("s", "t1"), item]).config
    assert routes(config)[0].endpoints == ("[2001:db8::1]:8080",)
