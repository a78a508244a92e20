"""The keys of the global ConfigMaps: what each one is worth, and who said so."""

from __future__ import annotations

from msgspec import Struct

from gen.dialects.ingress_nginx.configmap import BY_NAME
from gen.store import Reader, Store
from gen.translate.ground import ground
from gen.translate.settings import Settings


class SettingRow(Struct, frozen=True):
    """One key; `origin` is `default`, `profile`, or the ConfigMap as `ConfigMap namespace/name`."""

    key: str
    value: str
    origin: str
    doc: str


def settings_table(settings: Settings, store: Store) -> tuple[SettingRow, ...]:
    """Every key with its effective value, sorted; a value that cannot be used leaves the default."""
    found = ground(settings, Reader(store)).value

    def origin(key: str) -> str:
        said = found.settings[key].origin
        if said == "ConfigMap":
            return f"ConfigMap {found.homes[key].namespace}/{found.homes[key].name}"
        return f"profile {settings.profile}" if said == "profile" else said

    return tuple(
        SettingRow(key, value.text, origin(key), BY_NAME[key].doc) for key, value in sorted(found.settings.items())
    )
