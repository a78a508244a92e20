"""The messages of the discovery protocol, as far as a server needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from backends.envoy.schema import fields_of, message_class
from backends.envoy.wire import LENGTH, VARINT, encoder

RESOURCE = "type.googleapis.com/envoy."
CLUSTERS = f"{RESOURCE}config.cluster.v3.Cluster"
ENDPOINTS = f"{RESOURCE}config.endpoint.v3.ClusterLoadAssignment"
SECRETS = f"{RESOURCE}extensions.transport_sockets.tls.v3.Secret"
LISTENERS = f"{RESOURCE}config.listener.v3.Listener"
ROUTES = f"{RESOURCE}config.route.v3.RouteConfiguration"

SHORT = {CLUSTERS: "CDS", ENDPOINTS: "EDS", SECRETS: "SDS", LISTENERS: "LDS", ROUTES: "RDS"}


def _numbers(message: str) -> dict[str, int]:
    """The numbers of a message's fields."""
    return {name: meta.number for name, meta in fields_of(message_class(message)).meta_by_field_name.items()}


_respond = encoder(message_class("envoy.service.discovery.v3.DiscoveryResponse"))
_respond_incrementally = encoder(message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse"))
_REQUEST = _numbers("envoy.service.discovery.v3.DiscoveryRequest")
_INCREMENTAL_REQUEST = _numbers("envoy.service.discovery.v3.DeltaDiscoveryRequest")
_MESSAGE = _numbers("google.rpc.Status")["message"]


class Request(Struct, frozen=True):
    """What Envoy says about one type of resource.

    Shape: `names` are all that it wants (none: everything); `nonce` names the response that this answers, "" at the
    beginning; `version` is the last one that it accepted; `error` is why it refused that response.
    """

    type_url: str
    names: frozenset[str] = frozenset()
    version: str = ""
    nonce: str = ""
    error: str | None = None


class IncrementalRequest(Struct, frozen=True):
    """What Envoy says about one type of resource, incrementally.

    Shape: `subscribed` and `unsubscribed` are the names that it begins and ceases to want; `known` the versions that it
    has from an earlier stream, by name; `nonce` and `error` as in Request.
    """

    type_url: str
    subscribed: frozenset[str] = frozenset()
    unsubscribed: frozenset[str] = frozenset()
    known: Mapping[str, str] = {}
    nonce: str = ""
    error: str | None = None


class Read:
    """The fields of a message, without message objects: requests can carry the names of all clusters."""

    def __init__(self, data: bytes, numbers: Mapping[str, int]) -> None:
        self._numbers = numbers
        self._found: dict[int, list[bytes]] = {}
        for number, value in fields(data):
            self._found.setdefault(number, []).append(value)

    def each(self, name: str) -> list[bytes]:
        """All values of a field."""
        return self._found.get(self._numbers[name], [])

    def text(self, name: str) -> str:
        """The text in a field, "" where there is none."""
        return (self.each(name) or [b""])[-1].decode()

    def texts(self, name: str) -> frozenset[str]:
        """All texts in a field."""
        return frozenset(map(bytes.decode, self.each(name)))

    def error(self) -> str | None:
        """Why something was refused, None where it was not."""
        errors = self.each("error_detail")
        return dict(fields(errors[-1])).get(_MESSAGE, b"").decode("utf-8", "replace") if errors else None


def read_request(data: bytes) -> Request:
    """A DiscoveryRequest.  Raises ValueError for bytes that are none."""
    read = Read(data, _REQUEST)
    return Request(
        type_url=read.text("type_url"),
        names=read.texts("resource_names"),
        version=read.text("version_info"),
        nonce=read.text("response_nonce"),
        error=read.error(),
    )


def read_incremental_request(data: bytes) -> IncrementalRequest:
    """A DeltaDiscoveryRequest.  Raises ValueError for bytes that are none."""
    read = Read(data, _INCREMENTAL_REQUEST)
    known = [dict(fields(entry)) for entry in read.each("initial_resource_versions")]
    return IncrementalRequest(
        type_url=read.text("type_url"),
        subscribed=read.texts("resource_names_subscribe"),
        unsubscribed=read.texts("resource_names_unsubscribe"),
        known={entry.get(1, b"").decode(): entry.get(2, b"").decode() for entry in known},
        nonce=read.text("response_nonce"),
        error=read.error(),
    )


def response(type_url: str, version: str, nonce: str, resources: Iterable[bytes]) -> bytes:
    """A DiscoveryResponse; each resource is an encoded Any."""
    content = {"version_info": version, "resources": resources, "type_url": type_url, "nonce": nonce}
    return _respond(content)


def incremental_response(
    type_url: str, version: str, nonce: str, resources: Iterable[tuple[str, str, bytes]], removed: Iterable[str]
) -> bytes:
    """A DeltaDiscoveryResponse; each resource has a name, a version and an encoded Any."""
    content = {
        "system_version_info": version,
        "resources": [{"name": name, "version": each, "resource": body} for name, each, body in resources],
        "type_url": type_url,
        "removed_resources": removed,
        "nonce": nonce,
    }
    return _respond_incrementally(content)


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Numbers and contents of the fields that have a length; numbers are passed over.  Raises ValueError."""
    place, end = 0, len(data)
    while place < end:
        tag, place = read_varint(data, place)
        if tag & 7 == LENGTH:
            size, place = read_varint(data, place)
            yield tag >> 3, data[place : place + size]
            place += size
        elif tag & 7 == VARINT:
            _, place = read_varint(data, place)
        else:
            place += 8 if tag & 7 == 1 else 4
    if place != end:
        raise ValueError("a message was cut short")


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """A number and the place after it.  Raises ValueError."""
    number = shift = 0
    while place < len(data) and shift < 64:
        byte = data[place]
        number |= (byte & 0x7F) << shift
        place += 1
        shift += 7
        if byte < 0x80:
            return number, place
    raise ValueError("a message was cut short")
