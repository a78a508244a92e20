"""The whole translation: keeps the units up to date and puts their values together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from gen.ir import CATCH_ALL, Certificate, Config, Forward, Host, Issue, Listener, Options, Source, Upstream
from gen.store import Key, Store
from gen.translate.certificate import certificate
from gen.translate.host import host
from gen.translate.ingress import ingress
from gen.translate.options import options
from gen.translate.placeholder import PLACEHOLDER
from gen.translate.settings import Settings
from gen.translate.units import Unit, Units
from gen.translate.upstream import default, upstream

T = TypeVar("T")
_OPTIONS = Unit("options", "")
_CATCH_ALL = Unit("host", CATCH_ALL)


class Translation(Struct, frozen=True):
    """A Config and all issues found on the way to it, sorted."""

    config: Config
    issues: tuple[Issue, ...]


class Translator:
    """Translates one store again and again; what did not change stays the same object."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._units = Units(
            {
                "ingress": partial(ingress, settings),
                "certificate": certificate,
                "default": partial(default, settings),
                "host": partial(host, settings),
                "options": lambda read, _: options(settings, read),
                "upstream": partial(upstream, settings),
            }
        )
        self._hosts: Mapping[str, Host] = {}
        self._upstreams: Mapping[str, Upstream] = {}
        self._certificates: Mapping[str, Certificate] = {}
        self._config: Config | None = None
        self._outspoken: dict[Unit, tuple[Issue, ...]] = {}
        self._faulty: set[Unit] = set()

    def translate(
        self, store: Store, touched: frozenset[Key] | None = None, *, now: float | None = None
    ) -> Translation:
        """The configuration for what the store holds.

        Shape: `touched` is what `Store.apply` gave since the last call, None for everything.  `now`, in seconds, is
        when certificates are judged; without it their validity is not.
        """
        roots = {Unit("host", name) for name in store.keys("ingresses by host")} | {_OPTIONS, _CATCH_ALL}
        changed = self._units.update(store, touched, frozenset(roots))
        self._gather(changed)
        config = self._assembled(changed)
        issues = {*self._spoken(), *_expired(config.certificates.values(), now)}
        return Translation(config, tuple(sorted(issues)))

    def _gather(self, changed: Iterable[Unit]) -> None:
        for unit in changed:
            result = self._units.result(unit)
            self._outspoken.pop(unit, None)
            self._faulty.discard(unit)
            if result and result.issues:
                self._outspoken[unit] = result.issues
            if result and result.faults:
                self._faulty.add(unit)

    def _assembled(self, changed: frozenset[Unit]) -> Config:
        values: dict[str, dict[str, Any]] = {"host": {}, "upstream": {}, "certificate": {}}
        for unit in changed:
            if unit.kind in {"host", "upstream"}:
                result = self._units.result(unit)
                values[unit.kind][unit.name] = result.value if result else None
        self._hosts = _merged(self._hosts, values["host"])
        self._upstreams = _merged(self._upstreams, values["upstream"])
        chosen: Options = self._value(_OPTIONS)
        self._certificates = self._used_certificates(chosen)
        old = self._config
        config = Config(self._hosts, self._upstreams, self._certificates, _NO_LISTENERS, chosen)
        if old is None or any(getattr(old, field) is not getattr(config, field) for field in Config.__struct_fields__):
            self._config = config
            return config
        return old

    def _value(self, unit: Unit) -> Any:  # noqa: ANN401
        result = self._units.result(unit)
        return result.value if result else None

    def _used_certificates(self, chosen: Options) -> Mapping[str, Certificate]:
        """The certificates that hosts name, and the default one."""
        names = {found.certificate for found in self._hosts.values()} | {chosen.default_certificate}
        used: dict[str, Certificate] = {}
        for name in sorted(names - {""}):
            if name == "default":
                fallback = self._settings.fallback_certificate or PLACEHOLDER
                used[name] = msgspec.structs.replace(fallback, id="default")
            else:
                used[name] = self._value(Unit("certificate", name))
        return self._certificates if used == self._certificates else used

    def _spoken(self) -> Iterator[Issue]:
        for issues in self._outspoken.values():
            yield from issues
        for unit in self._faulty:
            result = self._units.result(unit)
            for source in self._mentions(unit) if result else ():
                for code, message in result.faults if result else ():
                    yield Issue(source, code, message)

    def _mentions(self, unit: Unit) -> Iterator[Source]:
        """The places that mention a unit, to report its faults there."""
        for mentioner in self._units.mentioners(unit):
            found: Host | None = self._value(mentioner)
            for route in found.routes if found else ():
                if isinstance(route.action, Forward) and any(part.upstream == unit.name for part in route.action.split):
                    yield route.source


_NO_LISTENERS: Mapping[str, Listener] = {}


def _merged(old: Mapping[str, T], changed: Mapping[str, T | None]) -> Mapping[str, T]:
    """The mapping with some entries replaced or (None) removed, sorted; the same object where nothing differs."""
    if all(old.get(name) is value for name, value in changed.items()):
        return old
    new, grew = dict(old), False
    for name, value in changed.items():
        if value is None:
            new.pop(name, None)
        else:
            grew |= name not in new
            new[name] = value
    return dict(sorted(new.items())) if grew else new


def _expired(certificates: Iterable[Certificate], now: float | None) -> Iterator[Issue]:
    for found in certificates if now is not None else ():
        if now > found.not_after:
            yield Issue(found.source, "CertExpired", "the certificate has expired; it is served all the same", "warning")
        elif now < found.not_before:
            yield Issue(found.source, "CertNotYetValid", "the certificate is not valid yet; it is served", "warning")
