"""The routing table: one row a route."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gen.ir import Action, Config, Forward, MatchKind, Redirect, Source, Upstream


class Row(Struct, frozen=True):
    """One route, in words.

    Shape: `host` is "*" for the catch-all; `action` reads `forward namespace/service:port`, `redirect 301 URL` or
    `respond 404`; `endpoints` are `address:port`, or the name that the proxy resolves.
    """

    host: str
    kind: MatchKind
    path: str
    action: str
    endpoints: tuple[str, ...]
    source: Source


def routes(config: Config) -> tuple[Row, ...]:
    """The routing table in match order, the catch-all last."""
    hosts = sorted(config.hosts.values(), key=lambda host: (host.name == "", host.is_wildcard, host.name))
    return tuple(
        Row(
            host.name or "*",
            route.match.kind,
            route.match.path,
            _text(route.action),
            tuple(_endpoints(route.action, config)),
            route.source,
        )
        for host in hosts
        for route in host.routes
    )


def _text(action: Action) -> str:
    if isinstance(action, Redirect):
        return f"redirect {action.status} {action.url or action.path}"
    if isinstance(action, Forward):
        if len(action.split) == 1:
            return f"forward {action.split[0].upstream}"
        return "forward " + ", ".join(f"{part.upstream} (weight {part.weight})" for part in action.split)
    return f"respond {action.status}"


def _endpoints(action: Action, config: Config) -> Iterator[str]:
    for part in action.split if isinstance(action, Forward) else ():
        yield from _addresses(config.upstreams[part.upstream])


def _addresses(upstream: Upstream) -> Iterator[str]:
    if upstream.dns:
        yield f"{upstream.dns.name}:{upstream.dns.port}"
    for endpoint in upstream.endpoints:
        address = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
        yield f"{address}:{endpoint.port}"
