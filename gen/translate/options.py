"""The options unit: the flags, and over them the keys of the global ConfigMap that gen knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from gen.dialects import values
from gen.errors import BadValue
from gen.ir import Issue, Options, Source
from gen.k8s import ConfigMap
from gen.translate.settings import Settings
from gen.translate.units import Result, UnitReader


def _workers(text: str) -> Mapping[str, object]:
    if text == "auto":
        return {"workers": 0}
    count = values.integer(text)
    if not 1 <= count <= 1024:
        raise BadValue(
            "ConfigInvalid", f"{values.shown(text)} is not a number of processes, expected 1 to 1024 or auto"
        )
    return {"workers": count}


KEYS: Mapping[str, Callable[[str], Mapping[str, object]]] = {
    "worker-processes": _workers,
}
"""A key of the ConfigMap and what it makes of its value: fields of ir.Options."""


def options(settings: Settings, read: UnitReader) -> Result[Options]:
    """What holds for the whole proxy."""
    fields: dict[str, object] = {}
    issues: list[Issue] = []
    if settings.configmap:
        namespace, _, name = settings.configmap.partition("/")
        source = Source("ConfigMap", namespace, name)
        found = read.get(ConfigMap, namespace, name)
        if found is None:
            issues.append(Issue(source, "ConfigMapNotFound", "the global ConfigMap was not found", "info"))
        _read_keys((found.data if found else None) or {}, source, fields, issues)
    fields["default_certificate"], faults = _default_certificate(settings, read)
    return Result(msgspec.structs.replace(settings.options, **fields), (*issues, *faults))


def _read_keys(data: Mapping[str, str], source: Source, fields: dict[str, object], issues: list[Issue]) -> None:
    for key, text in sorted(data.items()):
        place = source.at(f"data[{key}]")
        if key not in KEYS:
            message = f"{values.shown(key)} is not a key that gen reads"
            issues.append(Issue(place, "ConfigUnsupported", message, "warning"))
            continue
        try:
            fields.update(KEYS[key](text.strip()))
        except BadValue as fault:
            issues.append(Issue(place, "ConfigInvalid", f"{fault}; the default stays", "warning"))


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
