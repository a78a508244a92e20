"""The ingress-nginx profile in tests: worlds of annotated Ingresses."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from gen.ir import Forward, Host, Route
from gen.translate import Settings, Translation
from tests.live.manifests import Manifest, endpoint_slice, ingress, manifest, path, service
from tests.translate.translating import FILES, translate

PREFIX = "nginx.ingress.kubernetes.io/"
NGINX = msgspec.structs.replace(FILES, profile="ingress-nginx", configmap="infra/gen")
STRICT = msgspec.structs.replace(FILES, configmap="infra/gen")
SERVICES = [
    item for name in ("s", "t", "u") for item in (service(name, "t1"), endpoint_slice(name, "t1", ["10.0.0.1"]))
]


def annotated(name: str, host: str, paths: Mapping[str, str], annotations: Mapping[str, str], **more: Any) -> Manifest:
    """An Ingress in t1; `paths` maps texts to Services, `=/x` is an exact path."""
    claims = [(text.removeprefix("="), to, "Exact" if text[0] == "=" else "Prefix") for text, to in paths.items()]
    rules = {host: [path(text, to, kind=kind) for text, to, kind in claims]}
    given = {PREFIX + key: text for key, text in annotations.items()}
    return ingress(name, more.pop("namespace", "t1"), rules, annotations=given, **more)


def keys(**data: str) -> Manifest:
    """The global ConfigMap, keys with underscores."""
    return configmap("gen", "infra", {name.replace("_", "-"): text for name, text in data.items()})


def configmap(name: str, namespace: str, data: Mapping[str, str]) -> Manifest:
    return manifest("v1", "ConfigMap", name, namespace, data=dict(data))


def secret(name: str, namespace: str, data: Mapping[str, str | bytes]) -> Manifest:
    encoded = {key: b64encode(text.encode() if isinstance(text, str) else text).decode() for key, text in data.items()}
    return manifest("v1", "Secret", name, namespace, type="Opaque", data=encoded)


def world(*items: Manifest, settings: Settings = NGINX) -> Translation:
    return translate([*SERVICES, *items], settings)


def host(found: Translation, name: str = "a.example") -> Host:
    return found.config.hosts[name]


def route(found: Translation, text: str = "/", name: str = "a.example") -> Route:
    return next(one for one in host(found, name).routes if one.match.path == text)


def statuses(found: Translation, name: str = "a.example") -> list[int | None]:
    """What each route answers by itself, None where it forwards."""
    return [None if isinstance(one.action, Forward) else one.action.status for one in host(found, name).routes]
