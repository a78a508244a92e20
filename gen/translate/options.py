"""The options unit: the flags, and over them the keys of the global ConfigMap."""

from __future__ import annotations

from collections.abc import Mapping

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


def options(settings: Settings, read: UnitReader) -> Result[Options]:
    """What holds for the whole proxy."""
    grounding: Grounding = read.unit("ground", "").value
    fields = dict(fields_of(grounding.settings))
    issues: list[Issue] = []
    if configmap := grounding.settings["add-headers"].value:
        fields["response_headers"] = (
            tuple((name, text) for name, text in _headers(read, settings, configmap, issues).items()) or None
        )
    if configmap := grounding.settings["proxy-set-headers"].value:
        found = _headers(read, settings, configmap, issues)
        fields["request_headers"] = tuple((name, text_of(text)) for name, text in found.items()) or None
    fields["default_certificate"], faults = _default_certificate(settings, read)
    return Result(msgspec.structs.replace(settings.options, **fields), (*issues, *faults))


def _headers(read: UnitReader, settings: Settings, configmap: str, issues: list[Issue]) -> Mapping[str, str]:
    """The headers of a ConfigMap that can be used; the others are told."""
    namespace, _, name = configmap.rpartition("/")
    namespace = namespace or settings.configmap.partition("/")[0]
    source = Source("ConfigMap", namespace, name)
    item = read.get(ConfigMap, namespace, name)
    if item is None:
        issues.append(Issue(source, "ConfigMapNotFound", "the ConfigMap with headers was not found", "warning"))
    found: dict[str, str] = {}
    for key, text in sorted(((item.data if item else None) or {}).items()):
        try:
            found[values.header_name(key)] = values.header_value(text.strip())
            text_of(text)
        except BadValue as fault:
            found.pop(key, None)
            issues.append(Issue(source.at(f"data[{key}]"), "ConfigInvalid", str(fault), "warning"))
    return found


def _default_certificate(settings: Settings, read: UnitReader) -> tuple[str, tuple[Issue, ...]]:
    """The id of the default certificate: the Secret of the flag where it can be used, else the fallback."""
    if settings.default_certificate:
        if read.unit("certificate", settings.default_certificate).value:
            read.mention("certificate", settings.default_certificate)
            return settings.default_certificate, ()
        source = Source("Flag", "", "--default-ssl-certificate")
        message = f"Secret {settings.default_certificate} cannot be used, a self-signed certificate is served"
        return "default", (Issue(source, "SecretNotFound", message, "warning"),)
    if settings.fallback_certificate is None:
        source = Source("Flag", "", "--default-ssl-certificate")
        message = "there is no default certificate, so a published placeholder stands for it"
        return "default", (Issue(source, "PlaceholderCertificate", message, "info"),)
    return "default", ()
