"""The ground unit: the global ConfigMap, read once for all annotations and for the options."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gen.dialects import ingress_nginx
from gen.dialects.annotation import Effects
from gen.dialects.ingress_nginx.configmap import Effective, effective
from gen.dialects.ingress_nginx.ground import Ground
from gen.ir import Issue, Source
from gen.k8s import ConfigMap
from gen.translate.settings import Settings
from gen.translate.units import Result, UnitReader

_NOBODY = Source("gen", "", "default")


class Grounding(Struct, frozen=True):
    """What holds for all annotations, what it means without any, and every key of the ConfigMap with its origin."""

    ground: Ground
    without: Effects
    settings: Mapping[str, Effective]


def ground(settings: Settings, read: UnitReader) -> Result[Grounding]:
    """What the global ConfigMap says, over the defaults of the profile."""
    issues: list[Issue] = []
    data: Mapping[str, str] = {}
    if settings.configmap:
        namespace, _, name = settings.configmap.partition("/")
        source = Source("ConfigMap", namespace, name)
        found = read.get(ConfigMap, namespace, name)
        data = (found.data if found else None) or {}
        if found is None:
            issues.append(Issue(source, "ConfigMapNotFound", "the global ConfigMap was not found", "info"))
    values, faults = effective(data, is_spec=settings.rules.is_strict)
    issues.extend(Issue(source.at(f"data[{key}]"), code, message, "warning") for key, code, message in faults)
    return Result(grounding(settings, values), tuple(issues))


def grounding(settings: Settings, values: Mapping[str, Effective]) -> Grounding:
    """The ground for annotations from the keys of the ConfigMap."""
    plain = {key: found.value for key, found in values.items()} | {"https-port": settings.options.https_port}
    base = Ground(
        plain,
        settings.annotations_prefix,
        is_strict=settings.rules.is_strict,
        allow_loopback=settings.allow_loopback,
    )
    return Grounding(base, ingress_nginx.read(None, _NOBODY, base), values)
