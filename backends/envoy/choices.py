"""Routes of which Envoy needs several: where a canary, or the scheme of the client, decides about the upstream."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from backends.envoy import syntax
from backends.envoy.syntax import Json
from gen.backend import digest_of
from gen.ir import Forward, Policy, Route, Weighted
from gen.policy import Canary

SECURE: Json = {"name": "x-forwarded-proto", "string_match": {"exact": "https"}}


class Choice(Struct, frozen=True):
    """A route for those requests that have such headers, or for a share of them in a million."""

    route: Route
    headers: tuple[Json, ...] = ()
    share: int | None = None

    def match(self) -> Json:
        """What the match of a route has besides its path."""
        chance = {"default_value": {"numerator": self.share, "denominator": "MILLION"}}
        return {
            **({"headers": list(self.headers)} if self.headers else {}),
            **({"runtime_fraction": chance} if self.share is not None else {}),
        }


def choices(route: Route, idle: frozenset[str]) -> Iterator[Choice]:
    """All routes that stand for one, in their order; `idle` are upstreams without endpoints.  Raises BadValue."""
    for choice in of_canary(route, idle):
        if choice.route.policy.protocol == "as_client":
            yield Choice(with_policy(choice.route, protocol="https"), (*choice.headers, SECURE), choice.share)
            yield Choice(with_policy(choice.route, protocol=None), choice.headers, choice.share)
        else:
            yield choice


def of_canary(route: Route, idle: frozenset[str]) -> Iterator[Choice]:
    """The route itself, and before it what leads to its canary, or past it."""
    canary = route.policy.canary
    if not canary:
        yield Choice(route)
        return
    main = with_policy(route, canary=None)
    if isinstance(route.action, Forward) and canary.upstream not in idle and not is_idle(route.action, idle):
        yield from before(main, canary_route(main, canary), canary)
    yield Choice(main)


def is_idle(action: Forward, idle: frozenset[str]) -> bool:
    """Whether no upstream has an endpoint."""
    return all(part.upstream in idle for part in action.split if part.weight > 0)


def canary_route(main: Route, canary: Canary) -> Route:
    """The same, with the canary as its upstream; one that is not sticky sets no cookie."""
    other = msgspec.structs.replace(main, action=Forward((Weighted(canary.upstream),)))
    return other if canary.sticky else with_policy(other, affinity=None)


def before(main: Route, other: Route, canary: Canary) -> Iterator[Choice]:
    """What decides before chance: the cookie of an earlier decision, a header, a cookie; then a share of the rest."""
    affinity = main.policy.affinity
    if affinity and canary.sticky:
        for route in (other, main):
            yield Choice(route, (syntax.cookie_match(affinity.cookie, ending=f"|{mark(route)}"),))
    if canary.header:
        yield from by_header(main, other, canary)
    if canary.cookie:
        yield Choice(other, (syntax.cookie_match(canary.cookie, "always"),))
        yield Choice(main, (syntax.cookie_match(canary.cookie, "never"),))
    if canary.weight > 0:
        total = max(canary.weight_total, 100)
        yield Choice(other, share=min(canary.weight * 1_000_000 // total, 1_000_000))


def by_header(main: Route, other: Route, canary: Canary) -> Iterator[Choice]:
    """What the header of a canary decides."""
    if canary.header_value:
        yield Choice(other, (syntax.header_is(canary.header, canary.header_value),))
    elif canary.header_pattern:
        yield Choice(other, (syntax.header_has(canary.header, canary.header_pattern),))
    else:
        yield Choice(other, (syntax.header_is(canary.header, "always"),))
        yield Choice(main, (syntax.header_is(canary.header, "never"),))


def mark(route: Route) -> str:
    """What a cookie of affinity says of the upstream that it was given for."""
    names = [part.upstream for part in route.action.split] if isinstance(route.action, Forward) else []
    return digest_of(*(name.encode() for name in names))


def with_policy(route: Route, **changes: object) -> Route:
    """The route with another policy."""
    changed: Policy = msgspec.structs.replace(route.policy, **changes)
    return msgspec.structs.replace(route, policy=changed)
