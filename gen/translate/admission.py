"""Which Ingresses count: class, namespace, deletion.  The rest is somebody else's, and only mentioned."""

from __future__ import annotations

from gen import selector
from gen.dialects.values import shown
from gen.ir import Issue, Source
from gen.k8s import Ingress, IngressClass, Namespace
from gen.store import Reader
from gen.translate.parameters import parameters_of
from gen.translate.settings import Settings

_LEGACY_CLASS = "kubernetes.io/ingress.class"
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


def refusal(settings: Settings, read: Reader, item: Ingress, source: Source) -> Issue | None:
    """Why an Ingress does not count, None when it does; `source` is the Ingress.

    Source: reference of ingress-nginx, "which Ingresses count".
    """
    if item.metadata.deletion_timestamp:
        return Issue(source.at("metadata.deletionTimestamp"), "Deleted", "it is being deleted", "info")
    if not _is_watched(settings, read, source.namespace):
        return Issue(source.at("metadata.namespace"), "NamespaceNotWatched", "its namespace is not watched", "info")
    if not _is_ours(settings, read, item):
        wanted = item.spec.ingress_class_name or _legacy_class(item)
        message = f"the class {shown(wanted)} is not ours" if wanted else "it has no class"
        return Issue(source.at("spec.ingressClassName"), "ClassNotOurs", message, "info")
    if settings.disable_catch_all and item.spec.default_backend:
        return Issue(source.at("spec.defaultBackend"), "CatchAllDisabled", "catch-all Ingresses are switched off")
    return None


def class_issues(settings: Settings, read: Reader, item: Ingress) -> tuple[Issue, ...]:
    """What is wrong with the parameters of an Ingress's class."""
    found = read.get(IngressClass, "", item.spec.ingress_class_name) if item.spec.ingress_class_name else None
    parameters = parameters_of(settings, found) if found else None
    return (parameters,) if isinstance(parameters, Issue) else ()


def _is_watched(settings: Settings, read: Reader, namespace: str) -> bool:
    if settings.watch_namespaces and namespace not in settings.watch_namespaces:
        return False
    if not settings.namespace_selector:
        return True
    found = read.get(Namespace, "", namespace)
    return selector.parse(settings.namespace_selector).matches(found.metadata.labels if found else None)


def _legacy_class(item: Ingress) -> str:
    return (item.metadata.annotations or {}).get(_LEGACY_CLASS, "")


def _is_ours(settings: Settings, read: Reader, item: Ingress) -> bool:
    """The field counts before the legacy annotation; without either, the flag or the default class decides."""
    if item.spec.ingress_class_name:
        return _is_our_class(settings, read, item.spec.ingress_class_name)
    if legacy := _legacy_class(item):
        return legacy == settings.ingress_class
    return settings.watch_without_class or (settings.assume_class and _is_default(settings, read))


def _is_our_class(settings: Settings, read: Reader, name: str) -> bool:
    if settings.ingress_class_by_name and name == settings.ingress_class:
        return True
    found = read.get(IngressClass, "", name)
    if found is None:
        return settings.assume_class and name == settings.ingress_class
    return found.spec.controller == settings.controller_class


def _is_default(settings: Settings, read: Reader) -> bool:
    """Whether the API server would have given the Ingress a class of ours: the newest default one, then by name."""
    defaults = [
        found
        for found in read.find(IngressClass, "kind", "IngressClass")
        if (found.metadata.annotations or {}).get(_DEFAULT_CLASS) == "true"
    ]
    newest = max(defaults, key=lambda found: found.metadata.creation_timestamp or "", default=None)
    return newest is not None and newest.spec.controller == settings.controller_class
