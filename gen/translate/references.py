"""Which single objects others need, for a source that reads only what is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from gen.dialects.values import reference
from gen.errors import BadValue
from gen.ir import Source
from gen.k8s import ConfigMap, Ingress, IngressClass, Object, Ref
from gen.translate.parameters import parameters_of
from gen.translate.settings import Settings

_KINDS = {
    "auth-secret": "Secret",
    "auth-tls-secret": "Secret",
    "proxy-ssl-secret": "Secret",
    "auth-proxy-set-headers": "ConfigMap",
    "custom-headers": "ConfigMap",
    "fastcgi-params-configmap": "ConfigMap",
}
"""Annotations that name an object, and its kind."""
_KEYS = ("add-headers", "proxy-set-headers")


def references(settings: Settings) -> Callable[[Object], Iterable[Ref]]:
    """A function that gives the Secrets and ConfigMaps that an object names.

    Shape: it remembers which ConfigMaps hold global keys, for these name others.
    """
    places = {settings.configmap}

    def named(item: Object) -> Iterator[Ref]:
        if isinstance(item, Ingress):
            yield from _of_ingress(item, settings.annotations_prefix)
        elif isinstance(item, IngressClass):
            found = parameters_of(settings, item)
            if isinstance(found, Source):
                places.add(f"{found.namespace}/{found.name}")
                yield Ref("ConfigMap", found.namespace, found.name)
        elif isinstance(item, ConfigMap) and f"{item.metadata.namespace or 'default'}/{item.metadata.name}" in places:
            yield from _named(item.data or {}, dict.fromkeys(_KEYS, "ConfigMap"), item.metadata.namespace)

    return named


def _of_ingress(item: Ingress, prefix: str) -> Iterator[Ref]:
    namespace = item.metadata.namespace
    for tls in item.spec.tls or ():
        if tls.secret_name:
            yield Ref("Secret", namespace or "default", tls.secret_name)
    if item.metadata.annotations:
        kinds = {f"{prefix}/{name}": kind for name, kind in _KINDS.items()}
        yield from _named(item.metadata.annotations, kinds, namespace)


def _named(texts: Mapping[str, str], kinds: Mapping[str, str], namespace: str | None) -> Iterator[Ref]:
    """The objects that some of the texts name; what is no name is left to translation."""
    for key, kind in kinds.items():
        if key in texts:
            try:
                owner, _, name = reference(texts[key].strip()).rpartition("/")
            except BadValue:
                continue
            yield Ref(kind, owner or namespace or "default", name)
