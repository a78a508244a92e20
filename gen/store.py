"""The objects that are known now, their indexes, and the Reader through which translation sees them.

Sources hand in changes, `Store.apply` says which keys they touch.  A Reader answers questions and writes down each
key it was asked for, misses too; whoever keeps that list knows what to compute anew when a key is touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator
from functools import cache
from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from gen.k8s import EndpointSlice, Ingress, Object, Ref

IndexName = Literal[
    "kind", "ingresses by host", "ingresses by www", "ingresses by alias", "ingresses with tls", "slices by service"
]
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


def _lookups(item: Object | None) -> Collection[Lookup]:
    """The questions to which an object is an answer."""
    if item is None:
        return frozenset()
    of_kind = _of_kind(type(item).__name__)
    if isinstance(item, Ingress):
        return {*of_kind, *_of_ingress(item)}
    if isinstance(item, EndpointSlice):
        return {*of_kind, *_of_slice(item)}
    return of_kind


@cache
def _of_kind(kind: str) -> frozenset[Lookup]:
    return frozenset((Lookup("kind", kind),))


def _of_ingress(item: Ingress) -> Iterator[Lookup]:
    """By the hosts of which it speaks, as they stand in the manifest but in lower case; "" is the catch-all.

    Those with an entry in spec.tls are all found under "".
    """
    hosts = {(rule.host or "").lower() for rule in item.spec.rules} if item.spec.rules else {""}
    for host in hosts:
        yield Lookup("ingresses by host", host)
    if item.spec.tls:
        yield Lookup("ingresses with tls", "")
    for key, text in item.metadata.annotations.items() if item.metadata.annotations else ():
        if key.endswith("/server-alias"):
            for name in text.split(","):
                yield Lookup("ingresses by alias", name.strip().lower())
        elif key.endswith("/from-to-www-redirect") and text:
            for host in hosts:
                if host and not host.startswith("*."):
                    yield Lookup("ingresses by www", host[4:] if host.startswith("www.") else f"www.{host}")


def _of_slice(item: EndpointSlice) -> Iterator[Lookup]:
    """By the Service to which it belongs, as `namespace/name`."""
    owner = (item.metadata.labels or {}).get("kubernetes.io/service-name")
    if owner:
        yield Lookup("slices by service", f"{item.metadata.namespace or 'default'}/{owner}")


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
        self._found: defaultdict[Lookup, set[Ref]] = defaultdict(set)

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
        old, new = _lookups(before), _lookups(after)
        if old == new:
            return
        for lookup in old:
            if lookup not in new:
                self._found[lookup].discard(ref)
                if not self._found[lookup]:
                    del self._found[lookup]
                touched.add(lookup)
        for lookup in new:
            if lookup not in old:
                self._found[lookup].add(ref)
                touched.add(lookup)

    def get(self, ref: Ref) -> Object | None:
        """The object of that name, None where there is none."""
        return self._objects.get(ref)

    def find(self, lookup: Lookup) -> tuple[Ref, ...]:
        """The objects that an index holds under a key, sorted."""
        found = self._found.get(lookup)
        return tuple(sorted(found)) if found else ()

    def has(self, lookup: Lookup) -> bool:
        """Whether an index holds anything under a key."""
        return lookup in self._found

    def keys(self, index: IndexName) -> Iterable[str]:
        """The keys under which an index holds anything."""
        return [lookup.key for lookup in self._found if lookup.index == index]


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
