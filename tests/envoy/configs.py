"""Short words for the configurations of these tests."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TypeVar

from gen.ir import (
    NO_POLICY,
    Action,
    Certificate,
    Config,
    DnsName,
    Endpoint,
    Forward,
    Host,
    Match,
    MatchKind,
    Options,
    Policy,
    Respond,
    Route,
    Source,
    Upstream,
    Weighted,
)
from tests.live.certificates import issue

Rule = tuple[MatchKind, str, Action]
T = TypeVar("T")

NOT_FOUND = Respond(404, "nothing here")


@functools.cache
def certificate(name: str, *names: str) -> Certificate:
    """A certificate of that id, for these DNS names."""
    names = names or (f"{name.replace('/', '-')}.test",)
    chain, key = issue(*names)
    return Certificate(name, chain, key, names, source=Source("Secret", "tests", name.rpartition("/")[2]))


def source(host: str, number: int) -> Source:
    """The Ingress of a host."""
    return Source("Ingress", "tests", host.removeprefix("*.") or "any", f"spec.rules[0].http.paths[{number}].path")


def to(*upstreams: str, **weights: int) -> Forward:
    """Forward to upstreams, in equal parts, or by weight."""
    parts = [Weighted(name) for name in upstreams] + [Weighted(name, weight) for name, weight in weights.items()]
    return Forward(tuple(parts))


def host(name: str, *rules: Rule, policy: Policy = NO_POLICY, secret: str = "") -> Host:
    """A host whose rules are in match order; the one for all other paths is added if it is missing."""
    complete = rules if rules and rules[-1][:2] == ("prefix", "/") else (*rules, ("prefix", "/", NOT_FOUND))
    routes = [
        Route(Match(kind, path), action, source(name, number), policy if isinstance(action, Forward) else NO_POLICY)
        for number, (kind, path, action) in enumerate(complete)
    ]
    return Host(name, tuple(routes), secret, (Source("Ingress", "tests", name or "any"),))


def saying(name: str, text: str, secret: str = "") -> Host:
    """A host that answers everything by itself."""
    return host(name, ("prefix", "/", Respond(200, text)), secret=secret)


def upstream(name: str, *addresses: str, port: int = 8080, dns: str = "") -> Upstream:
    """An upstream with servers at these addresses, or at a name."""
    endpoints = tuple(Endpoint(address, port) for address in sorted(addresses))
    return Upstream(name, endpoints, DnsName(dns, port) if dns else None, source=Source("Service", "tests", name))


def config(
    hosts: Iterable[Host],
    upstreams: Iterable[Upstream] = (),
    certificates: Iterable[Certificate] = (),
    options: Options | None = None,
) -> Config:
    """A complete configuration: the catch-all, the default certificate and upstreams without servers are added."""
    named = {"": host(""), **{each.name: each for each in hosts}}
    used = {
        part.upstream
        for each in named.values()
        for route in each.routes
        if isinstance(route.action, Forward)
        for part in route.action.split
    }
    known = {each: upstream(each) for each in used} | {each.id: each for each in upstreams}
    secrets = {each.id: each for each in (certificate("default"), *certificates)}
    return Config(ordered(named), ordered(known), ordered(secrets), {}, options or Options())


def ordered(mapping: Mapping[str, T]) -> dict[str, T]:
    """The mapping, sorted by key."""
    return dict(sorted(mapping.items()))
