"""Frozen views of the Kubernetes objects that gen reads: only the fields that it uses.

`parse` takes one raw object (plain dicts, from YAML, JSON or the API) and gives its view, or raises BadValue with the
path of the bad field.  Unknown fields are ignored, null stands for absent wherever Go writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gen.errors import BadValue


class Ref(Struct, frozen=True, order=True, cache_hash=True):
    """The identity of an object; `namespace` is "" where the kind has none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


# ------------------------------------------------------------------ metadata


class Metadata(Struct, frozen=True, rename="camel"):
    """What every object has; `creation_timestamp` is RFC 3339 or "" (files have none)."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None


# ------------------------------------------------------------------ Ingress


class ServicePort(Struct, frozen=True):
    """The port of a backend, by number or by name."""

    name: str | None = None
    number: int | None = None


class ServiceBackend(Struct, frozen=True):
    """A Service in the namespace of its Ingress."""

    name: str
    port: ServicePort | None = None


class IngressBackend(Struct, frozen=True):
    """Where a path leads."""

    service: ServiceBackend | None = None
    resource: Mapping[str, Any] | None = None


class HttpPath(Struct, frozen=True, rename="camel"):
    """One path of a rule."""

    backend: IngressBackend | None = None
    path: str | None = None
    path_type: str | None = None


class HttpRule(Struct, frozen=True):
    """The paths of a rule."""

    paths: tuple[HttpPath, ...] | None = None


class Rule(Struct, frozen=True):
    """A host, or none, and its paths."""

    host: str | None = None
    http: HttpRule | None = None


class IngressTls(Struct, frozen=True, rename="camel"):
    """Hosts and the Secret with their certificate."""

    hosts: tuple[str, ...] | None = None
    secret_name: str | None = None


class IngressSpec(Struct, frozen=True, rename="camel"):
    """The wishes of an Ingress."""

    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    rules: tuple[Rule, ...] | None = None
    tls: tuple[IngressTls, ...] | None = None


class Ingress(Struct, frozen=True):
    """networking.k8s.io/v1 Ingress."""

    metadata: Metadata
    spec: IngressSpec


class ClassParameters(Struct, frozen=True, rename="camel"):
    """What an IngressClass points at for its settings."""

    kind: str = ""
    name: str = ""
    api_group: str | None = None
    namespace: str | None = None
    scope: str | None = None


class IngressClassSpec(Struct, frozen=True):
    """Which controller a class belongs to."""

    controller: str | None = None
    parameters: ClassParameters | None = None


class IngressClass(Struct, frozen=True):
    """networking.k8s.io/v1 IngressClass."""

    metadata: Metadata
    spec: IngressClassSpec = IngressClassSpec()


# ------------------------------------------------------------------ Service and endpoints


class Port(Struct, frozen=True, rename="camel"):
    """A port of a Service; `target_port` is a number or the name of a container port."""

    port: int
    name: str | None = None
    protocol: str | None = None
    target_port: int | str | None = None
    node_port: int | None = None
    app_protocol: str | None = None


class ServiceSpec(Struct, frozen=True, rename="camel"):
    """A Service of any type."""

    type: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: tuple[str, ...] | None = msgspec.field(default=None, name="clusterIPs")
    external_name: str | None = None
    external_traffic_policy: str | None = None
    session_affinity: str | None = None
    publish_not_ready_addresses: bool | None = None
    ports: tuple[Port, ...] | None = None


class Service(Struct, frozen=True):
    """v1 Service."""

    metadata: Metadata
    spec: ServiceSpec = ServiceSpec()


class Conditions(Struct, frozen=True):
    """The state of an endpoint; absent means ready, serving, and not terminating."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class SliceEndpoint(Struct, frozen=True):
    """One endpoint; only the first address counts (they are fungible)."""

    addresses: tuple[str, ...] | None = None
    conditions: Conditions | None = None
    zone: str | None = None


class SlicePort(Struct, frozen=True, rename="camel"):
    """A port of all endpoints of a slice."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class EndpointSlice(Struct, frozen=True, rename="camel"):
    """discovery.k8s.io/v1 EndpointSlice; the label kubernetes.io/service-name says whose it is."""

    metadata: Metadata
    address_type: str = ""
    endpoints: tuple[SliceEndpoint, ...] | None = None
    ports: tuple[SlicePort, ...] | None = None


class EndpointAddress(Struct, frozen=True):
    """One address of an old-style Endpoints object."""

    ip: str


class EndpointSubset(Struct, frozen=True, rename="camel"):
    """Addresses that share their ports."""

    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None
    ports: tuple[SlicePort, ...] | None = None


class Endpoints(Struct, frozen=True):
    """v1 Endpoints, read where a Service has no slices."""

    metadata: Metadata
    subsets: tuple[EndpointSubset, ...] | None = None


# ------------------------------------------------------------------ the rest


class Secret(Struct, frozen=True, rename="camel"):
    """v1 Secret; `data` is base64, `string_data` plain text (manifests only)."""

    metadata: Metadata
    type: str | None = None
    data: Mapping[str, str | None] | None = None
    string_data: Mapping[str, str | None] | None = None

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name}, keys={sorted(self.data or {})})"


class ConfigMap(Struct, frozen=True):
    """v1 ConfigMap."""

    metadata: Metadata
    data: Mapping[str, str] | None = None


class Namespace(Struct, frozen=True):
    """v1 Namespace."""

    metadata: Metadata


Object = Ingress | IngressClass | Service | EndpointSlice | Endpoints | Secret | ConfigMap | Namespace

KINDS: Mapping[str, type[Object]] = {
    "Ingress": Ingress,
    "IngressClass": IngressClass,
    "Service": Service,
    "EndpointSlice": EndpointSlice,
    "Endpoints": Endpoints,
    "Secret": Secret,
    "ConfigMap": ConfigMap,
    "Namespace": Namespace,
}
CLUSTER_SCOPED = frozenset({"IngressClass", "Namespace"})


def parse(kind: str, raw: object) -> Object:
    """The view of a raw object of a kind in KINDS.

    Raises: BadValue (BadType) with the path of the field that has the wrong type.
    """
    try:
        return msgspec.convert(raw, KINDS[kind])
    except msgspec.ValidationError as error:
        raise BadValue("BadType", str(error).replace(" - at `$.", " at `")) from error


def ref_of(item: Object) -> Ref:
    """The identity of an object; a namespaced one without a namespace is in `default`."""
    kind, meta = type(item).__name__, item.metadata
    return Ref(kind, "" if kind in CLUSTER_SCOPED else meta.namespace or "default", meta.name)
