"""How the routes of a host become nginx locations that decide in the same order.

nginx takes an exact location, else the first matching pattern, else the longest prefix: for hosts without patterns
that is the order of the model.  Where a host has a pattern, every route but the last becomes one, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from backends.nginx import phrases, policy, syntax
from backends.nginx.access import passes_access
from backends.nginx.parts import Base, Parts, Target, reaching
from backends.nginx.phrases import directive
from backends.nginx.policy import Plain, Written
from backends.nginx.syntax import NOTHING, Word
from gen.backend import digest_of
from gen.errors import BadValue, Rejected
from gen.ir import NO_POLICY, Action, Forward, Host, Match, Policy, Redirect, Respond, Route, Source
from gen.policy import Text, literal

NO_POLICIES = Written()
PERSISTENT = "persistent"
NO_BASE = Base()
NO_CERTIFICATES: Mapping[str, Word] = {}
UNRESOLVED = Word("error_page 502 = @unresolved;")

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""The statuses for which `return` takes a URL."""


class Handler(Struct, frozen=True):
    """What a location does with a request.

    Shape: with `status` it answers by itself, and `lines` are how; else `lines` come before it proxies to `target`,
    which is a variable where they or `shares` (a split) give it its value.  `in_short` is all of it on one line; where
    the route has policies, `written` has the lines instead.  `passes` is what the target takes to be reached.
    """

    status: int = 0
    lines: Sequence[Word] = ()
    adds_header: bool = False
    target: Word = NOTHING
    in_short: Word = NOTHING
    shares: Sequence[tuple[Word, Word]] = ()
    may_not_resolve: bool = False
    written: Written = NO_POLICIES
    passes: tuple[tuple[Word, ...], Word] = ((), NOTHING)


class Location(Struct, frozen=True):
    """What one route becomes: the arguments of its locations, and what they all do."""

    source: Source
    origin: Word
    matches: Sequence[Word]
    handler: Handler


def locations(
    host: Host, targets: Mapping[str, Target], base: Base = NO_BASE, certificates: Mapping[str, Word] = NO_CERTIFICATES
) -> list[Location]:
    """The locations of a host, in order.  Raises Rejected, with the object to blame, for what nginx cannot hold."""
    matches = tuple([route.match for route in host.routes])
    handlers = [*handlers_of(host, targets, base, certificates)]
    places = needed(matches, tuple(map(id, handlers)))
    found = []
    for route, wanted, spots, done in zip(host.routes, spots_of(matches), places, handlers, strict=True):
        try:
            if wanted:
                found.append(
                    Location(route.source, syntax.origin(route.source), [place(*spot) for spot in spots], done)
                )
        except BadValue as error:
            raise Rejected(f"{route.source}: {error}", (route.source,)) from error
    return found


def handlers_of(
    host: Host, targets: Mapping[str, Target], base: Base, certificates: Mapping[str, Word]
) -> Iterator[Handler]:
    """What each route does; the very same for routes with the same policy and action.  Raises Rejected."""
    known: dict[tuple[int, Action], Handler] = {}
    for route in host.routes:
        key = id(route.policy), route.action
        try:
            done = known.get(key) or handler(host, route, targets, base, certificates)
        except BadValue as error:
            raise Rejected(f"{route.source}: {error}", (route.source,)) from error
        if not done.shares and not done.written.is_own:
            known[key] = done
        yield done


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


@lru_cache(maxsize=1024)
def spots_of(matches: Sequence[Match]) -> list[list[Spot]]:
    """The places of each route; each is given once, to the first route that wants it.

    Shape: most hosts have their paths in common with others, so the answer is kept.
    """
    if any(match.kind == "regex" for match in matches):
        return [[pattern_spot(match)] for match in matches]
    owners: dict[Spot, int] = {}
    for number, match in enumerate(matches):
        for spot in static_spots(match):
            owners.setdefault(spot, number)
    for number, spot in unasked_redirects(matches):
        owners.setdefault(spot, number)
    spots: list[list[Spot]] = [[] for _ in matches]
    for spot, number in owners.items():
        spots[number].append(spot)
    return spots


def needed(matches: Sequence[Match], handlers: Sequence[int]) -> list[list[Spot]]:
    """The places of each route, without those where nginx would do the same anyway: every location costs it 12 kB.

    Shape: `handlers` are equal for routes that do the same.
    """
    first = {handler: number for number, handler in reversed([*enumerate(handlers)])}
    return distinct(matches, tuple([first[handler] for handler in handlers]))


@lru_cache(maxsize=1024)
def distinct(matches: Sequence[Match], classes: Sequence[int]) -> list[list[Spot]]:
    """The places that are needed; a path stays where nginx would redirect it to one below."""
    spots = spots_of(matches)
    owners = {spot: classes[number] for number, own in enumerate(spots) for spot in own}
    if any(how.endswith("pattern") for how, _ in owners):
        return spots
    kept = {spot for spot in owners if owners.get(above(spot, owners)) != owners[spot]}
    redirected = {path[:-1] for _, path in kept if path.endswith("/")}
    kept |= {(how, path) for how, path in owners if how == "exact" and path in redirected}
    return [[spot for spot in own if spot in kept] for own in spots]


def above(spot: Spot, owners: Container[Spot]) -> Spot:
    """The longest prefix that takes over where a place is left out; all prefixes end with a slash."""
    how, path = spot
    if how == "exact" and ("prefix", path) in owners:
        return "prefix", path
    while path:
        path = path[: path.rstrip("/").rfind("/") + 1] if path != "/" else ""
        if ("prefix", path) in owners:
            break
    return "prefix", path


def pattern_spot(match: Match) -> Spot:
    """The place of a route of a host that has patterns; "/", the last one, stays what is tried after all of them."""
    is_last = match.path == "/" and match.kind == "prefix"
    return ("prefix", "/") if is_last else (f"{match.kind} pattern", match.path)


def static_spots(match: Match) -> tuple[Spot, ...]:
    """The places of an exact or a prefix route."""
    kind, path = match.kind, match.path
    if kind == "exact" or path.endswith("/"):
        return ((kind, path),)
    return ("exact", path), ("prefix", f"{path}/")


def unasked_redirects(matches: Sequence[Match]) -> Iterator[tuple[int, Spot]]:
    """Where nginx would answer `/x` with a redirect because a location for `/x/` proxies.

    Shape: the number of the route that takes `/x` by the model, and the place that lets it.
    """
    for path in [match.path for match in matches]:
        if path.endswith("/") and path != "/":
            bare = path[:-1]
            yield next(number for number, match in enumerate(matches) if takes(match, bare)), ("exact", bare)


def takes(match: Match, path: str) -> bool:
    """Whether an exact or prefix route takes a path."""
    wanted = match.path
    below = wanted if wanted.endswith("/") else f"{wanted}/"
    return path == wanted or (match.kind == "prefix" and path.startswith(below))


@lru_cache(maxsize=4096)
def place(how: str, path: str) -> Word:
    """The argument of a location; hosts have most of their paths in common."""
    return WRITERS[how](path)


# ------------------------------------------------------------------ what happens to them


def handler(
    host: Host, route: Route, targets: Mapping[str, Target], base: Base, certificates: Mapping[str, Word]
) -> Handler:
    """What the locations of a route do."""
    simple = simple_handler(host, route, targets)
    if is_simple(host, route) and not (simple.adds_header and base.response_headers):
        return with_host(simple, route.policy.upstream_host)
    plain = plain_of(route, simple, targets)
    written = policy.write(Parts(host, route, targets, base), plain, certificates)
    return Handler(
        written=written,
        target=simple.target,
        shares=simple.shares,
        may_not_resolve=bool(simple.may_not_resolve and not plain.answer),
    )


def in_short(lines: Iterable[Word], target: Word = NOTHING) -> Word:
    """All that a route without policies does, on one line."""
    passing = (directive("proxy_pass", Word(f"http://{target}")),) if target else ()
    return Word(" ".join(line.strip() for line in (*lines, *passing)))


def with_host(simple: Handler, upstream_host: Text | None) -> Handler:
    """The same with another host for the upstream."""
    if upstream_host is None or simple.status:
        return simple
    more, reached = simple.passes
    lines = (directive("set", policy.UPSTREAM_HOST, syntax.value(literal(upstream_host))), *simple.lines, *more)
    return replace(simple, in_short=in_short(lines, reached))


def is_simple(host: Host, route: Route) -> bool:
    """Whether a route has no policy but perhaps another host for its upstream."""
    if host.policy.client_certificate:
        return False
    wanted = route.policy
    if wanted is NO_POLICY:
        return True
    host_only = Policy(upstream_host=wanted.upstream_host)
    return wanted == host_only and all(isinstance(piece, str) for piece in wanted.upstream_host or ())


def plain_of(route: Route, simple: Handler, targets: Mapping[str, Target]) -> Plain:
    """The action of a route in the words of its policies."""
    wanted = route.policy
    if wanted.fallback and has_nobody(route, simple, targets):
        target = targets[wanted.fallback.upstream]
        if target.word and not target.is_dns:
            return Plain(target=target.word, groups=((target.word, target),), is_fallback=True)
    if simple.status:
        is_late = isinstance(route.action, Respond) and simple.status != 503 and needs_phases(route)
        return Plain(simple.lines, is_late=is_late)
    return Plain(before=simple.lines, target=simple.target, groups=groups_of(route, targets))


def has_nobody(route: Route, simple: Handler, targets: Mapping[str, Target]) -> bool:
    """Whether none of the upstreams of a route has endpoints."""
    if not isinstance(route.action, Forward):
        return False
    return bool(simple.status) or all(target.is_empty for _, target in groups_of(route, targets))


def needs_phases(route: Route) -> bool:
    """Whether an answer of the proxy itself has to wait for what is decided before it."""
    parts = Parts(Host("", ()), route, {}, Base())
    return passes_access(parts) or route.policy.https_redirect is not None or route.policy.error_pages is not None


def groups_of(route: Route, targets: Mapping[str, Target]) -> tuple[tuple[Word, Target], ...]:
    """The groups that a route may lead to, the main one first."""
    names = [part.upstream for part in route.action.split] if isinstance(route.action, Forward) else []
    if route.policy.canary:
        names.append(route.policy.canary.upstream)
    found = (targets[variant_name(variant(route.policy), name)] for name in names)
    return tuple((target.word, target) for target in found if target.word)


def variant(wanted: Policy) -> str:
    """How the policy of a route balances, and speaks to endpoints, where that is not the upstream's own way.

    Shape: `BALANCE`, `/SPEECH` or both.  nginx gives any idle connection of a group to any request for it, also one of
    which nobody checked the certificate; so what is spoken in different ways has groups of its own.
    """
    speech = _speech(wanted)
    return f"{_balance(wanted)}/{speech}" if speech else _balance(wanted)


def _balance(wanted: Policy) -> str:
    if wanted.affinity:
        return PERSISTENT if wanted.affinity.persistent else "hash"
    return "hash" if wanted.hash_by is not None else wanted.balance or ""


def _speech(wanted: Policy) -> str:
    if wanted.protocol is None:
        return ""
    tls = wanted.upstream_tls if wanted.protocol in {"https", "grpcs", "as_client"} else None
    return f"{wanted.protocol}-{digest_of(msgspec.msgpack.encode(tls))}" if tls else wanted.protocol


def variant_name(kind: str, upstream: str) -> str:
    """The key of the group of an upstream that is balanced in a way."""
    return f"{kind} {upstream}" if kind else upstream


def simple_handler(host: Host, route: Route, targets: Mapping[str, Target]) -> Handler:
    """What the locations of a route without policies do."""
    action = route.action
    if isinstance(action, Respond):
        return answer(action.status, syntax.body(action.body))
    if isinstance(action, Redirect):
        return redirect(action)
    kind = variant(route.policy) if route.policy is not NO_POLICY else ""
    parts = [(targets[variant_name(kind, part.upstream)], part.weight) for part in action.split if part.weight > 0]
    return proxy(host, route, parts)


@lru_cache(maxsize=64)
def answer(status: int, text: Word = NOTHING) -> Handler:
    """An answer of the proxy itself."""
    lines = (directive("return", status, text),)
    return Handler(status, lines, in_short=in_short(lines))


def redirect(action: Redirect) -> Handler:
    """A redirect; where nginx does not know the status as one, it needs the header."""
    url = syntax.redirect(action)
    lines = [Word("absolute_redirect off;")] if action.is_relative else []
    is_known = action.status in REDIRECTS
    if is_known:
        lines.append(directive("return", action.status, url))
    else:
        lines += [directive("add_header", Word("Location"), url, Word("always")), directive("return", action.status)]
    return Handler(action.status, lines, adds_header=not is_known, in_short=in_short(lines))


def proxy(host: Host, route: Route, parts: Sequence[tuple[Target, int]]) -> Handler:
    """Proxy to one upstream or to several by weight; 503 where none of them can answer."""
    if len(parts) == 1:
        return to_one(parts[0][0])
    if not any(target.word for target, _ in parts):
        return answer(503)
    identity = digest_of(host.name.encode(), route.match.kind.encode(), route.match.path.encode())
    target = syntax.variable(f"gen_split_{identity}")
    may_not_resolve = any(target.is_dns for target, _ in parts)
    lines = phrases.answer_if(Word(f'{target} = ""'), Word("return 503;"))
    if may_not_resolve:
        lines.append(UNRESOLVED)
    more, reached = reaching(target, [one for one, _ in parts])
    return Handler(
        lines=lines,
        target=target,
        in_short=in_short((*lines, *more), reached),
        passes=(more, reached),
        shares=shares(parts),
        may_not_resolve=may_not_resolve,
    )


@lru_cache(maxsize=1024)
def to_one(target: Target) -> Handler:
    """Proxy to one upstream, which is often that of all routes of a host."""
    if not target.word:
        return answer(503)
    if not target.is_dns:
        passes = reaching(target.word, (target,))
        return Handler(target=target.word, in_short=in_short(*passes), passes=passes)
    variable = syntax.variable("gen_target")
    lines = (directive("set", variable, Word(f'"{target.word}"')), UNRESOLVED)
    shown = in_short(lines, variable)
    return Handler(lines=lines, target=variable, in_short=shown, may_not_resolve=True, passes=((), variable))


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
