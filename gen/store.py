"""The objects that are known now, their indexes, and the Reader through which translation sees them.

Sources hand in changes, `Store.apply` says which keys they touch.  A Reader answers questions and writes down each
key it was asked for, misses too; whoever keeps that list knows what to compute anew when a key is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from gen.k8s import EndpointSlice, Ingress, Object, Ref

IndexName = Literal["kind", "ingresses by host", "ingresses by www", "ingresses by alias", "slices by service"]
T = TypeVar("T", bound=Object)


class Change(Struct, frozen=True):
    """A new state of one object; None: it is gone."""

    ref: Ref
    object: Object | None


class Lookup(Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """A question to an index: which objects have this key."""

    index: IndexName
    key: str


Key = Ref | Lookup


def _hosts(item: Object) -> Collection[str]:
    """The hosts that an Ingress speaks of, as they stand in the manifest but in lower case; "" is the catch-all."""
    if not isinstance(item, Ingress):
        return ()
    rules = item.spec.rules
    return {(rule.host or "").lower() for rule in rules} if rules else ("",)


def _annotated(item: Ingress, name: str) -> Iterable[str]:
    """The values of an annotation of that name, whatever its prefix."""
    annotations = item.metadata.annotations
    return (text for key, text in annotations.items() if key.endswith(name)) if annotations else ()


def _www(item: Object) -> Collection[str]:
    """The hosts that an Ingress may want to redirect to its own."""
    if not isinstance(item, Ingress) or not any(_annotated(item, "/from-to-www-redirect")):
        return ()
    hosts = (host for host in _hosts(item) if host and not host.startswith("*."))
    return {host.removeprefix("www.") if host.startswith("www.") else f"www.{host}" for host in hosts}


def _aliases(item: Object) -> Collection[str]:
    """More names that an Ingress gives to its hosts."""
    if not isinstance(item, Ingress):
        return ()
    return {name.strip().lower() for text in _annotated(item, "/server-alias") for name in text.split(",")}


def _service(item: Object) -> Collection[str]:
    """The Service that an EndpointSlice belongs to, as `namespace/name`."""
    if not isinstance(item, EndpointSlice):
        return ()
    owner = (item.metadata.labels or {}).get("kubernetes.io/service-name")
    return (f"{item.metadata.namespace or 'default'}/{owner}",) if owner else ()


_INDEXES: Mapping[IndexName, Callable[[Object], Collection[str]]] = {
    "kind": lambda item: (type(item).__name__,),
    "ingresses by host": _hosts,
    "ingresses by www": _www,
    "ingresses by alias": _aliases,
    "slices by service": _service,
}


class Objects(Protocol):
    """What a Reader reads from."""

    def get(self, ref: Ref) -> Object | None:
        """The object of that name, None where there is none."""
        ...

    def find(self, lookup: Lookup) -> tuple[Ref, ...]:
        """The objects that an index holds under a key, sorted."""
        ...

    def has(self, lookup: Lookup) -> bool:
        """Whether an index holds anything under a key."""
        ...


class Store:
    """All objects, by reference and by index."""

    def __init__(self) -> None:
        self._objects: dict[Ref, Object] = {}
        self._indexes: dict[IndexName, dict[str, set[Ref]]] = {name: {} for name in _INDEXES}

    def __len__(self) -> int:
        return len(self._objects)

    def apply(self, changes: Iterable[Change]) -> frozenset[Key]:
        """Take in the changes and give the keys that they touch: objects that differ now, index entries that moved."""
        touched: set[Key] = set()
        for change in changes:
            before = self._objects.get(change.ref)
            if before == change.object:
                continue
            touched.add(change.ref)
            if change.object is None:
                del self._objects[change.ref]
            else:
                self._objects[change.ref] = change.object
            self._reindex(change.ref, before, change.object, touched)
        return frozenset(touched)

    def _reindex(self, ref: Ref, before: Object | None, after: Object | None, touched: set[Key]) -> None:
        for name, keys_of in _INDEXES.items():
            old = keys_of(before) if before is not None else ()
            new = keys_of(after) if after is not None else ()
            if old == new:
                continue
            index = self._indexes[name]
            for key in old:
                if key not in new:
                    index[key].discard(ref)
                    if not index[key]:
                        del index[key]
                    touched.add(Lookup(name, key))
            for key in new:
                if key not in old:
                    index.setdefault(key, set()).add(ref)
                    touched.add(Lookup(name, key))

    def get(self, ref: Ref) -> Object | None:
        """The object of that name, None where there is none."""
        return self._objects.get(ref)

    def find(self, lookup: Lookup) -> tuple[Ref, ...]:
        """The objects that an index holds under a key, sorted."""
        found = self._indexes[lookup.index].get(lookup.key)
        return tuple(sorted(found)) if found else ()

    def has(self, lookup: Lookup) -> bool:
        """Whether an index holds anything under a key."""
        return lookup.key in self._indexes[lookup.index]

    def keys(self, index: IndexName) -> Iterable[str]:
        """The keys under which an index holds anything."""
        return self._indexes[index].keys()


class Reader:
    """The objects, seen through a window that writes down every key that was asked for."""

    __slots__ = ("_objects", "reads")

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.reads: set[Hashable] = set()

    def get(self, kind: type[T], namespace: str, name: str) -> T | None:
        """The object of that kind and name, None where there is none."""
        ref = Ref(kind.__name__, namespace, name)
        self.reads.add(ref)
        found = self._objects.get(ref)
        return found if isinstance(found, kind) else None

    def refs(self, index: IndexName, key: str) -> tuple[Ref, ...]:
        """The references that an index holds under a key, sorted; the objects themselves are not read."""
        lookup = Lookup(index, key)
        self.reads.add(lookup)
        return self._objects.find(lookup)

    def find(self, kind: type[T], index: IndexName, key: str) -> tuple[T, ...]:
        """The objects of that kind which an index holds under a key, in the order of their names."""
        refs = self.refs(index, key)
        self.reads.update(refs)
        return tuple(item for ref in refs if isinstance(item := self._objects.get(ref), kind))

    def has(self, index: IndexName, key: str) -> bool:
        """Whether an index holds anything under a key."""
        lookup = Lookup(index, key)
        self.reads.add(lookup)
        return self._objects.has(lookup)
