"""Short words for the configurations of these tests."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TypeVar

from gen.ir import (
    NO_POLICY,
    Action,
    Balance,
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
    Redirect,
    Respond,
    Route,
    Source,
    Upstream,
    Weighted,
)
from tests.live.certificates import issue

T = TypeVar("T")
NOT_FOUND = Respond(404, "no such page\n")


@functools.cache
def certificate(name: str, *names: str) -> Certificate:
    """A certificate of that id, for these DNS names."""
    chain, key = issue(*(names or (f"{name}.test",)))
    return Certificate(name, chain, key, names, source=Source("Secret", "tests", name))


def source(number: int, host: str) -> Source:
    """The Ingress of a host."""
    return Source("Ingress", "tests", host.strip("*.") or "any", f"spec.rules[0].http.paths[{number}].path")


def to(*upstreams: str) -> Forward:
    """Forward to upstreams, in equal parts."""
    return Forward(tuple(Weighted(upstream) for upstream in upstreams))


def host(name: str, *rules: tuple[MatchKind, str, Action], policy: Policy = NO_POLICY, secret: str = "") -> Host:
    """A host whose rules are in match order; the last one, for all other paths, is added if it is missing."""
    complete = rules if rules and rules[-1][:2] == ("prefix", "/") else (*rules, ("prefix", "/", NOT_FOUND))
    routes = [
        Route(Match(kind, path), action, source(number, name), policy if isinstance(action, Forward) else NO_POLICY)
        for number, (kind, path, action) in enumerate(complete)
    ]
    return Host(name, tuple(routes), secret, (source(0, name),))


def upstream(name: str, *addresses: str, port: int = 8080, dns: str = "", balance: Balance = "round_robin") -> Upstream:
    """An upstream with servers at these addresses, or at a name."""
    endpoints = tuple(Endpoint(address, port) for address in sorted(addresses))
    return Upstream(
        name, endpoints, DnsName(dns, port) if dns else None, balance, source=Source("Service", "tests", name)
    )


def config(
    hosts: Iterable[Host],
    upstreams: Iterable[Upstream] = (),
    certificates: Iterable[Certificate] = (),
    options: Options | None = None,
) -> Config:
    """A complete configuration: the catch-all, the default certificate and endless-looking upstreams are added."""
    named = {"": host(""), **{each.name: each for each in hosts}}
    used = {part.upstream for each in named.values() for route in each.routes for part in split_of(route.action)}
    known = {each: Upstream(each) for each in used} | {each.id: each for each in upstreams}
    secrets = {each.id: each for each in (certificate("default"), *certificates)}
    return Config(ordered(named), ordered(known), ordered(secrets), {}, options or Options())


def split_of(action: Action) -> tuple[Weighted, ...]:
    """The parts of a Forward, none for other actions."""
    return () if isinstance(action, Redirect | Respond) else action.split


def ordered(mapping: Mapping[str, T]) -> dict[str, T]:
    """The mapping, sorted by key."""
    return dict(sorted(mapping.items()))
