"""Where clients reach the proxy: addresses that are given, those of a Service, or those of nodes."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Raw, Struct

from gen.k8s import Ref


class Address(Struct, frozen=True, order=True):
    """An entry of status.loadBalancer.ingress: one of the two is not ""."""

    ip: str = ""
    hostname: str = ""

    def document(self) -> dict[str, str]:
        """As the API has it."""
        return {"ip": self.ip} if self.ip else {"hostname": self.hostname}

    def __str__(self) -> str:
        return self.ip or self.hostname


class _Entry(Struct, frozen=True):
    ip: str | None = None
    hostname: str | None = None


class _LoadBalancer(Struct, frozen=True):
    ingress: tuple[_Entry, ...] | None = None


class _ServiceSpec(Struct, frozen=True, rename="camel"):
    type: str | None = None
    external_ips: tuple[str, ...] | None = msgspec.field(default=None, name="externalIPs")
    external_name: str | None = None
    cluster_ips: tuple[str, ...] | None = msgspec.field(default=None, name="clusterIPs")


class _Balanced(Struct, frozen=True, rename="camel"):
    load_balancer: _LoadBalancer | None = None


class _Service(Struct, frozen=True):
    spec: _ServiceSpec = _ServiceSpec()
    status: _Balanced | None = None


class _Meta(Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Ingress(Struct, frozen=True):
    metadata: _Meta = _Meta()
    status: _Balanced | None = None


class _NodeAddress(Struct, frozen=True):
    type: str
    address: str


class _Condition(Struct, frozen=True):
    type: str
    status: str


class _NodeStatus(Struct, frozen=True):
    addresses: tuple[_NodeAddress, ...] | None = None
    conditions: tuple[_Condition, ...] | None = None


class _NodeSpec(Struct, frozen=True):
    unschedulable: bool | None = None


class _Node(Struct, frozen=True):
    spec: _NodeSpec = _NodeSpec()
    status: _NodeStatus = _NodeStatus()


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


def address_of(text: str) -> Address:
    """An IP address, or else the name of a host."""
    try:
        return Address(ip=str(ipaddress.ip_address(text)))
    except ValueError:
        return Address(hostname=text)


def of_ingress(raw: Raw | bytes) -> tuple[tuple[Address, ...], str]:
    """What the status of an Ingress says, sorted, and in which version of it."""
    item = msgspec.json.decode(raw, type=_Ingress)
    return _balanced(item.status), item.metadata.resource_version


def of_service(raw: Raw) -> tuple[Address, ...]:
    """Where a Service is reached from outside, as far as its type has such a place; sorted.

    Source: ingress-nginx, statusAddressFromService.
    """
    item = msgspec.json.decode(raw, type=_Service)
    spec = item.spec
    external = [address_of(text) for text in spec.external_ips or ()]
    match spec.type:
        case "ExternalName":
            found = [Address(hostname=spec.external_name)] if spec.external_name else []
        case "LoadBalancer":
            found = [*_balanced(item.status), *external]
        case _:
            own = [address_of(text) for text in (spec.cluster_ips or ())[:1] if text != "None"]
            found = external or own
    return tuple(sorted(set(found)))


def of_node(raw: Raw, *, internal: bool) -> tuple[Address, ...]:
    """The addresses of a node that is ready: the external ones unless only internal ones are there or wanted."""
    status = msgspec.json.decode(raw, type=_Node).status
    if not any((each.type, each.status) == ("Ready", "True") for each in status.conditions or ()):
        return ()
    by_type: dict[str, list[Address]] = {}
    for each in status.addresses or ():
        by_type.setdefault(each.type, []).append(address_of(each.address))
    inside, outside = by_type.get("InternalIP", []), by_type.get("ExternalIP", [])
    return tuple(sorted(set(inside if internal or not outside else outside)))


def _balanced(status: _Balanced | None) -> tuple[Address, ...]:
    entries = (status.load_balancer.ingress if status and status.load_balancer else None) or ()
    return tuple(sorted({Address(ip=each.ip or "", hostname=each.hostname or "") for each in entries}))


class AddressBook:
    """What is known of the places where clients reach the proxy.

    Shape: `given` count as they are; else what `note` was shown counts, once `is_synced`.  `changed` is called when
    something may be different.
    """

    def __init__(
        self, given: Iterable[str], *, internal: bool = False, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._given = tuple(sorted({address_of(text) for text in given}))
        self._internal, self._changed = internal, changed
        self._noted: dict[Ref, tuple[Address, ...]] = {}
        self.is_synced = bool(self._given)

    def note(self, ref: Ref, raw: Raw | None) -> None:
        """A Service or a Node as it is now; one that cannot be read is as it was."""
        try:
            found = self._read(ref.kind, raw) if raw is not None else ()
        except UNREADABLE:
            return
        if found != self._noted.get(ref, ()):
            self._noted[ref] = found
            self._changed()

    def sync(self) -> None:
        """Everything was noted at least once."""
        self.is_synced = True
        self._changed()

    def current(self) -> tuple[Address, ...]:
        """The addresses, sorted; none while they are not known, which never means that there are none."""
        if not self.is_synced:
            return ()
        return self._given or tuple(sorted({address for noted in self._noted.values() for address in noted}))

    def _read(self, kind: str, raw: Raw) -> tuple[Address, ...]:
        return of_service(raw) if kind == "Service" else of_node(raw, internal=self._internal)
