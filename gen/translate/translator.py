"""The whole translation: keeps the units up to date and puts their values together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from gen import selector
from gen.dialects.ingress_nginx.configmap import effective
from gen.ir import (
    CATCH_ALL,
    NO_POLICY,
    Certificate,
    Config,
    Forward,
    Host,
    Issue,
    Listener,
    Match,
    Options,
    Respond,
    Route,
    Source,
    Upstream,
)
from gen.policy import certificates_of, upstreams_of
from gen.store import IndexName, Key, Lookup, Store
from gen.translate.certificate import certificate
from gen.translate.ground import ground, grounding
from gen.translate.host import host
from gen.translate.ingress import ingress
from gen.translate.options import options
from gen.translate.placeholder import PLACEHOLDER
from gen.translate.settings import Settings
from gen.translate.units import Kind, Recipe, Unit, Units
from gen.translate.upstream import default, upstream

T = TypeVar("T")
_OPTIONS = Unit("options", "")
_CATCH_ALL = Unit("host", CATCH_ALL)
_EMPTY = Host(CATCH_ALL, (Route(Match("prefix", "/"), Respond(503), Source("gen", "", "default")),))
_OF_HOSTS: tuple[IndexName, ...] = ("ingresses by host", "ingresses by www")
"""Indexes whose keys are names of hosts."""
_NO_LISTENERS: Mapping[str, Listener] = {}
_Values = Mapping[Kind, Mapping[str, Any]]
"""Values by kind and name of their unit; None is the value of what is gone."""


class Translation(Struct, frozen=True):
    """A Config and all issues found on the way to it, sorted."""

    config: Config
    issues: tuple[Issue, ...]


class Translator:
    """Translates one store again and again; what did not change stays the same object.

    Raises: UsageError when the settings hold a label selector that is none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._units = Units(
            {
                "ground": Recipe(
                    lambda read, _: ground(settings, read),
                    lambda _: grounding(settings, effective({}, is_spec=settings.rules.is_strict)[0]),
                ),
                "ingress": Recipe(partial(ingress, settings), lambda _: None),
                "certificate": Recipe(certificate, lambda _: None),
                "default": Recipe(partial(default, settings), lambda _: ""),
                "host": Recipe(partial(host, settings), lambda name: None if name else _EMPTY),
                "options": Recipe(lambda read, _: options(settings, read), lambda _: settings.options),
                "upstream": Recipe(partial(upstream, settings), Upstream),
            }
        )
        selector.parse(settings.namespace_selector)
        fallback = settings.fallback_certificate or PLACEHOLDER
        self._fallback = msgspec.structs.replace(fallback, id="default")
        self._config = Config({}, {}, {}, _NO_LISTENERS, settings.options)
        self._outspoken: dict[Unit, tuple[Issue, ...]] = {}
        self._faulty: set[Unit] = set()

    def translate(
        self, store: Store, touched: frozenset[Key] | None = None, *, now: float | None = None
    ) -> Translation:
        """The configuration for what the store holds.

        Shape: `touched` is what `Store.apply` gave since the last call, None for everything.  `now`, in seconds, is
        when certificates are judged; without it their validity is not.
        """
        if not self._units.roots:
            touched = None
        come, gone = self._roots(store, touched)
        changed = self._units.update(store, touched, come=come, gone=gone)
        self._config = self._assembled(self._listen(changed))
        issues = {*self._issues(), *_expired(self._config.certificates.values(), now)}
        return Translation(self._config, tuple(sorted(issues)))

    def settle(self) -> None:
        """Work out now what the next change would have to wait for."""
        self._units.settle()

    def _roots(self, store: Store, touched: frozenset[Key] | None) -> tuple[Collection[Unit], Collection[Unit]]:
        """The units that must exist for their own sake and may be new, and those that need not any more."""
        if touched is None:
            hosts = dict.fromkeys(Unit("host", name) for index in _OF_HOSTS for name in store.keys(index))
            roots = _OPTIONS, _CATCH_ALL, *hosts
            return roots, self._units.roots.difference(roots)
        names = {key.key for key in touched if isinstance(key, Lookup) and key.index in _OF_HOSTS and key.key}
        come = {Unit("host", name) for name in names if any(store.has(Lookup(index, name)) for index in _OF_HOSTS)}
        return come, {Unit("host", name) for name in names} - come

    def _listen(self, changed: Iterable[Unit]) -> _Values:
        """Note the issues of what changed, and give its values."""
        values: defaultdict[Kind, dict[str, Any]] = defaultdict(dict)
        for unit in changed:
            result = self._units.result(unit)
            values[unit.kind][unit.name] = result.value if result else None
            self._outspoken.pop(unit, None)
            self._faulty.discard(unit)
            if result and result.issues:
                self._outspoken[unit] = result.issues
            if result and result.faults and unit.kind == "upstream":
                self._faulty.add(unit)
        return values

    def _value(self, unit: Unit) -> Any:
        result = self._units.result(unit)
        return result.value if result else None

    # -------------------------------------------------------------- the configuration

    def _assembled(self, changed: _Values) -> Config:
        old, chosen = self._config, self._value(_OPTIONS)
        hosts = _merged(old.hosts, changed.get("host", {}))
        upstreams = _merged(old.upstreams, changed.get("upstream", {}))
        certificates = old.certificates
        if changed.keys() - {"upstream"}:
            certificates = self._certificates(hosts, chosen)
        parts = hosts, upstreams, certificates, chosen
        if all(new is was for new, was in zip(parts, _parts(old), strict=True)):
            return old
        return Config(hosts, upstreams, certificates, _NO_LISTENERS, chosen)

    def _certificates(self, hosts: Mapping[str, Host], chosen: Options) -> Mapping[str, Certificate]:
        """The certificates that hosts name, and the default one."""
        names = {chosen.default_certificate, *(found.certificate for found in hosts.values())} - {""}
        for found in hosts.values():
            for route in found.routes:
                if route.policy is not NO_POLICY and route.policy.upstream_tls is not None:
                    names.update(certificates_of(route.policy))
        used: Mapping[str, Certificate] = {
            name: self._fallback if name == "default" else self._value(Unit("certificate", name))
            for name in sorted(names)
        }
        return self._config.certificates if used == self._config.certificates else used

    # -------------------------------------------------------------- issues

    def _issues(self) -> Iterator[Issue]:
        for issues in self._outspoken.values():
            yield from issues
        for unit in self._faulty:
            yield from self._faults(unit)

    def _faults(self, unit: Unit) -> Iterator[Issue]:
        """The faults of an upstream, reported at the routes that lead to it."""
        result = self._units.result(unit)
        for mentioner in self._units.mentioners(unit) if result else ():
            found: Host | None = self._value(mentioner)
            for route in found.routes if found else ():
                if unit.name in _named(route):
                    for code, message in result.faults if result else ():
                        yield Issue(route.source, code, message)


def _named(route: Route) -> Iterator[str]:
    """The upstreams that a route names."""
    if isinstance(route.action, Forward):
        for part in route.action.split:
            yield part.upstream
    yield from upstreams_of(route.policy)


def _parts(config: Config) -> tuple[object, ...]:
    return config.hosts, config.upstreams, config.certificates, config.options


def _merged(old: Mapping[str, T], changed: Mapping[str, T | None]) -> Mapping[str, T]:
    """The mapping with some entries replaced or (None) removed, sorted; the same object where nothing differs."""
    if all(old.get(name) is value for name, value in changed.items()):
        return old
    new = dict(old)
    for name, value in changed.items():
        if value is None:
            new.pop(name, None)
        else:
            new[name] = value
    return new if changed.keys() <= old.keys() else dict(sorted(new.items()))


def _expired(certificates: Iterable[Certificate], now: float | None) -> Iterator[Issue]:
    if now is None:
        return
    for found in certificates:
        if now > found.not_after:
            yield Issue(found.source, "CertExpired", "the certificate has expired; it is served", "warning")
        elif now < found.not_before:
            yield Issue(found.source, "CertNotYetValid", "the certificate is not valid yet; it is served", "warning")
