"""Which objects of one kind: the path of the API and the parameters that name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from gen.k8s import CLUSTER_SCOPED, Ref

RESOURCES: Mapping[str, tuple[str, str]] = {
    "Ingress": ("/apis/networking.k8s.io/v1", "ingresses"),
    "IngressClass": ("/apis/networking.k8s.io/v1", "ingressclasses"),
    "Service": ("/api/v1", "services"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "Endpoints": ("/api/v1", "endpoints"),
    "Secret": ("/api/v1", "secrets"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Namespace": ("/api/v1", "namespaces"),
    "Node": ("/api/v1", "nodes"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
}

USELESS_SECRETS = (
    "helm.sh/release.v1",
    "kubernetes.io/service-account-token",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "bootstrap.kubernetes.io/token",
)
"""Types of Secrets that no Ingress can use; the releases of Helm alone may be hundreds of megabytes."""


class Selection(Struct, frozen=True):
    """The objects of a kind: all of them, those of a namespace, those with some labels, or a single one by its name."""

    kind: str
    namespace: str = ""
    name: str = ""
    labels: str = ""

    @property
    def path(self) -> str:
        """Where the objects are listed."""
        prefix, plural = RESOURCES[self.kind]
        return f"{prefix}/namespaces/{self.namespace}/{plural}" if self.namespace else f"{prefix}/{plural}"

    @property
    def params(self) -> dict[str, str]:
        """What narrows the list down."""
        fields = f"metadata.name={self.name}" if self.name else ""
        if self.kind == "Secret" and not self.name:
            fields = ",".join(f"type!={kind}" for kind in USELESS_SECRETS)
        return {
            **({"labelSelector": self.labels} if self.labels else {}),
            **({"fieldSelector": fields} if fields else {}),
        }

    def holds(self, ref: Ref) -> bool:
        """Whether an object is certainly among these, if it is there at all."""
        return self.covers(Selection(ref.kind, ref.namespace, ref.name))

    def covers(self, other: Selection) -> bool:
        """Whether all objects of another selection are certainly among these."""
        is_same = self.kind == other.kind and self.labels in ("", other.labels)
        return is_same and self.namespace in ("", other.namespace) and self.name in ("", other.name)

    def __str__(self) -> str:
        where = "/".join(part for part in (self.namespace, self.name) if part)
        return f"{self.kind} {where}" if where else self.kind


def path_of(ref: Ref) -> str:
    """Where a single object is read."""
    return f"{Selection(ref.kind, ref.namespace).path}/{ref.name}"


class Scope(Struct, frozen=True, kw_only=True):
    """What gen looks at in a cluster: it asks for nothing else, so it needs no other permission.

    Shape: all objects of `kinds`, in `namespaces` (none given: in all), narrowed down by label selectors per kind;
    `also` what is watched besides, wherever it is.  Single objects are read one by one: those `fetched`, and of the
    kinds `by_reference` those within `reach` that other objects refer to, unless they are watched.
    """

    kinds: tuple[str, ...]
    namespaces: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    also: tuple[Selection, ...] = ()
    fetched: frozenset[Ref] = frozenset()
    by_reference: frozenset[str] = frozenset()
    own_namespace: str = ""

    def selections(self) -> tuple[Selection, ...]:
        """The least that has to be watched."""
        chosen = list(self._whole())
        for selection in self.also:
            if not any(each.covers(selection) for each in chosen):
                chosen.append(selection)
        return tuple(chosen)

    def reach(self, kind: str) -> frozenset[str]:
        """The namespaces in which objects are read when others refer to them, "" for all; none for other kinds.

        Objects that are watched `also` may refer to others of their kind beside them, classes to ConfigMaps beside gen.
        """
        if kind not in self.by_reference:
            return frozenset()
        if not self.namespaces:
            return frozenset([""])
        beside = {selection.namespace for selection in self.also if selection.kind == kind}
        if kind == "ConfigMap" and "IngressClass" in self.kinds and self.own_namespace:
            beside.add(self.own_namespace)
        return frozenset(beside).union(self.namespaces)

    def reaches(self, ref: Ref) -> bool:
        """Whether an object is read when another one refers to it."""
        return not self.reach(ref.kind).isdisjoint(("", ref.namespace))

    def _whole(self) -> Iterator[Selection]:
        for kind in self.kinds:
            everywhere = kind in CLUSTER_SCOPED or not self.namespaces
            for namespace in ("",) if everywhere else self.namespaces:
                yield Selection(kind, namespace, labels=self.labels.get(kind, ""))
