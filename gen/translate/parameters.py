"""The parameters of a class: a ConfigMap with the keys of the global one, which count before those."""

from __future__ import annotations

from gen.ir import Issue, Source
from gen.k8s import ClassParameters, IngressClass
from gen.translate.settings import Settings


def parameters_of(settings: Settings, item: IngressClass) -> Source | Issue | None:
    """The ConfigMap that a class points at, or why it does not count; None where it points at nothing.

    Shape: only the class of --ingress-class has a say, for much of what the keys mean holds for the whole proxy.
    Without a namespace of its own, as with the scope Cluster, the ConfigMap is in the namespace of gen.
    """
    wanted, name = item.spec.parameters, item.metadata.name
    if wanted is None or not _is_ours(settings, item):
        return None
    source = Source("IngressClass", "", name, "spec.parameters")
    if (wanted.kind, wanted.name) == ("IngressClass", name):
        return Issue(source, "RefCycle", "they refer to the class itself, and are ignored", "warning")
    if name != settings.ingress_class:
        return _ignored(source, f"only the class {settings.ingress_class} may have parameters")
    if wanted.kind != "ConfigMap" or wanted.api_group:
        return _ignored(source, "expected a ConfigMap")
    namespace = _namespace(settings, wanted)
    if not namespace:
        return _ignored(source, "expected the scope Namespace and a namespace")
    return Source("ConfigMap", namespace, wanted.name)


def _namespace(settings: Settings, wanted: ClassParameters) -> str:
    if wanted.scope == "Namespace":
        return wanted.namespace or ""
    return settings.own_namespace


def _is_ours(settings: Settings, item: IngressClass) -> bool:
    by_name = settings.ingress_class_by_name and item.metadata.name == settings.ingress_class
    return by_name or item.spec.controller == settings.controller_class


def _ignored(source: Source, why: str) -> Issue:
    return Issue(source, "ParametersUnsupported", f"they are ignored: {why}", "warning")
