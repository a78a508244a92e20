"""Objects without what gen does not use, and equal parts of them as one: memory is for what differs.

It also makes no news of changes that concern nobody here, such as a new annotation of an EndpointSlice.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import TypeVar, cast

from msgspec.structs import replace

from gen.k8s import (
    EndpointSlice,
    HttpPath,
    Ingress,
    IngressClass,
    Metadata,
    Namespace,
    Object,
    Rule,
    Service,
    SliceEndpoint,
)

SERVICE_NAME = "kubernetes.io/service-name"
T = TypeVar("T")


def trimmed(item: Object) -> Object:
    """The object as gen needs it."""
    meta = item.metadata
    match item:
        case Ingress():
            rules = tuple(map(_rule, item.spec.rules)) if item.spec.rules else None
            return replace(item, metadata=_annotated(meta), spec=replace(item.spec, rules=rules))
        case IngressClass():
            return replace(item, metadata=_annotated(meta))
        case EndpointSlice():
            endpoints = tuple(map(_endpoint, item.endpoints)) if item.endpoints else None
            owner = {name: text for name, text in (meta.labels or {}).items() if name == SERVICE_NAME}
            return replace(
                item,
                metadata=_bare(meta, owner),
                address_type=shared(item.address_type),
                endpoints=endpoints,
                ports=shared(item.ports),
            )
        case Service():
            return replace(item, metadata=_bare(meta), spec=replace(item.spec, ports=shared(item.spec.ports)))
        case Namespace():
            return replace(item, metadata=_bare(meta, meta.labels))
        case _:
            return replace(item, metadata=_bare(meta))


def shared(value: T) -> T:
    """An equal value that was there before, as far as that is remembered."""
    return cast("T", _remembered(cast("Hashable", value)))


@lru_cache(maxsize=1024)
def _remembered(value: Hashable) -> Hashable:
    return value


def _annotated(meta: Metadata) -> Metadata:
    return replace(meta, labels=None, annotations=meta.annotations or None)


def _bare(meta: Metadata, labels: Mapping[str, str] | None = None) -> Metadata:
    return replace(meta, creation_timestamp=None, labels=labels or None, annotations=None)


def _endpoint(item: SliceEndpoint) -> SliceEndpoint:
    return replace(item, conditions=shared(item.conditions), zone=shared(item.zone))


def _rule(item: Rule) -> Rule:
    if not item.http or not item.http.paths:
        return item
    return replace(item, http=replace(item.http, paths=tuple(map(_path, item.http.paths))))


def _path(item: HttpPath) -> HttpPath:
    backend = item.backend if item.backend and item.backend.resource is not None else shared(item.backend)
    return replace(item, backend=backend, path=shared(item.path), path_type=shared(item.path_type))
