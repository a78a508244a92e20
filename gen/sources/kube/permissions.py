"""The permissions that a scope needs: a rule for each request that is made, and none besides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from gen.k8s import CLUSTER_SCOPED, Ref
from gen.sources.kube.selection import RESOURCES, Scope

WATCHED, FETCHED = ("list", "watch"), ("get",)


class Permission(Struct, frozen=True, order=True):
    """Some verbs on a resource.

    Shape: `namespace` "" is everywhere, `group` "" the core group, `names` () any object.
    """

    namespace: str
    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


def permission(kind: str, namespace: str, verbs: tuple[str, ...], *names: str, part: str = "") -> Permission:
    """Verbs on the objects of a kind, or on a part of them that has permissions of its own."""
    prefix, plural = RESOURCES[kind]
    group = prefix.split("/")[2] if prefix.startswith("/apis/") else ""
    resource = f"{plural}/{part}" if part else plural
    return Permission("" if kind in CLUSTER_SCOPED else namespace, group, resource, verbs, names)


def permissions(scope: Scope, referred: Iterable[Ref] | None = None) -> Iterator[Permission]:
    """What gen may do for a scope; `referred` are the only objects that others refer to, None leaves that open."""
    selections = scope.selections()
    for selection in selections:
        names = (selection.name,) if selection.name else ()
        yield permission(selection.kind, selection.namespace, WATCHED, *names)
    single = set(scope.fetched)
    if referred is None:
        for kind in scope.by_reference:
            yield from (permission(kind, namespace, FETCHED) for namespace in scope.reach(kind))
    else:
        read = (ref for ref in referred if scope.reaches(ref))
        single.update(ref for ref in read if not any(selection.holds(ref) for selection in selections))
    for (kind, namespace), together in by_place(single).items():
        yield permission(kind, namespace, FETCHED, *sorted(together))


def by_place(refs: Iterable[Ref]) -> Mapping[tuple[str, str], set[str]]:
    """Names by kind and namespace."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for ref in refs:
        found[ref.kind, ref.namespace].add(ref.name)
    return found


def least(wanted: Iterable[Permission]) -> tuple[Permission, ...]:
    """The permissions without those that others include, in order."""
    distinct = set(wanted)
    return tuple(sorted(each for each in distinct if not any(includes(other, each) for other in distinct - {each})))


def includes(wide: Permission, narrow: Permission) -> bool:
    """Whether whoever has the one has the other."""
    return (
        (wide.group, wide.resource) == (narrow.group, narrow.resource)
        and wide.namespace in ("", narrow.namespace)
        and set(wide.verbs) >= set(narrow.verbs)
        and (not wide.names or (bool(narrow.names) and set(wide.names) >= set(narrow.names)))
    )
