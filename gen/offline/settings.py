"""The keys of the global ConfigMap: what each one is worth, and who said so."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gen.dialects.ingress_nginx.configmap import BY_NAME, effective


class SettingRow(Struct, frozen=True):
    """One key; `origin` is `default`, `profile`, or the ConfigMap as `ConfigMap namespace/name`."""

    key: str
    value: str
    origin: str
    doc: str


def settings_table(data: Mapping[str, str] | None, *, profile: str, configmap: str) -> tuple[SettingRow, ...]:
    """Every key with its effective value, sorted; a value that cannot be used leaves the default.

    Shape: `data` is that of the ConfigMap, None where there is none.
    """
    values, _ = effective(data or {}, is_spec=profile == "spec")
    origins = {"ConfigMap": f"ConfigMap {configmap}", "profile": f"profile {profile}"}
    return tuple(
        SettingRow(key, found.text, origins.get(found.origin, found.origin), BY_NAME[key].doc)
        for key, found in sorted(values.items())
    )
