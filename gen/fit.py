"""What a backend cannot honour, said in one place: from the words of its `features`.

The words: the name of every optional field of Policy and of HostPolicy; "options.NAME" for every optional field of
Options; "regex" (a Match of that kind); "weights" (a Forward to several upstreams); "aliases" and "alias_patterns"
(Host); "dns" (Upstream.dns); "listeners" (Config.listeners).  What is missing becomes an Issue; a route whose
*security* policy is missing is closed (503) instead of opened, and so are all routes of its host or of the proxy.

A word is too coarse where a backend honours a field but not every value of it: these it names itself, as Lack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import is_
from typing import Any, TypeVar

import msgspec

from gen.backend import Lack, nothing_lacks
from gen.ir import (
    NO_HOST_POLICY,
    NO_POLICY,
    Config,
    Forward,
    Host,
    HostPolicy,
    Issue,
    Listener,
    Options,
    Policy,
    Respond,
    Route,
    Severity,
    Source,
    Upstream,
)
from gen.policy import certificates_of, upstreams_of

SECURITY = frozenset(
    (
        "allow",
        "deny",
        "auth_basic",
        "auth_external",
        "rate_limits",
        "connection_limit",
        "waf",
        "body_limit",
        "bandwidth",
        "upstream_tls",
        "directives",
        "client_certificate",
        "ciphers",
        "options.block_networks",
        "options.block_user_agents",
        "options.block_referers",
        "options.forwarded",
        "options.proxy_protocol",
        "options.tls_protocols",
        "options.tls_ciphers",
        "options.reject_unknown_names",
    )
)
"""The fields without which a route would let more through than its owner allows."""

OPTIONAL = tuple(
    name
    for name, default in zip(Options.__struct_fields__, Options.__struct_defaults__, strict=True)
    if default is None
)
"""The optional fields of Options."""

WORDS = frozenset(
    (
        *Policy.__struct_fields__,
        *HostPolicy.__struct_fields__,
        *(f"options.{name}" for name in OPTIONAL),
        *("regex", "weights", "aliases", "alias_patterns", "dns", "listeners"),
    )
)
"""All words of `features`."""

_OF_HOSTS = WORDS - {"dns", "listeners"} - {f"options.{name}" for name in OPTIONAL}
_CLOSED = Respond(503)
T = TypeVar("T")
Lacks = Callable[[Policy | HostPolicy | Options], Iterable[Lack]]


NO_WORDS: Mapping[str, str] = {}


def fit(
    config: Config, features: frozenset[str], lacks: Lacks = nothing_lacks, words: Mapping[str, str] = NO_WORDS
) -> tuple[Config, tuple[Issue, ...]]:
    """The configuration without what a backend lacks, and an issue for each thing that it does not do.

    Shape: the very same Config, hosts and upstreams where nothing has to be taken away; `words` are those of
    gen.backend.Backend.
    """
    return Fit(features, lacks, words).fit(config)


class Fit:
    """Fits one configuration after the other to a backend; the hosts are looked at only where any of them differs."""

    def __init__(
        self, features: frozenset[str], lacks: Lacks = nothing_lacks, words: Mapping[str, str] = NO_WORDS
    ) -> None:
        self._features, self._lacks, self._words = features, lacks, words
        self._hosts: tuple[Mapping[str, Host], bool, Mapping[str, Host], list[Issue]] | None = None

    def fit(self, config: Config) -> tuple[Config, tuple[Issue, ...]]:
        """What `fit` gives."""
        fitting = _Fitting(self._features, self._lacks, self._words)
        options = fitting.options(config.options)
        hosts, issues = self._fit_hosts(config.hosts, is_closed=fitting.is_closed)
        has_dns, has_listeners = "dns" in self._features, "listeners" in self._features
        upstreams = config.upstreams if has_dns else _each(config.upstreams, fitting.upstream)
        listeners = config.listeners if has_listeners else fitting.listeners(config.listeners)
        told = tuple(sorted({*fitting.issues, *issues}))
        before = (config.hosts, config.upstreams, config.listeners, config.options)
        if all(map(is_, (hosts, upstreams, listeners, options), before)):
            return config, told
        fitted = msgspec.structs.replace(config, hosts=hosts, upstreams=upstreams, listeners=listeners, options=options)
        return (_without_the_unnamed(fitted) if hosts is not config.hosts else fitted), told

    def _fit_hosts(self, given: Mapping[str, Host], *, is_closed: bool) -> tuple[Mapping[str, Host], list[Issue]]:
        if self._features >= _OF_HOSTS and self._lacks is nothing_lacks and not is_closed:
            return given, []
        if self._hosts is None or self._hosts[0] is not given or self._hosts[1] is not is_closed:
            fitting = _Fitting(self._features, self._lacks, self._words, is_closed=is_closed)
            self._hosts = given, is_closed, _each(given, fitting.host), fitting.issues
        return self._hosts[2:]


def _without_the_unnamed(config: Config) -> Config:
    """The configuration without upstreams and certificates that nothing names any more."""
    upstreams = {listener.upstream for listener in config.listeners.values()}
    certificates = {config.options.default_certificate}
    for host in config.hosts.values():
        certificates.add(host.certificate)
        for route in host.routes:
            if isinstance(route.action, Forward):
                upstreams.update(part.upstream for part in route.action.split)
            upstreams.update(upstreams_of(route.policy))
            certificates.update(certificates_of(route.policy))
    return msgspec.structs.replace(
        config, upstreams=_only(config.upstreams, upstreams), certificates=_only(config.certificates, certificates)
    )


def _only(values: Mapping[str, T], names: Iterable[str]) -> Mapping[str, T]:
    wanted = set(names)
    kept = {name: value for name, value in values.items() if name in wanted}
    return values if len(kept) == len(values) else kept


def _each(old: Mapping[str, T], change: Callable[[T], T]) -> Mapping[str, T]:
    new = {name: change(value) for name, value in old.items()}
    return old if all(map(is_, new.values(), old.values())) else new


class _Fitting:
    """The issues of one fit, while they are gathered."""

    def __init__(
        self, features: frozenset[str], lacks: Lacks, words: Mapping[str, str], *, is_closed: bool = False
    ) -> None:
        self._features, self._lacks, self._words = features, lacks, words
        self._lacks_regex = "regex" not in features
        self._lacks_weights = "weights" not in features
        self.is_closed = is_closed
        self.issues: list[Issue] = []

    def options(self, options: Options) -> Options:
        lacking = [name for name in OPTIONAL if f"options.{name}" not in self._features]
        wanted = [name for name in lacking if getattr(options, name) is not None]
        for name in wanted:
            is_security = f"options.{name}" in SECURITY
            self.is_closed |= is_security
            effect = "is not supported, so all routes answer 503" if is_security else "is not supported"
            severity: Severity = "error" if is_security else "warning"
            self._say(Source("ConfigMap", "", "options"), severity, f"{name} {effect}")
        for lack in self._lacks(options):
            self.is_closed |= lack.closes
            self._say_lack(Source("ConfigMap", "", "options"), lack, "all routes answer")
        return msgspec.structs.replace(options, **dict.fromkeys(wanted)) if wanted else options

    def host(self, host: Host) -> Host:
        if self.is_closed:
            return _closed(host)
        if host.policy is not NO_HOST_POLICY or host.aliases or host.alias_patterns:
            host = self._names(host)
        if not self._is_plain_enough(host):
            routes = tuple(fitted for route in host.routes if (fitted := self._route(route)))
            if len(routes) < len(host.routes) or not all(map(is_, routes, host.routes)):
                return msgspec.structs.replace(host, routes=routes)
        return host

    def _names(self, host: Host) -> Host:
        """A host without the names and policies that lack."""
        source = host.sources[0] if host.sources else Source("Host", "", host.name)
        changed: dict[str, Any] = {
            name: () for name in ("aliases", "alias_patterns") if getattr(host, name) and name not in self._features
        }
        for name in changed:
            self._say(source, "warning", f"{name} are not supported, so the host has no further names")
        lacking, is_closed = self._lacking(host.policy, source, "the host")
        if lacking:
            changed["policy"] = msgspec.structs.replace(host.policy, **dict.fromkeys(lacking))
        fitted = msgspec.structs.replace(host, **changed) if changed else host
        return _closed(fitted) if is_closed else fitted

    def _lacking(self, policy: Policy | HostPolicy, source: Source, what: str) -> tuple[list[str], bool]:
        """The fields of a policy that are to be taken away, and whether that closes it; all is told."""
        wanted = [name for name in policy.__struct_fields__ if getattr(policy, name) is not None]
        lacking = [name for name in wanted if name not in self._features]
        for name in lacking:
            if name in SECURITY:
                self._say(source, "error", f"{name} is not supported{self._because(name)}, so {what} answers 503")
            else:
                self._say(source, "warning", f"{name} is not supported and has no effect{self._because(name)}")
        is_closed = not SECURITY.isdisjoint(lacking)
        for lack in self._lacks(policy):
            self._say_lack(source, lack, f"{what} answers")
            if lack.closes:
                lacking.append(lack.field.partition(".")[0])
                is_closed = True
        return lacking, is_closed

    def _because(self, name: str) -> str:
        """Why a field lacks, where the backend says so."""
        return f" ({self._words[name]})" if name in self._words else ""

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
        lacking, is_closed = self._lacking(route.policy, route.source, "the route")
        if not lacking:
            return route
        action = _CLOSED if is_closed else route.action
        fitting = msgspec.structs.replace(route.policy, **dict.fromkeys(lacking))
        return msgspec.structs.replace(route, policy=fitting, action=action)

    def _say_lack(self, source: Source, lack: Lack, answers: str) -> None:
        ending = f", so {answers} 503" if lack.closes else ""
        self._say(source, "error" if lack.closes else "warning", f"{lack.field} {lack.instead}{ending}")

    def _say(self, source: Source, severity: Severity, message: str) -> None:
        self.issues.append(Issue(source, "ProxyLacks", f"this proxy cannot do it: {message}", severity))


def _closed(host: Host) -> Host:
    """The host with nothing but 503."""
    routes = tuple(msgspec.structs.replace(route, action=_CLOSED, policy=NO_POLICY) for route in host.routes)
    return msgspec.structs.replace(host, routes=routes, policy=NO_HOST_POLICY)
