"""Canaries: Ingresses that only add an upstream to routes of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from gen.ir import CATCH_ALL, Forward, Issue, Match, Route
from gen.policy import Canary
from gen.translate.ingress import Claim, PathClaim


def attach(
    claims: Iterable[Claim], routes: dict[Match, Route], host: str, match_of: Callable[[PathClaim], Match]
) -> Iterator[Issue]:
    """Give the routes of a host their canaries, and say which canaries found no route.

    Shape: a canary belongs to an upstream, so other routes of the host that lead to the same one get it, too; of
    several canaries of an upstream the oldest counts.
    """
    chosen: dict[str, Canary] = {}
    for claim in claims:
        for path in _paths(claim, host):
            route = routes.get(match_of(path))
            if route is None or not isinstance(route.action, Forward):
                message = f"no route of another Ingress has the path {path.path}, so the canary gets nothing"
                yield Issue(path.source, "CanaryWithoutPrimary", message)
                continue
            main = route.action.split[0].upstream
            if main in chosen:
                yield Issue(path.source, "CanaryConflict", f"{main} has an older canary, which counts")
            elif main == path.upstream:
                yield Issue(path.source, "CanaryWithoutPrimary", "the canary leads to the main upstream", "warning")
            else:
                chosen[main] = _canary(claim, path)
    for match, route in routes.items() if chosen else ():
        if isinstance(route.action, Forward) and (canary := chosen.get(route.action.split[0].upstream)):
            policy = msgspec.structs.replace(route.policy, canary=canary)
            routes[match] = msgspec.structs.replace(route, policy=policy)


def _paths(claim: Claim, host: str) -> Iterable[PathClaim]:
    if not claim.rules and claim.default and host == CATCH_ALL:
        return (claim.default,)
    return claim.rules.get(host, ())


def _canary(claim: Claim, path: PathClaim) -> Canary:
    rule = claim.effects.canary
    return Canary(path.upstream, **(msgspec.structs.asdict(rule) if rule else {}))
