"""The encoder against the message classes' own encoding, for whatever their schema allows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from betterproto2 import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.envoy import discovery, wire
from backends.envoy.discovery import Request, read_request
from backends.envoy.schema import fields_of, message_class

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning")  # of fields, by their classes

MESSAGES = (
    *discovery.SHORT,
    "envoy.config.route.v3.VirtualHost",
    "envoy.config.listener.v3.FilterChain",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    "envoy.extensions.clusters.dns.v3.DnsCluster",
    "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
    "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
    "envoy.extensions.filters.http.lua.v3.Lua",
    "envoy.extensions.filters.http.buffer.v3.Buffer",
)
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
JSON = st.recursive(
    st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}


def values(meta: Any, content: Any, depth: int) -> st.SearchStrategy[Any]:
    """What a single value of a field can be, in the form that the encoder takes."""
    kind = meta.proto_type
    if kind == "message":
        wrapper = meta.unwrap() if meta.unwrap else content
        return wrapped(wrapper, depth)
    if kind == "enum":
        return st.sampled_from(sorted(numbers(content)))
    if kind in INTEGERS:
        return st.integers(*INTEGERS[kind])
    simple: dict[str, st.SearchStrategy[Any]] = {
        "bool": st.booleans(),
        "string": TEXT,
        "bytes": st.binary(max_size=4),
        "double": st.floats(allow_nan=False),
        "float": st.floats(width=32, allow_nan=False),
    }
    return simple[kind]


def numbers(enum: Any) -> dict[str, int]:
    """The numbers of an enum by their names in the .proto file."""
    return {**{member.name: member.value for member in enum}, **enum.betterproto_renamed_proto_names_to_value()}


def wrapped(message: type[Message], depth: int) -> st.SearchStrategy[Any]:
    """What a message can be."""
    name = message.__name__
    if message.__module__.endswith("google.protobuf"):
        if name == "Duration":
            return st.integers(0, 10**9).map(lambda number: f"{number // 1000}.{number % 1000:03}s")
        if name == "Any":
            return dicts(message_class(ROUTER), depth - 1).map(lambda content: {"@type": ROUTER, **content})
        if name == "Struct":
            return st.dictionaries(TEXT, JSON, max_size=2)
        if "value" in fields_of(message).meta_by_field_name and name.endswith("Value"):
            return values(fields_of(message).meta_by_field_name["value"], fields_of(message).cls_by_field["value"], 0)
        return st.nothing()
    return dicts(message, depth - 1)


@st.composite
def dicts(draw: st.DrawFn, message: type[Message], depth: int) -> dict[str, Any]:
    """A dict for a message: some of its fields, never two of one group."""
    if depth <= 0:
        return {}
    metadata = fields_of(message)
    usable = list(metadata.meta_by_field_name)
    names = draw(st.lists(st.sampled_from(usable), max_size=4, unique=True)) if usable else []
    content: dict[str, Any] = {}
    groups = set()
    for name in names:
        meta = metadata.meta_by_field_name[name]
        if meta.group and meta.group in groups:
            continue
        groups.add(meta.group)
        if meta.map_meta:
            inner = values(meta.map_meta[1], metadata.cls_by_field[f"{name}.value"], depth)
            strategy: st.SearchStrategy[Any] = st.dictionaries(TEXT, inner, max_size=2)
        else:
            strategy = values(meta, metadata.cls_by_field[name], depth)
            strategy = st.lists(strategy, max_size=2) if meta.repeated else strategy
        if not strategy.is_empty:
            content[name] = draw(strategy)
    return content


@given(data=st.data(), name=st.sampled_from(MESSAGES))
@settings(max_examples=300)
def test_what_is_written_is_what_the_classes_read(data: st.DataObject, name: str) -> None:
    message = message_class(name)
    content = data.draw(dicts(message, 4))
    assert says(message.parse(wire.encoder(message)(content)), content)


def says(message: Any, content: dict[str, Any]) -> bool:
    """Whether a parsed message has the fields of a dict, and no others."""
    metadata, blank = fields_of(type(message)), type(message)()
    for name, meta in metadata.meta_by_field_name.items():
        value = getattr(message, name)
        if name not in content:
            assert value == getattr(blank, name), (name, value)
            continue
        expected = content[name]
        if meta.map_meta:
            assert value.keys() == expected.keys()
            assert all(same(meta.map_meta[1], value[key], expected[key]) for key in expected)
        elif meta.repeated:
            assert len(value) == len(expected)
            assert all(same(meta, one, other) for one, other in zip(value, expected, strict=True))
        else:
            assert same(meta, value, expected), (name, value, expected)
    return True


def same(meta: Any, value: Any, expected: Any) -> bool:
    """Whether a parsed value is what was written."""
    if isinstance(value, timedelta):
        return bool(value == timedelta(milliseconds=round(float(expected[:-1]) * 1000)))
    if type(value).__name__ == "Any":
        inner = message_class(expected["@type"])
        fields = {name: item for name, item in expected.items() if name != "@type"}
        return value.type_url == expected["@type"] and says(inner.parse(value.value), fields)
    if type(value).__name__ == "Struct":
        return bool(value.to_dict() == expected)
    if isinstance(value, Message):
        return says(value, expected)
    if meta.proto_type == "enum":
        return bool(value == numbers(type(value))[expected])
    return bool(value == expected)


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"nome": "x"}, ValueError),
        ({"type": "EDSS"}, ValueError),
        ({"name": 5}, TypeError),
        ({"connect_timeout": 5}, TypeError),
        ({"connect_timeout": "5 s"}, TypeError),
        ({"ignore_health_on_host_removal": "yes"}, TypeError),
        ({"per_connection_buffer_limit_bytes": True}, TypeError),
        ({"per_connection_buffer_limit_bytes": "5"}, TypeError),
        ({"transport_socket": {"typed_config": {"@type": "type.googleapis.com/envoy.Nothing"}}}, ValueError),
    ],
)
def test_what_the_schema_does_not_have_is_an_error(content: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        wire.encoder(message_class(discovery.CLUSTERS))(content)


def test_text_where_bytes_are_wanted_is_an_error() -> None:
    encode = wire.encoder(message_class("envoy.config.core.v3.DataSource"))
    assert encode({"inline_bytes": b"\xff"}).endswith(b"\xff")
    with pytest.raises(TypeError):
        encode({"inline_bytes": "text"})


# ------------------------------------------------------------------ the discovery messages


@given(
    names=st.frozensets(TEXT.filter(bool), max_size=5),
    version=TEXT,
    nonce=TEXT,
    error=st.none() | TEXT,
    number=st.integers(1, 2**31 - 1),
)
def test_requests_are_read_as_they_were_meant(
    names: frozenset[str], version: str, nonce: str, error: str | None, number: int
) -> None:
    content: dict[str, Any] = {
        "node": {"id": "x", "cluster": "y", "user_agent_build_version": {"version": {"major_number": number}}},
        "version_info": version,
        "resource_names": sorted(names),
        "type_url": discovery.ROUTES,
        "response_nonce": nonce,
    }
    if error is not None:
        content["error_detail"] = {"code": 13, "message": error}
    data = wire.encoder(message_class("envoy.service.discovery.v3.DiscoveryRequest"))(content)
    assert read_request(data) == Request(discovery.ROUTES, names, version, nonce, error)


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\xff" * 12, b"\x0d\x01"])
def test_requests_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="cut short"):
        read_request(data)


def test_responses_are_what_the_classes_read() -> None:
    message: Any = message_class("envoy.service.discovery.v3.DiscoveryResponse")
    resource = wire.packed_any(discovery.CLUSTERS, wire.encoder(message_class(discovery.CLUSTERS))({"name": "a"}))
    parsed = message.parse(discovery.response(discovery.CLUSTERS, "v1", "7", [resource, resource]))
    assert (parsed.version_info, parsed.type_url, parsed.nonce) == ("v1", discovery.CLUSTERS, "7")
    assert [each.type_url for each in parsed.resources] == [discovery.CLUSTERS] * 2
    assert message_class(discovery.CLUSTERS).parse(parsed.resources[0].value).name == "a"  # type: ignore[attr-defined]
