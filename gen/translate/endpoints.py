"""The endpoints behind a port of a Service, from its EndpointSlices or its Endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from gen.dialects import values
from gen.errors import BadValue
from gen.ir import Endpoint, Issue, Source
from gen.k8s import Conditions, Endpoints, EndpointSlice, Port, SliceEndpoint, SlicePort

_READY = Conditions()


class Found(Struct, frozen=True):
    """Endpoints, sorted and without duplicates, and what was wrong with the others."""

    endpoints: tuple[Endpoint, ...] = ()
    issues: tuple[Issue, ...] = ()


def of_slices(slices: Iterable[EndpointSlice], port: Port | int, *, publish: bool, allow_loopback: bool) -> Found:
    """What the slices of a Service hold for one of its ports; a number takes every endpoint at that very port.

    As kube-proxy does it, endpoints that terminate but still serve are used where none is ready.
    Source: KEP-1669, ProxyTerminatingEndpoints.
    """
    collecting = _Collecting(allow_loopback)
    for item in slices:
        source = Source("EndpointSlice", item.metadata.namespace or "default", item.metadata.name)
        if item.address_type not in {"IPv4", "IPv6"}:
            message = f"the address type {values.shown(item.address_type)} cannot be used, expected IPv4 or IPv6"
            collecting.issues.append(Issue(source.at("addressType"), "AddressTypeUnsupported", message))
            continue
        number = _port_of(item.ports or (), port)
        if number is not None:
            collecting.add(item.endpoints or (), number, source, publish=publish)
    return collecting.found()


def of_endpoints(item: Endpoints | None, port: Port | int, *, publish: bool, allow_loopback: bool) -> Found:
    """The same from an old-style Endpoints object, None where there is not even that."""
    if item is None:
        return Found()
    collecting = _Collecting(allow_loopback)
    source = Source("Endpoints", item.metadata.namespace or "default", item.metadata.name)
    for subset in item.subsets or ():
        number = _port_of(subset.ports or (), port)
        if number is None:
            continue
        waiting = subset.not_ready_addresses or () if publish else ()
        addresses = (*(subset.addresses or ()), *waiting)
        collecting.add([SliceEndpoint((address.ip,)) for address in addresses], number, source, publish=publish)
    return collecting.found()


def _port_of(ports: Sequence[SlicePort], port: Port | int) -> int | None:
    """The number of a Service's port in a slice: ports are paired by name, an unnamed one is the only one."""
    if isinstance(port, int):
        return port
    for candidate in ports:
        if (candidate.name or "") == (port.name or "") and candidate.protocol in {None, "TCP"}:
            return candidate.port
    return None


class _Collecting:
    """The endpoints of one port, while they are gathered from several objects."""

    def __init__(self, allow_loopback: bool) -> None:
        self._allow_loopback = allow_loopback
        self._ready: dict[tuple[str, int], Endpoint] = {}
        self._terminating: dict[tuple[str, int], Endpoint] = {}
        self.issues: list[Issue] = []

    def add(self, endpoints: Iterable[SliceEndpoint], port: int, source: Source, *, publish: bool) -> None:
        try:
            values.port(port)
        except BadValue as fault:
            self.issues.append(Issue(source.at("ports"), fault.code, str(fault)))
            return
        for index, endpoint in enumerate(endpoints):
            state = endpoint.conditions or _READY
            if publish or state.ready is not False:
                group = self._ready
            elif state.serving and state.terminating:
                group = self._terminating
            else:
                continue
            address = self._address(endpoint, source, index)
            if address:
                group.setdefault((address, port), Endpoint(address, port, zone=endpoint.zone or ""))

    def _address(self, endpoint: SliceEndpoint, source: Source, index: int) -> str:
        text = endpoint.addresses[0] if endpoint.addresses else ""
        try:
            return values.address(text, allow_loopback=self._allow_loopback)
        except BadValue as fault:
            self.issues.append(Issue(source.at(f"endpoints[{index}].addresses[0]"), "AddressDenied", str(fault)))
            return ""

    def found(self) -> Found:
        return Found(tuple(sorted((self._ready or self._terminating).values())), tuple(self.issues))
