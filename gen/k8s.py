"""Frozen views of the Kubernetes objects that gen reads: only the fields that it uses.

`parse` takes one raw object (plain dicts, from YAML) and `decode` one in JSON; both give its view, or raise BadValue
with the path of the bad field.  Unknown fields are ignored, null stands for absent wherever Go writes it.  The views
never hold a cycle, so the garbage collector need not look at them (gc=False): a hundred thousand cost it nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, cast

import msgspec
from msgspec import Struct

from gen.errors import BadValue


class Ref(Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """The identity of an object; `namespace` is "" where the kind has none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


# ------------------------------------------------------------------ metadata


class Metadata(Struct, frozen=True, gc=False, rename="camel"):
    """What every object has; `creation_timestamp` is RFC 3339 or "" (files have none)."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None


# ------------------------------------------------------------------ Ingress


class ServicePort(Struct, frozen=True, gc=False):
    """The port of a backend, by number or by name; one of them is there."""

    name: str | None = None
    number: int | None = None

    def __post_init__(self) -> None:
        if self.name is None and self.number is None:
            raise ValueError("expected a name or a number")


class ServiceBackend(Struct, frozen=True, gc=False):
    """A Service in the namespace of its Ingress."""

    name: str
    port: ServicePort | None = None


class IngressBackend(Struct, frozen=True, gc=False):
    """Where a path leads."""

    service: ServiceBackend | None = None
    resource: Mapping[str, Any] | None = None


class HttpPath(Struct, frozen=True, gc=False, rename="camel"):
    """One path of a rule."""

    backend: IngressBackend | None = None
    path: str | None = None
    path_type: str | None = None


class HttpRule(Struct, frozen=True, gc=False):
    """The paths of a rule."""

    paths: tuple[HttpPath, ...] | None = None


class Rule(Struct, frozen=True, gc=False):
    """A host, or none, and its paths."""

    host: str | None = None
    http: HttpRule | None = None


class IngressTls(Struct, frozen=True, gc=False, rename="camel"):
    """Hosts and the Secret with their certificate."""

    hosts: tuple[str, ...] | None = None
    secret_name: str | None = None


class IngressSpec(Struct, frozen=True, gc=False, rename="camel"):
    """The wishes of an Ingress."""

    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    rules: tuple[Rule, ...] | None = None
    tls: tuple[IngressTls, ...] | None = None


class Ingress(Struct, frozen=True, gc=False):
    """networking.k8s.io/v1 Ingress."""

    metadata: Metadata
    spec: IngressSpec


class ClassParameters(Struct, frozen=True, gc=False, rename="camel"):
    """What an IngressClass points at for its settings."""

    kind: str = ""
    name: str = ""
    api_group: str | None = None
    namespace: str | None = None
    scope: str | None = None


class IngressClassSpec(Struct, frozen=True, gc=False):
    """Which controller a class belongs to."""

    controller: str | None = None
    parameters: ClassParameters | None = None


class IngressClass(Struct, frozen=True, gc=False):
    """networking.k8s.io/v1 IngressClass."""

    metadata: Metadata
    spec: IngressClassSpec = IngressClassSpec()


# ------------------------------------------------------------------ Service and endpoints


class Port(Struct, frozen=True, gc=False, rename="camel"):
    """A port of a Service; `target_port` is a number or the name of a container port."""

    port: int
    name: str | None = None
    protocol: str | None = None
    target_port: int | str | None = None
    node_port: int | None = None
    app_protocol: str | None = None


class ServiceSpec(Struct, frozen=True, gc=False, rename="camel"):
    """A Service of any type."""

    type: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: tuple[str, ...] | None = msgspec.field(default=None, name="clusterIPs")
    external_name: str | None = None
    external_traffic_policy: str | None = None
    session_affinity: str | None = None
    publish_not_ready_addresses: bool | None = None
    ports: tuple[Port, ...] | None = None


class Service(Struct, frozen=True, gc=False):
    """v1 Service."""

    metadata: Metadata
    spec: ServiceSpec = ServiceSpec()


class Conditions(Struct, frozen=True, gc=False):
    """The state of an endpoint; absent means ready, serving, and not terminating."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class SliceEndpoint(Struct, frozen=True, gc=False):
    """One endpoint; only the first address counts (they are fungible)."""

    addresses: tuple[str, ...] | None = None
    conditions: Conditions | None = None
    zone: str | None = None


class SlicePort(Struct, frozen=True, gc=False, rename="camel"):
    """A port of all endpoints of a slice."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class EndpointSlice(Struct, frozen=True, gc=False, rename="camel"):
    """discovery.k8s.io/v1 EndpointSlice; the label kubernetes.io/service-name says whose it is."""

    metadata: Metadata
    address_type: str = ""
    endpoints: tuple[SliceEndpoint, ...] | None = None
    ports: tuple[SlicePort, ...] | None = None


class EndpointAddress(Struct, frozen=True, gc=False):
    """One address of an old-style Endpoints object."""

    ip: str


class EndpointSubset(Struct, frozen=True, gc=False, rename="camel"):
    """Addresses that share their ports."""

    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None
    ports: tuple[SlicePort, ...] | None = None


class Endpoints(Struct, frozen=True, gc=False):
    """v1 Endpoints, read where a Service has no slices."""

    metadata: Metadata
    subsets: tuple[EndpointSubset, ...] | None = None


# ------------------------------------------------------------------ the rest


class Secret(Struct, frozen=True, gc=False, rename="camel"):
    """v1 Secret; `data` is base64, `string_data` plain text (manifests only)."""

    metadata: Metadata
    type: str | None = None
    data: Mapping[str, str | None] | None = None
    string_data: Mapping[str, str | None] | None = None

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name}, keys={sorted(self.data or {})})"


class ConfigMap(Struct, frozen=True, gc=False):
    """v1 ConfigMap."""

    metadata: Metadata
    data: Mapping[str, str] | None = None


class Namespace(Struct, frozen=True, gc=False):
    """v1 Namespace."""

    metadata: Metadata


class Node(Struct, frozen=True, gc=False):
    """v1 Node, whose addresses are read by whoever publishes them."""

    metadata: Metadata


Object = Ingress | IngressClass | Service | EndpointSlice | Endpoints | Secret | ConfigMap | Namespace | Node

KINDS: Mapping[str, type[Object]] = {
    "Ingress": Ingress,
    "IngressClass": IngressClass,
    "Service": Service,
    "EndpointSlice": EndpointSlice,
    "Endpoints": Endpoints,
    "Secret": Secret,
    "ConfigMap": ConfigMap,
    "Namespace": Namespace,
    "Node": Node,
}
CLUSTER_SCOPED = frozenset({"IngressClass", "Namespace", "Node"})


DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
DNS_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
DNS_NAME_LENGTH = 253
NAMED_BY_LABEL = (Service, Namespace)
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def parse(kind: str, raw: object) -> Object:
    """The view of a raw object of a kind in KINDS.

    Raises: BadValue (BadType, BadName, InvalidPathType, PortOutOfRange) with the path of the field.
    """
    view = KINDS[kind]
    try:
        return checked(msgspec.convert(raw, view))
    except msgspec.ValidationError:
        raw = mended(raw)
    try:
        return checked(msgspec.convert(raw, view))
    except msgspec.ValidationError as error:
        raise type_fault(str(error), raw) from None


def decode(kind: str, text: bytes | msgspec.Raw) -> Object:
    """The view of an object of a kind in KINDS, from well-formed JSON.

    Raises: what `parse` raises.
    """
    try:
        return checked(decoder_of(kind).decode(text))
    except msgspec.ValidationError:
        return parse(kind, msgspec.json.decode(text))


@cache
def decoder_of(kind: str) -> msgspec.json.Decoder[Object]:
    """The JSON decoder of a kind."""
    return msgspec.json.Decoder(KINDS[kind])


def ref_of(item: Object) -> Ref:
    """The identity of an object; a namespaced one without a namespace is in `default`."""
    kind, meta = type(item).__name__, item.metadata
    return Ref(kind, "" if kind in CLUSTER_SCOPED else meta.namespace or "default", meta.name)


def is_name(text: str) -> bool:
    """Whether a text can be the name of an object: an RFC 1123 subdomain."""
    return len(text) <= DNS_NAME_LENGTH and DNS_NAME.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def is_label(text: str) -> bool:
    """Whether a text can be the name of a namespace, which many objects share."""
    return DNS_LABEL.fullmatch(text) is not None


def checked(item: Object) -> Object:
    """The object, if its names are names, without kubectl's copy of it in an annotation."""
    meta = item.metadata
    if not DNS_LABEL.fullmatch(meta.name) and (isinstance(item, NAMED_BY_LABEL) or not is_name(meta.name)):
        raise name_fault("metadata.name", meta.name)
    if meta.namespace and not is_label(meta.namespace):
        raise name_fault("metadata.namespace", meta.namespace)
    if meta.annotations and LAST_APPLIED in meta.annotations:
        cast("dict[str, str]", meta.annotations).pop(LAST_APPLIED)
    return item


# ------------------------------------------------------------------ what is tolerated, and how the rest is told


def mended(raw: object) -> object:
    """The object without the faults that do no harm: null in a map of strings is "", other labels are left out."""
    if not isinstance(raw, Mapping):
        return raw
    meta = raw.get("metadata")
    if not isinstance(meta, Mapping):
        return raw
    labels = without_null(meta.get("labels"))
    entries = labels.items() if isinstance(labels, Mapping) else ()
    strings = {key: value for key, value in entries if isinstance(value, str)}
    result = {**raw, "metadata": {**meta, "labels": strings, "annotations": without_null(meta.get("annotations"))}}
    return {**result, "data": without_null(raw["data"])} if "data" in raw else result


def without_null(value: object) -> object:
    """A map of strings in which null is the empty string, as it is in Go."""
    return {key: "" if item is None else item for key, item in value.items()} if isinstance(value, Mapping) else value


def name_fault(field: str, text: str) -> BadValue:
    """The fault of a name that is none."""
    got = f"got {text[:60]!a}" if text else "it is missing"
    return BadValue("BadName", f"{field}: expected a name of lower-case letters, digits and dashes, {got}", field)


TYPE_WORDS = {
    "int": "an integer",
    "str": "a string",
    "bool": "a boolean",
    "float": "a number with a fraction",
    "object": "a mapping",
    "array": "a list",
}
EXPECTED = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
MISSING = re.compile(r"Object missing required field `([^`]+)`")
STEP = re.compile(r"\.?(?P<name>[^.\[\]]+)|\[(?P<index>[0-9]+)\]|\[\.\.\.\]")
CODES = (
    (re.compile(r"spec\.rules\[[0-9]+\]\.http\.paths\[[0-9]+\]\.pathType"), "InvalidPathType"),
    (re.compile(r"ports\[[0-9]+\]\.port"), "PortOutOfRange"),
)
"""What a value of the wrong type is called where another code says more."""


def type_fault(message: str, raw: object) -> BadValue:
    """The fault that msgspec found, in words for people."""
    text, _, path = message.partition(" - at `$")
    field = named(path.removesuffix("`"), raw)
    if missing := MISSING.fullmatch(text):
        field = f"{field}.{missing[1]}" if field else missing[1]
        text = "it is missing"
    elif expected := EXPECTED.fullmatch(text):
        text = f"expected {type_words(expected[1])}, got {type_words(expected[2])}"
    code = next((code for pattern, code in CODES if pattern.fullmatch(field)), "BadType")
    return BadValue(code, f"{field}: {text}" if field else text, field)


def type_words(types: str) -> str:
    """`int | str | null` in words."""
    names = [name for name in types.split(" | ") if name != "null"]
    return " or ".join(TYPE_WORDS.get(name, name) for name in names) or "null"


def named(path: str, raw: object) -> str:
    """A path of msgspec with the key in place of `[...]`, which stands for the first bad entry of a map of strings."""
    field = ""
    for step in STEP.finditer(path):
        key: object
        if step["index"]:
            key = int(step["index"])
            field += step[0]
        elif step["name"]:
            key = step["name"]
            field += step[0] if field else step["name"]
        else:
            entries = raw.items() if isinstance(raw, Mapping) else ()
            key = next((name for name, value in entries if not isinstance(value, str | None)), None)
            field += f"[{str(key)[:DNS_NAME_LENGTH]}]"
        try:
            raw = raw[key]  # type: ignore[index]
        except (TypeError, KeyError, IndexError):
            raw = None
    return field
