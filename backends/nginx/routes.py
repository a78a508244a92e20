"""How the routes of a host become nginx locations that decide in the same order.

nginx takes an exact location, else the first matching pattern, else the longest prefix: for hosts without patterns
that is the order of the model.  Where a host has a pattern, every route but the last becomes one, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from backends.nginx import syntax
from backends.nginx.syntax import NOTHING, Word
from gen.backend import digest_of
from gen.errors import BadValue, Rejected
from gen.ir import Host, Redirect, Respond, Route, Source
from gen.policy import literal

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""The statuses for which `return` takes a URL."""


class Target(Struct, frozen=True):
    """What `proxy_pass` is given for an upstream.

    Shape: `word` is the name of a group, or `name:port` where `is_dns`; empty where nothing can answer.
    """

    word: Word = NOTHING
    is_dns: bool = False


class Handler(Struct, frozen=True):
    """What a location does with a request.

    Shape: with `status` it answers by itself: `text` is the body, or the URL for a status that nginx knows as a
    redirect; for others the URL is `location`.  Else it proxies to `target`, which is a variable where `resolved` (a
    name) or `shares` (a split) give it its value.
    """

    status: int = 0
    text: Word = NOTHING
    location: Word = NOTHING
    is_relative: bool = False
    target: Word = NOTHING
    upstream_host: Word = NOTHING
    resolved: Word = NOTHING
    shares: Sequence[tuple[Word, Word]] = ()
    may_not_resolve: bool = False


class Location(Struct, frozen=True):
    """What one route becomes: the arguments of its locations, and what they all do."""

    source: Source
    origin: Word
    matches: Sequence[Word]
    handler: Handler


def locations(host: Host, targets: Mapping[str, Target]) -> list[Location]:
    """The locations of a host, in order.  Raises Rejected, with the object to blame, for what nginx cannot hold."""
    found = []
    for route, spots in zip(host.routes, spots_of(host.routes), strict=True):
        try:
            matches = [WRITERS[how](path) for how, path in spots]
            if matches:
                found.append(
                    Location(route.source, syntax.origin(route.source), matches, handler(host, route, targets))
                )
        except BadValue as error:
            raise Rejected(f"{route.source}: {error}", (route.source,)) from error
    return found


# ------------------------------------------------------------------ which requests

Spot = tuple[str, str]
"""How a location matches (a key of WRITERS) and its path."""

WRITERS: Mapping[str, Callable[[str], Word]] = {
    "exact": syntax.exact_location,
    "prefix": syntax.prefix_location,
    "exact pattern": syntax.exact_pattern,
    "prefix pattern": syntax.prefix_pattern,
    "regex pattern": syntax.regex_pattern,
}


def spots_of(routes: Sequence[Route]) -> list[list[Spot]]:
    """The places of each route; each is given once, to the first route that wants it."""
    if any(route.match.kind == "regex" for route in routes):
        return [[pattern_spot(route)] for route in routes]
    owners: dict[Spot, int] = {}
    for number, route in enumerate(routes):
        for spot in static_spots(route):
            owners.setdefault(spot, number)
    for number, spot in unasked_redirects(routes):
        owners.setdefault(spot, number)
    spots: list[list[Spot]] = [[] for _ in routes]
    for spot, number in owners.items():
        spots[number].append(spot)
    return spots


def pattern_spot(route: Route) -> Spot:
    """The place of a route of a host that has patterns; "/", the last one, stays what is tried after all of them."""
    return (
        ("prefix", "/")
        if route.match.path == "/" and route.match.kind == "prefix"
        else (
            f"{route.match.kind} pattern",
            route.match.path,
        )
    )


def static_spots(route: Route) -> tuple[Spot, ...]:
    """The places of an exact or a prefix route."""
    kind, path = route.match.kind, route.match.path
    if kind == "exact" or path.endswith("/"):
        return ((kind, path),)
    return ("exact", path), ("prefix", f"{path}/")


def unasked_redirects(routes: Sequence[Route]) -> Iterator[tuple[int, Spot]]:
    """Where nginx would answer `/x` with a redirect because a location for `/x/` proxies.

    Shape: the number of the route that takes `/x` by the model, and the place that lets it.
    """
    for route in routes:
        path = route.match.path
        if path.endswith("/") and path != "/":
            yield next(number for number, other in enumerate(routes) if takes(other, path[:-1])), ("exact", path[:-1])


def takes(route: Route, path: str) -> bool:
    """Whether an exact or prefix route takes a path."""
    wanted = route.match.path
    below = wanted if wanted.endswith("/") else f"{wanted}/"
    return path == wanted or (route.match.kind == "prefix" and path.startswith(below))


# ------------------------------------------------------------------ what happens to them


def handler(host: Host, route: Route, targets: Mapping[str, Target]) -> Handler:
    """What the locations of a route do."""
    action = route.action
    if isinstance(action, Respond):
        return Handler(action.status, syntax.body(action.body))
    if isinstance(action, Redirect):
        url = syntax.redirect(action)
        if action.status in REDIRECTS:
            return Handler(action.status, url, is_relative=action.is_relative)
        return Handler(action.status, location=url)
    return proxy(host, route, [(targets[part.upstream], part.weight) for part in action.split if part.weight > 0])


def proxy(host: Host, route: Route, parts: Sequence[tuple[Target, int]]) -> Handler:
    """Proxy to one upstream or to several by weight; 503 where none of them can answer."""
    wanted = route.policy.upstream_host
    upstream_host = NOTHING if wanted is None else syntax.value(literal(wanted))
    if not any(target.word for target, _ in parts):
        return Handler(503)
    may_not_resolve = any(target.is_dns for target, _ in parts)
    if len(parts) > 1:
        identity = digest_of(host.name.encode(), route.match.kind.encode(), route.match.path.encode())
        return Handler(
            target=syntax.variable(f"gen_split_{identity}"),
            upstream_host=upstream_host,
            shares=shares(parts),
            may_not_resolve=may_not_resolve,
        )
    word = parts[0][0].word
    if may_not_resolve:
        target = syntax.variable("gen_target")
        return Handler(target=target, upstream_host=upstream_host, resolved=word, may_not_resolve=True)
    return Handler(target=word, upstream_host=upstream_host)


def shares(parts: Sequence[tuple[Target, int]]) -> list[tuple[Word, Word]]:
    """The lines of a `split_clients`, which counts in hundredths of a percent; the last part gets the rest."""
    total = sum(weight for _, weight in parts)
    lines, spent, given = [], 0, 0
    for target, weight in parts[:-1]:
        spent += weight
        share = 10000 * spent // total - given
        given += share
        if share:
            lines.append((syntax.percent(share), target.word))
    return [*lines, (syntax.REST, parts[-1][0].word)]
