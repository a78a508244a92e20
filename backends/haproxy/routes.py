"""Hosts as rows of maps, and the backends that these rows name.

One lookup of `host` + canonical path + `|` in a tree of prefixes decides: the longest row wins.

    prefix /foo     rows  host/foo/  and  host/foo|     the path itself and what lies below
    prefix /foo/    row   host/foo/                     only what lies below
    exact  /foo     row   host/foo|                     first come, first served: exact routes come first

Where a host has regexes, its prefixes stand under `~host`, which is looked up when exact paths and regexes found none.
A split is a number from 1000000 to 1999999 and rows of its leading digits: again a tree decides.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from backends.haproxy import syntax
from backends.haproxy.syntax import Encoded
from gen.errors import BadValue, Rejected
from gen.ir import Forward, Host, Match, Policy, Redirect, Respond, Route, Source
from gen.policy import literal

Row = tuple[bytes, Source]
SHARES = 1_000_000
NOBODY = Source("", "", "")


class Target(Struct, frozen=True, gc=False):
    """What one backend section is made of; `action` is an upstream's id where requests are forwarded."""

    name: Encoded
    action: str | Redirect | Respond
    policy: Policy
    source: Source


class HostRows(Struct, frozen=True, gc=False):
    """All that one host adds to the maps; `splits` are names and rows, `targets` the backends that the rows name."""

    exact: tuple[Row, ...]
    wildcard: tuple[Row, ...]
    routes: tuple[Row, ...]
    regexes: tuple[Row, ...]
    splits: tuple[tuple[Encoded, tuple[Row, ...]], ...]
    targets: tuple[Target, ...]


def rows_of(host: Host) -> HostRows:
    """The rows of one host.  Raises Rejected, with the route to blame, for what cannot be written."""
    site = syntax.host(host.name or "*")
    below = syntax.deferred(site) if any(route.match.kind == "regex" for route in host.routes) else site
    routes: dict[Encoded, Row] = {}
    regexes: list[Row] = []
    splits: dict[Encoded, tuple[Row, ...]] = {}
    targets: list[Target] = []
    for route in host.routes:
        try:
            keys = [key for key in keys_of(route.match, site, below) if key not in routes]
            if not keys:
                continue  # routes before it take all that it would take
            parts = targets_of(route)
            value = parts[0][0].name
            if len(parts) > 1:
                value = syntax.split(*(f"{target.name}={weight}" for target, weight in parts))
                splits[value] = tuple(split_rows(value, parts))
            rows = [(key, (syntax.row(key, value), route.source)) for key in keys]
        except BadValue as error:
            raise refusal(route.source, error) from error
        if route.match.kind == "regex":
            regexes.extend(row for _, row in rows)
        else:
            routes.update(rows)
        targets.extend(target for target, _ in parts)
    return HostRows(
        exact=() if host.is_wildcard or not host.name else (name_row(host, site),),
        wildcard=(name_row(host, site),) if host.is_wildcard else (),
        routes=tuple(routes.values()),
        regexes=tuple(regexes),
        splits=tuple(splits.items()),
        targets=tuple(targets),
    )


def refusal(source: Source, error: BadValue) -> Rejected:
    """What to raise when a value of an object cannot be written."""
    return Rejected(f"{source}: {error}", (source,))


def name_row(host: Host, site: Encoded) -> Row:
    """The row that finds a host by its name, a wildcard by what follows its first label."""
    return syntax.row(syntax.parent(site), site), host.sources[0] if host.sources else NOBODY


def keys_of(match: Match, site: Encoded, below: Encoded) -> Iterator[Encoded]:
    """The keys of the maps that stand for a match."""
    if match.kind == "regex":
        yield syntax.regex(site, match.path)
        return
    path = syntax.path(match.path)
    if match.kind == "prefix":
        yield syntax.key_below(below, path)
    if match.kind == "exact" or not path.endswith("/"):
        yield syntax.key_of(site if match.kind == "exact" else below, path)


def targets_of(route: Route) -> list[tuple[Target, int]]:
    """The targets of a route with their weights; at least one."""
    if not isinstance(route.action, Forward):
        return [(target(route.action, route), 1)]
    parts = [(target(part.upstream, route), part.weight) for part in route.action.split if part.weight > 0]
    return parts or [(target(Respond(503), route), 1)]


def target(action: str | Redirect | Respond, route: Route) -> Target:
    """The backend for an action under the policy of a route; equal ones have one name."""
    policy = Policy() if isinstance(action, (Redirect, Respond)) else route.policy
    return Target(target_name(action, policy), action, policy, route.source)


def target_name(action: str | Redirect | Respond, policy: Policy) -> Encoded:
    """A name that tells the reader what the backend does."""
    match action:
        case Redirect():
            query = "" if action.query is None else f"?{action.query}"
            flags = ("cut" if action.cut_slash else "", "relative" if action.is_relative else "")
            return syntax.identifier(
                "redirect", str(action.status), action.url, action.host, action.path, query, *flags
            )
        case Respond():
            return syntax.identifier("respond", str(action.status), action.body)
        case upstream:
            return syntax.identifier(upstream, literal(policy.upstream_host or ()))


def split_rows(name: Encoded, parts: list[tuple[Target, int]]) -> Iterator[Row]:
    """The rows that share out the numbers of a split."""
    total, passed = sum(weight for _, weight in parts), 0
    for target, weight in parts:
        start, passed = passed, passed + weight
        for digits in blocks(start * SHARES // total, passed * SHARES // total):
            yield syntax.row(syntax.key_of_share(name, digits), target.name), target.source


def blocks(start: int, end: int) -> Iterator[str]:
    """The fewest leading digits that cover the numbers SHARES + start up to, not including, SHARES + end."""
    while start < end:
        zeros = 0
        while start % 10 ** (zeros + 1) == 0 and start + 10 ** (zeros + 1) <= end:
            zeros += 1
        yield str(SHARES + start)[: 7 - zeros]
        start += 10**zeros
