"""The permissions that writing into a cluster needs, and none besides."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gen.reconcile.cluster.writing import Wanted
from gen.sources.kube.permissions import Permission, permission, permissions


def permissions_to_write(wanted: Wanted, namespaces: Collection[str]) -> Iterator[Permission]:
    """What gen may do for what is wanted; Ingresses are in these namespaces, in none given: in any."""
    if wanted.places:
        yield from permissions(wanted.places)
    for namespace in namespaces or ("",):
        if wanted.status == "own":
            yield permission("Ingress", namespace, ("patch",), part="status")
        if wanted.events:
            yield permission("Event", namespace, ("create", "patch"))
    if wanted.lease:
        yield permission("Lease", wanted.namespace, ("create",))
        yield permission("Lease", wanted.namespace, ("get", "update"), wanted.lease)
