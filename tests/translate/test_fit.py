"""What a backend lacks is taken away and told; a route whose protection is lacking is closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import pytest

from gen import fit as module
from gen.backend import Lack, nothing_lacks
from gen.fit import fit
from gen.ir import (
    Config,
    DnsName,
    Forward,
    Host,
    Listener,
    Match,
    Options,
    Policy,
    Respond,
    Route,
    Source,
    Upstream,
    Weighted,
)
from tests.live.manifests import ingress, path
from tests.translate.translating import translate

SOURCE = Source("Ingress", "t1", "i")
EVERYTHING = module.WORDS
ROOT = Route(Match("prefix", "/"), Respond(404), SOURCE)


def config(*routes: Route, upstreams: Mapping[str, Upstream] | None = None) -> Config:
    empty = translate([]).config
    hosts = {**empty.hosts, "a.example": Host("a.example", (*routes, ROOT))}
    return msgspec.structs.replace(empty, hosts=hosts, upstreams=upstreams or {})


def forward(*parts: tuple[str, int], policy: Policy = Policy()) -> Route:  # noqa: B008
    return Route(Match("prefix", "/x"), Forward(tuple(Weighted(*part) for part in parts)), SOURCE, policy)


def test_nothing_lacks() -> None:
    given = config(forward(("u", 1), ("v", 1), policy=Policy(upstream_host=("h",))))
    assert fit(given, EVERYTHING) == (given, ())
    assert fit(given, EVERYTHING)[0] is given


def test_what_is_not_used_does_not_lack() -> None:
    given = translate([ingress("i", "t1", {"a.example": [path("/", "s")]})]).config
    assert fit(given, frozenset())[0] is given


def test_a_policy_that_lacks_has_no_effect() -> None:
    fitted, issues = fit(config(forward(("u", 1), policy=Policy(upstream_host=("h",)))), EVERYTHING - {"upstream_host"})
    assert fitted.hosts["a.example"].routes[0] == forward(("u", 1))
    assert [(issue.code, issue.severity) for issue in issues] == [("ProxyLacks", "warning")]


@pytest.mark.parametrize("name", sorted(module.SECURITY & set(Policy.__struct_fields__)))
def test_a_security_policy_that_lacks_closes_its_route(name: str) -> None:
    policy = msgspec.structs.replace(Policy(upstream_host=("h",)), **{name: ("10.0.0.0/8",)})
    fitted, issues = fit(config(forward(("u", 1), policy=policy)), EVERYTHING - {name})
    route, root = fitted.hosts["a.example"].routes
    assert route.action == Respond(503)
    assert route.policy == Policy(upstream_host=("h",))
    assert root is ROOT
    assert [issue.severity for issue in issues] == ["error"]


def test_security_policies_are_policies() -> None:
    assert module.WORDS >= module.SECURITY


def test_without_weights_the_heaviest_gets_all() -> None:
    fitted, issues = fit(config(forward(("u", 10), ("v", 90))), EVERYTHING - {"weights"})
    assert fitted.hosts["a.example"].routes[0].action == Forward((Weighted("v", 90),))
    assert [issue.severity for issue in issues] == ["warning"]


def test_without_regular_expressions_the_route_is_left_out() -> None:
    regex = msgspec.structs.replace(forward(("u", 1)), match=Match("regex", "/x.*"))
    fitted, issues = fit(config(regex), EVERYTHING - {"regex"})
    assert fitted.hosts["a.example"].routes == (ROOT,)
    assert [issue.severity for issue in issues] == ["error"]


def test_without_names_an_upstream_is_empty() -> None:
    named = Upstream("u", dns=DnsName("x.example", 80), source=Source("Service", "t1", "u"))
    given = config(forward(("u", 1)), upstreams={"u": named, "v": Upstream("v")})
    fitted, issues = fit(given, EVERYTHING - {"dns"})
    assert (fitted.upstreams["u"].dns, fitted.upstreams["u"].endpoints) == (None, ())
    assert fitted.upstreams["v"] is given.upstreams["v"]
    assert fitted.hosts is given.hosts
    assert [str(issue.source) for issue in issues] == ["Service t1/u"]


def test_without_listeners_there_are_none() -> None:
    given = msgspec.structs.replace(config(), listeners={"tcp-9000": Listener("tcp", 9000, "u")})
    fitted, issues = fit(given, EVERYTHING - {"listeners"})
    assert fitted.listeners == {}
    assert [issue.severity for issue in issues] == ["error"]


def test_untouched_hosts_stay_the_same_objects() -> None:
    given = config(forward(("u", 1), ("v", 1)))
    fitted, _ = fit(given, frozenset())
    assert fitted.hosts[""] is given.hosts[""]
    assert fitted.hosts["a.example"] is not given.hosts["a.example"]


def lacks_of(*found: Lack) -> Callable[[object], tuple[Lack, ...]]:
    return lambda part: found if part != Policy() and isinstance(part, Policy) else ()


def test_a_value_that_is_not_honoured_is_told() -> None:
    given = config(forward(("u", 1), policy=Policy(upstream_host=("h",))))
    fitted, issues = fit(given, EVERYTHING, lacks_of(Lack("upstream_host.port", "is not sent")))
    assert fitted is given
    assert [(issue.severity, issue.message) for issue in issues] == [
        ("warning", "this proxy cannot do it: upstream_host.port is not sent")
    ]


def test_a_value_that_would_open_a_route_closes_it() -> None:
    given = config(forward(("u", 1), policy=Policy(upstream_host=("h",), allow=("10.0.0.0/8",))))
    fitted, issues = fit(given, EVERYTHING, lacks_of(Lack("allow.zone", "is not compared", closes=True)))
    assert fitted.hosts["a.example"].routes[0].action == Respond(503)
    assert fitted.hosts["a.example"].routes[0].policy == Policy(upstream_host=("h",))
    assert [issue.message for issue in issues] == [
        "this proxy cannot do it: allow.zone is not compared, so the route answers 503"
    ]


def test_an_option_that_would_open_the_proxy_closes_it() -> None:
    given = config(forward(("u", 1)))
    fitted, _ = fit(given, EVERYTHING, lambda part: [Lack("x", "y", closes=True)] if isinstance(part, Options) else [])
    assert {route.action for host in fitted.hosts.values() for route in host.routes} == {Respond(503)}


def test_one_after_the_other_is_as_each_alone() -> None:
    """Whatever came before: hosts that stay, change, go and come back, a proxy that is closed in between."""
    plain, lacking = forward(("u", 1)), forward(("u", 1), policy=Policy(upstream_host=("h",), allow=()))
    closing = msgspec.structs.replace(config().options, tls_ciphers="x")
    first = config(lacking)
    others = (
        first,
        msgspec.structs.replace(first, upstreams={"u": Upstream("u")}),
        config(plain),
        msgspec.structs.replace(first, options=closing),
        msgspec.structs.replace(first, hosts={**first.hosts, "b.example": Host("b.example", (lacking, ROOT))}),
        first,
    )
    features = EVERYTHING - {"upstream_host", "options.tls_ciphers"}
    fitter = module.Fit(features, nothing_lacks)
    for each in others:
        assert fitter.fit(each) == fit(each, features)
