"""The ground unit: the global ConfigMaps, read once for all annotations and for the options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from gen.dialects import ingress_nginx
from gen.dialects.annotation import Effects
from gen.dialects.ingress_nginx.configmap import Effective, effective
from gen.dialects.ingress_nginx.ground import Ground
from gen.ir import Issue, Source
from gen.k8s import ConfigMap, IngressClass
from gen.store import Reader
from gen.translate.parameters import parameters_of
from gen.translate.settings import Settings
from gen.translate.units import Result

_NOBODY = Source("gen", "", "default")


class Grounding(Struct, frozen=True):
    """What holds for all annotations, what it means without any, and every key of the ConfigMaps with its origin.

    Shape: `homes` says which ConfigMap a key comes from, for those that come from one.
    """

    ground: Ground
    without: Effects
    settings: Mapping[str, Effective]
    homes: Mapping[str, Source] = {}


def ground(settings: Settings, read: Reader) -> Result[Grounding]:
    """What the global ConfigMap says, over the defaults of the profile, and the parameters of our class over it."""
    issues: list[Issue] = []
    data: dict[str, str] = {}
    homes: dict[str, Source] = {}
    for source, what in _configmaps(settings, read):
        found = read.get(ConfigMap, source.namespace, source.name)
        if found is None:
            issues.append(Issue(source, "ConfigMapNotFound", f"{what} was not found", "info"))
        for key, text in ((found.data if found else None) or {}).items():
            data[key], homes[key] = text, source
    values, faults = effective(data, is_spec=settings.rules.is_strict)
    issues.extend(Issue(homes[key].at(f"data[{key}]"), code, message, "warning") for key, code, message in faults)
    return Result(grounding(settings, values, homes), tuple(issues))


def _configmaps(settings: Settings, read: Reader) -> Iterator[tuple[Source, str]]:
    """The ConfigMaps with global keys, and what they are; what comes later counts more."""
    if settings.configmap:
        namespace, _, name = settings.configmap.partition("/")
        yield Source("ConfigMap", namespace, name), "the global ConfigMap"
    item = read.get(IngressClass, "", settings.ingress_class)
    parameters = parameters_of(settings, item) if item else None
    if isinstance(parameters, Source):
        yield parameters, f"the ConfigMap with the parameters of the class {settings.ingress_class}"


def grounding(settings: Settings, values: Mapping[str, Effective], homes: Mapping[str, Source] = {}) -> Grounding:
    """The ground for annotations from the keys of the ConfigMaps."""
    plain = {key: found.value for key, found in values.items()} | {"https-port": settings.options.https_port}
    base = Ground(
        plain,
        settings.annotations_prefix,
        is_strict=settings.rules.is_strict,
        allow_loopback=settings.allow_loopback,
    )
    return Grounding(base, ingress_nginx.read(None, _NOBODY, base), values, homes)
