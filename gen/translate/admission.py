"""Which Ingresses count: class, namespace, deletion.  The rest is somebody else's, and only mentioned."""

from __future__ import annotations

from gen.dialects.values import shown
from gen.ir import Issue, Severity, Source
from gen.k8s import Ingress, IngressClass, Namespace
from gen.store import Reader
from gen.translate import selector
from gen.translate.settings import Settings

_LEGACY_CLASS = "kubernetes.io/ingress.class"
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


def refusal(settings: Settings, read: Reader, item: Ingress, source: Source) -> tuple[Issue, ...]:
    """Why an Ingress does not count, empty when it does.

    Source: ingress-nginx 4.1; the order is deletion, namespace, class, catch-all.
    """

    def because(field: str, code: str, message: str, severity: Severity = "info") -> tuple[Issue, ...]:
        return (Issue(source.at(field), code, message, severity),)

    if item.metadata.deletion_timestamp:
        return because("metadata.deletionTimestamp", "Deleted", "it is being deleted")
    if not _is_watched(settings, read, source.namespace):
        return because("metadata.namespace", "NamespaceNotWatched", "its namespace is not watched")
    if not _is_ours(settings, read, item):
        wanted = item.spec.ingress_class_name or (item.metadata.annotations or {}).get(_LEGACY_CLASS)
        message = f"the class {shown(wanted)} is not ours" if wanted else "it has no class"
        return because("spec.ingressClassName", "ClassNotOurs", message)
    if settings.disable_catch_all and item.spec.default_backend:
        return because("spec.defaultBackend", "CatchAllDisabled", "catch-all Ingresses are switched off", "error")
    return ()


def _is_watched(settings: Settings, read: Reader, namespace: str) -> bool:
    if settings.watch_namespaces and namespace not in settings.watch_namespaces:
        return False
    if not settings.namespace_selector:
        return True
    found = read.get(Namespace, "", namespace)
    return selector.matches(settings.namespace_selector, (found.metadata.labels if found else None) or {})


def _is_ours(settings: Settings, read: Reader, item: Ingress) -> bool:
    """The field counts before the legacy annotation; without either, the default class or the flag decides."""
    name = item.spec.ingress_class_name
    if name is not None:
        return _is_our_class(settings, read, name)
    legacy = (item.metadata.annotations or {}).get(_LEGACY_CLASS)
    if legacy is not None:
        return legacy == settings.ingress_class
    if settings.watch_without_class:
        return True
    return settings.assume_class and _is_default(settings, read)


def _is_our_class(settings: Settings, read: Reader, name: str) -> bool:
    if settings.ingress_class_by_name and name == settings.ingress_class:
        return True
    found = read.get(IngressClass, "", name)
    if found is None:
        return settings.assume_class and name == settings.ingress_class
    return found.spec.controller == settings.controller_class


def _is_default(settings: Settings, read: Reader) -> bool:
    """Whether the API server would have given the Ingress a class of ours: the newest default, then by name."""
    defaults = [
        found
        for found in read.find(IngressClass, "kind", "IngressClass")
        if (found.metadata.annotations or {}).get(_DEFAULT_CLASS) == "true"
    ]
    defaults.sort(key=lambda found: found.metadata.creation_timestamp or "", reverse=True)
    return bool(defaults) and defaults[0].spec.controller == settings.controller_class
