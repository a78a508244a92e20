"""The messages of the discovery protocol, as far as a server needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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

_respond = encoder(message_class("envoy.service.discovery.v3.DiscoveryResponse"))
_request = fields_of(message_class("envoy.service.discovery.v3.DiscoveryRequest"))
_REQUEST = {name: meta.number for name, meta in _request.meta_by_field_name.items()}
_MESSAGE = fields_of(message_class("google.rpc.Status")).meta_by_field_name["message"].number


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


def read_request(data: bytes) -> Request:
    """A DiscoveryRequest.  Raises ValueError for bytes that are none.

    The request that acknowledges endpoints carries the names of all clusters, so it is read without message objects.
    """
    found: dict[int, list[bytes]] = {}
    for number, value in fields(data):
        found.setdefault(number, []).append(value)

    def text(name: str) -> str:
        return found.get(_REQUEST[name], [b""])[-1].decode()

    errors = found.get(_REQUEST["error_detail"])
    return Request(
        type_url=text("type_url"),
        names=frozenset(map(bytes.decode, found.get(_REQUEST["resource_names"], ()))),
        version=text("version_info"),
        nonce=text("response_nonce"),
        error=dict(fields(errors[-1])).get(_MESSAGE, b"").decode("utf-8", "replace") if errors else None,
    )


def response(type_url: str, version: str, nonce: str, resources: Iterable[bytes]) -> bytes:
    """A DiscoveryResponse; each resource is an encoded Any."""
    content = {"version_info": version, "resources": resources, "type_url": type_url, "nonce": nonce}
    return _respond(content)


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
