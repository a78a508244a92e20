"""What a document holds: objects that gen reads, and the faults of those that are none.

Kinds of other people are passed over in silence (a chart's output is full of them); only what was plainly meant for us,
such as an Ingress of an old API version or a misspelt kind, is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gen.errors import BadValue
from gen.ir import Issue, Severity, Source
from gen.k8s import CLUSTER_SCOPED, KINDS, TYPE_WORDS, Object, Ref, is_name, parse, ref_of

Steps = tuple[str | int, ...]
"""A field, step by step: keys of mappings, numbers of items."""
STEP = re.compile(r"\[(?P<index>[0-9]+)\]|\[(?P<key>.*?)\](?=[.\[]|$)|\.?(?P<name>[^.\[\]]+)", re.DOTALL)

API_VERSIONS: Mapping[str, str] = {
    "Ingress": "networking.k8s.io/v1",
    "IngressClass": "networking.k8s.io/v1",
    "Service": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Endpoints": "v1",
    "Secret": "v1",
    "ConfigMap": "v1",
    "Namespace": "v1",
}
OTHER_KINDS: Mapping[str, frozenset[str]] = {
    "v1": frozenset(
        {"Binding", "ComponentStatus", "Event", "LimitRange", "Node", "PersistentVolume", "PersistentVolumeClaim"}
        | {"Pod", "PodTemplate", "ReplicationController", "ResourceQuota", "ServiceAccount", "Status"}
    ),
    "networking.k8s.io/v1": frozenset({"IPAddress", "NetworkPolicy", "ServiceCIDR"}),
    "discovery.k8s.io/v1": frozenset(),
}
"""The kinds that gen does not read, in the versions where it knows them all."""
OUR_GROUPS = frozenset({"", "networking.k8s.io", "discovery.k8s.io", "extensions"})


class BadText(BadValue):
    """A text that cannot be read; `line` counts from 0 within the text."""

    def __init__(self, code: str, message: str, line: int) -> None:
        super().__init__(code, message)
        self.line = line


class Where(NamedTuple):
    """Where an object starts in its section: the line (from 0), and the path if it is an item of a list."""

    line: int = 0
    path: Steps = ()


class Found(Struct, frozen=True, gc=False):
    """An object; the line is that of its document where lists are in YAML."""

    ref: Ref
    object: Object
    where: Where


class Fault(Struct, frozen=True, gc=False):
    """Why something in a section is not an object of ours."""

    code: str
    message: str
    where: Where
    field: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    severity: Severity = "error"

    def issue(self, file: str, first: int) -> Issue:
        """The fault, told of a file in which its section starts at line `first`."""
        source = Source(self.kind, self.namespace, self.name, self.field, file, first + self.where.line)
        return Issue(source, self.code, self.message, self.severity)


Entry = Found | Fault


def entries_of(value: object, where: Where, namespace: str) -> Iterator[Entry]:
    """The entries of a document, or of an item of a list; `namespace` is for objects without one."""
    if not isinstance(value, Mapping):
        yield Fault("BadType", f"expected an object with apiVersion and kind, got {type_word(value)}", where)
        return
    for field in ("kind", "apiVersion"):
        if not isinstance(value.get(field), str) or not value[field]:
            text = f"expected a string, got {type_word(value[field])}" if value.get(field) else "it is missing"
            yield fault_in(value, BadValue("BadType", f"{field}: {text}", field), where)
            return
    kind, version = str(value["kind"]), str(value["apiVersion"])
    items = value.get("items")
    if is_list(kind) and "items" in value and isinstance(items, list | None):
        for item, inner in items_of(kind, version, items or [], where):
            yield from entries_of(item, inner, namespace)
    elif API_VERSIONS.get(kind) != version:
        if message := meant_for_us(kind, version):
            yield fault_in(value, BadValue("UnsupportedKind", message, "apiVersion"), where)
    else:
        try:
            yield admit(parse(kind, value), where, namespace)
        except BadValue as error:
            yield fault_in(value, error, where)


def items_of(kind: str, version: str, items: list[object], where: Where) -> Iterator[tuple[object, Where]]:
    """The items of a list; the API's own lists name kind and version of their items only once."""
    for number, item in enumerate(items):
        inner = Where(where.line, (*where.path, "items", number))
        if isinstance(item, Mapping) and "kind" not in item and item_kind(kind):
            yield {"kind": item_kind(kind), "apiVersion": version, **item}, inner
        else:
            yield item, inner


def is_list(kind: str) -> bool:
    """Whether a kind is `List`, or `IngressList` and the like."""
    return kind.endswith("List")


def item_kind(kind: str) -> str:
    """The kind of the items of an IngressList, "" where the items must say it themselves."""
    return kind.removesuffix("List")


def meant_for_us(kind: str, version: str) -> str:
    """Why an object is not read although it looks like one of ours, "" for everything else."""
    group = version.rpartition("/")[0]
    if kind in API_VERSIONS and group in OUR_GROUPS:
        return f"{kind} of {version[:60]} is not read, expected apiVersion {API_VERSIONS[kind]}"
    if version in OTHER_KINDS and not is_list(kind) and kind not in OTHER_KINDS[version]:
        ours = ", ".join(name for name, known in API_VERSIONS.items() if known == version)
        return f"there is no kind {kind[:60]} in {version}; gen reads {ours}"
    return ""


def admit(item: Object, where: Where, namespace: str) -> Entry:
    """An object that was read, with its namespace; one that is being deleted is no longer there for us."""
    meta = item.metadata
    if not meta.namespace and type(item).__name__ not in CLUSTER_SCOPED:
        item = replace(item, metadata=replace(meta, namespace=namespace))
    ref = ref_of(item)
    if meta.deletion_timestamp:
        message = "the object is being deleted, it is left out"
        field = "metadata.deletionTimestamp"
        return Fault("Deleted", message, where, field, ref.kind, ref.namespace, ref.name, "info")
    return Found(ref, item, where)


def fault_in(value: Mapping[str, object], error: BadValue, where: Where) -> Fault:
    """A fault of an object, which is named as far as its names are names."""
    meta = value.get("metadata")
    known = meta if isinstance(meta, Mapping) else {}
    kind = value.get("kind")
    return Fault(
        error.code,
        str(error),
        where,
        error.field,
        kind if isinstance(kind, str) and kind in KINDS else "",
        name_in(known, "namespace"),
        name_in(known, "name"),
    )


def name_in(meta: Mapping[str, object], field: str) -> str:
    """A name in metadata, "" where it is none."""
    text = meta.get(field)
    return text if isinstance(text, str) and is_name(text) else ""


def type_word(value: object) -> str:
    """What kind of value this is, for a message."""
    names = {list: "array", dict: "object", type(None): "null"}
    name = names.get(type(value), type(value).__name__)
    return TYPE_WORDS.get(name, name)


def steps_of(field: str) -> Steps:
    """The steps of a field: `spec.rules[0].host`, or `metadata.annotations[KEY]`."""
    return tuple(int(step["index"]) if step["index"] else step["key"] or step["name"] for step in STEP.finditer(field))
