"""What a backend cannot honour, said in one place: from the words of its `features`.

The words: the name of every optional field of ir.Policy; "regex" (a Match of that kind); "weights" (a Forward to
several upstreams); "dns" (Upstream.dns); "listeners" (Config.listeners).  What is missing becomes an Issue; a route
whose *security* policy is missing is closed (503) instead of opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import is_
from typing import TypeVar

import msgspec

from gen.ir import NO_POLICY, Config, Forward, Host, Issue, Listener, Policy, Respond, Route, Severity, Source, Upstream

SECURITY = frozenset(
    ("allow", "deny", "auth_basic", "auth_external", "rate_limits", "connection_limit", "bandwidth", "upstream_tls")
)
"""The fields of ir.Policy without which a route would let more through than its owner allows."""

_OF_ROUTES = frozenset((*Policy.__struct_fields__, "regex", "weights"))
_CLOSED = Respond(503)
T = TypeVar("T")


def fit(config: Config, features: frozenset[str]) -> tuple[Config, tuple[Issue, ...]]:
    """The configuration without what a backend lacks, and an issue for each thing that was taken away.

    Shape: the very same Config, hosts and upstreams where nothing is lacking.
    """
    fitting = _Fitting(features)
    hosts = config.hosts if features >= _OF_ROUTES else _each(config.hosts, fitting.host)
    upstreams = config.upstreams if "dns" in features else _each(config.upstreams, fitting.upstream)
    listeners = config.listeners if "listeners" in features else fitting.listeners(config.listeners)
    if not fitting.issues:
        return config, ()
    fitted = msgspec.structs.replace(config, hosts=hosts, upstreams=upstreams, listeners=listeners)
    return fitted, tuple(sorted(set(fitting.issues)))


def _each(old: Mapping[str, T], change: Callable[[T], T]) -> Mapping[str, T]:
    new = {name: change(value) for name, value in old.items()}
    return old if all(map(is_, new.values(), old.values())) else new


class _Fitting:
    """The issues of one fit, while they are gathered."""

    def __init__(self, features: frozenset[str]) -> None:
        self._features = features
        self._lacks_regex = "regex" not in features
        self._lacks_weights = "weights" not in features
        self.issues: list[Issue] = []

    def host(self, host: Host) -> Host:
        if not self._is_plain_enough(host):
            routes = tuple(fitted for route in host.routes if (fitted := self._route(route)))
            if len(routes) < len(host.routes) or not all(map(is_, routes, host.routes)):
                return msgspec.structs.replace(host, routes=routes)
        return host

    def _is_plain_enough(self, host: Host) -> bool:
        """Whether no route has anything to look at: one loop, since it runs over all hosts at every change."""
        for route in host.routes:
            if route.policy is not NO_POLICY or (self._lacks_regex and route.match.kind == "regex"):
                return False
            action = route.action
            if self._lacks_weights and isinstance(action, Forward) and len(action.split) > 1:
                return False
        return True

    def upstream(self, upstream: Upstream) -> Upstream:
        if upstream.dns is None:
            return upstream
        self._say(upstream.source, "error", f"the name {upstream.dns.name} cannot be resolved, so it answers 503")
        return msgspec.structs.replace(upstream, dns=None)

    def listeners(self, listeners: Mapping[str, Listener]) -> Mapping[str, Listener]:
        for name, listener in listeners.items():
            self._say(Source("Listener", "", name), "error", f"there are no listeners for {listener.protocol}")
        return {} if listeners else listeners

    def _route(self, route: Route) -> Route | None:
        if self._lacks_regex and route.match.kind == "regex":
            self._say(route.source, "error", "there are no regular expressions for paths, so the route is left out")
            return None
        if self._lacks_weights and isinstance(route.action, Forward) and len(route.action.split) > 1:
            route = self._unweighted(route, route.action)
        return route if route.policy is NO_POLICY else self._policy(route)

    def _unweighted(self, route: Route, action: Forward) -> Route:
        heaviest = max(action.split, key=lambda part: part.weight)
        self._say(route.source, "warning", f"there are no weights, so all goes to {heaviest.upstream}")
        return msgspec.structs.replace(route, action=Forward((heaviest,)))

    def _policy(self, route: Route) -> Route:
        policy = route.policy
        wanted = [name for name in policy.__struct_fields__ if getattr(policy, name) is not None]
        lacking = [name for name in wanted if name not in self._features]
        if not lacking:
            return route
        for name in lacking:
            if name in SECURITY:
                self._say(route.source, "error", f"{name} is not supported, so the route answers 503")
            else:
                self._say(route.source, "warning", f"{name} is not supported and has no effect")
        action = route.action if SECURITY.isdisjoint(lacking) else _CLOSED
        fitting = msgspec.structs.replace(policy, **dict.fromkeys(lacking))
        return msgspec.structs.replace(route, policy=fitting, action=action)

    def _say(self, source: Source, severity: Severity, message: str) -> None:
        self.issues.append(Issue(source, "ProxyLacks", f"this proxy cannot do it: {message}", severity))
