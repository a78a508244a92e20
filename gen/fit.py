"""What a backend cannot honour, said in one place: from the words of its `features`.

The words: the name of every optional field of ir.Policy; "regex" (a Match of that kind); "weights" (a Forward to
several upstreams); "dns" (Upstream.dns); "listeners" (Config.listeners).  What is missing becomes an Issue; a route
whose *security* policy is missing is closed (503) instead of opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from gen.ir import Config, Forward, Host, Issue, Listener, Policy, Respond, Route, Severity, Source, Upstream

WORDS = frozenset((*Policy.__struct_fields__, "regex", "weights", "dns", "listeners"))
SECURITY = frozenset(("allow", "deny", "auth_basic", "auth_external", "client_cert"))
"""Fields of ir.Policy that keep somebody out."""

T = TypeVar("T")
_CLOSED = Respond(503)


def fit(config: Config, features: frozenset[str]) -> tuple[Config, tuple[Issue, ...]]:
    """The configuration without what a backend lacks, and an issue for each thing that was taken away.

    Shape: the very same Config, hosts and upstreams where nothing is lacking.
    """
    if features >= WORDS:
        return config, ()
    fitting = _Fitting(features)
    fitted = msgspec.structs.replace(
        config,
        hosts=_each(config.hosts, fitting.host),
        upstreams=_each(config.upstreams, fitting.upstream),
        listeners=config.listeners if "listeners" in features else fitting.no_listeners(config),
    )
    is_same = all(getattr(fitted, name) is getattr(config, name) for name in Config.__struct_fields__)
    return (config if is_same else fitted), tuple(sorted(set(fitting.issues)))


def _each(old: Mapping[str, T], change: Callable[[T], T]) -> Mapping[str, T]:
    new = {name: change(value) for name, value in old.items()}
    return old if all(new[name] is value for name, value in old.items()) else new


class _Fitting:
    """The issues of one fit, while they are gathered."""

    def __init__(self, features: frozenset[str]) -> None:
        self._features = features
        self.issues: list[Issue] = []

    def host(self, host: Host) -> Host:
        routes = tuple(fitted for route in host.routes if (fitted := self._route(route)))
        is_same = len(routes) == len(host.routes) and all(map(lambda a, b: a is b, routes, host.routes))
        return host if is_same else msgspec.structs.replace(host, routes=routes)

    def upstream(self, upstream: Upstream) -> Upstream:
        if upstream.dns is None or "dns" in self._features:
            return upstream
        self._say(
            upstream.source,
            "error",
            f"the name {upstream.dns.name} cannot be resolved by this proxy, so it answers 503",
        )
        return msgspec.structs.replace(upstream, dns=None)

    def no_listeners(self, config: Config) -> Mapping[str, Listener]:
        for name, listener in config.listeners.items():
            self._say(
                Source("Listener", "", name), "error", f"{listener.protocol} listeners are not supported by this proxy"
            )
        return {} if config.listeners else config.listeners

    def _route(self, route: Route) -> Route | None:
        if route.match.kind == "regex" and "regex" not in self._features:
            self._say(route.source, "error", "regular expressions are not supported by this proxy")
            return None
        return self._policy(self._weights(route))

    def _weights(self, route: Route) -> Route:
        action = route.action
        if not isinstance(action, Forward) or len(action.split) < 2 or "weights" in self._features:
            return route
        heaviest = max(action.split, key=lambda part: part.weight)
        self._say(route.source, "warning", f"weights are not supported by this proxy, all goes to {heaviest.upstream}")
        return msgspec.structs.replace(route, action=Forward((heaviest,)))

    def _policy(self, route: Route) -> Route:
        lacking = {
            name
            for name in route.policy.__struct_fields__
            if name not in self._features and getattr(route.policy, name) is not None
        }
        if not lacking:
            return route
        for name in sorted(lacking):
            is_closed = name in SECURITY
            effect = "so the route answers 503" if is_closed else "so it has no effect"
            self._say(
                route.source, "error" if is_closed else "warning", f"{name} is not supported by this proxy, {effect}"
            )
        policy = msgspec.structs.replace(route.policy, **dict.fromkeys(lacking))
        return msgspec.structs.replace(route, policy=policy, action=_CLOSED if lacking & SECURITY else route.action)

    def _say(self, source: Source, severity: Severity, message: str) -> None:
        self.issues.append(Issue(source, "ProxyLacks", message, severity))
