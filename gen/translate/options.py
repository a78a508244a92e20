"""The options unit: the flags, and over them the keys of the global ConfigMap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from gen.dialects import values
from gen.dialects.ingress_nginx.options import fields as fields_of
from gen.dialects.text import text as text_of
from gen.errors import BadValue
from gen.ir import Issue, Options, Source
from gen.k8s import ConfigMap
from gen.translate.ground import Grounding
from gen.translate.settings import Settings
from gen.translate.units import Result, UnitReader

T = TypeVar("T")


def options(settings: Settings, read: UnitReader) -> Result[Options]:
    """What holds for the whole proxy."""
    grounding: Grounding = read.unit("ground", "").value
    fields = dict(fields_of(grounding.settings))
    issues: list[Issue] = []
    headers = _Headers(grounding, read, issues)
    if grounding.settings["add-headers"].value:
        fields["response_headers"] = headers.of("add-headers", str) or None
    if grounding.settings["proxy-set-headers"].value:
        fields["request_headers"] = headers.of("proxy-set-headers", partial(text_of, braces=True)) or None
    fields["default_certificate"], faults = _default_certificate(settings, read)
    fields["told_https_port"] = settings.rules.told_https_port
    return Result(msgspec.structs.replace(settings.options, **fields), (*issues, *faults))


class _Headers:
    """The headers of ConfigMaps; those that cannot be used are told."""

    def __init__(self, grounding: Grounding, read: UnitReader, issues: list[Issue]) -> None:
        self._grounding, self._read, self._issues = grounding, read, issues

    def of(self, key: str, parse: Callable[[str], T]) -> tuple[tuple[str, T], ...]:
        """The names and values in the ConfigMap that a key names, by default in the namespace of whoever names it."""
        namespace, _, name = self._grounding.settings[key].value.rpartition("/")
        source = Source("ConfigMap", namespace or self._grounding.homes[key].namespace, name)
        item = self._read.get(ConfigMap, source.namespace, name)
        if item is None:
            message = "the ConfigMap with headers was not found"
            self._issues.append(Issue(source, "ConfigMapNotFound", message, "warning"))
        found: list[tuple[str, T]] = []
        for header, text in sorted(((item.data if item else None) or {}).items()):
            try:
                found.append((values.header_name(header), parse(values.header_value(text.strip()))))
            except BadValue as fault:
                self._issues.append(Issue(source.at(f"data[{header}]"), "ConfigInvalid", str(fault), "warning"))
        return tuple(found)


def _default_certificate(settings: Settings, read: UnitReader) -> tuple[str, tuple[Issue, ...]]:
    """The id of the default certificate: the Secret of the flag where it can be used, else the fallback."""
    if settings.default_certificate:
        if read.unit("certificate", settings.default_certificate).value:
            read.mention("certificate", settings.default_certificate)
            return settings.default_certificate, ()
        source = Source("Flag", "", "--default-ssl-certificate")
        message = f"Secret {settings.default_certificate} cannot be used, a self-signed certificate is served"
        return "default", (Issue(source, "SecretNotFound", message, "warning"),)
    if settings.fallback_certificate is None and read.has("ingresses with tls", ""):
        source = Source("Flag", "", "--default-ssl-certificate")
        message = "there is no default certificate, so a published placeholder stands for it"
        return "default", (Issue(source, "PlaceholderCertificate", message, "info"),)
    return "default", ()
