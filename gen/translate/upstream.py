"""The upstream unit: from `namespace/service:port` to the endpoints behind it."""

from __future__ import annotations

from msgspec import Struct

from gen.dialects import values
from gen.errors import BadValue
from gen.ir import DnsName, Endpoint, Issue, Severity, Source, Upstream
from gen.k8s import Endpoints, EndpointSlice, Port, Service
from gen.translate.endpoints import of_endpoints, of_slices
from gen.translate.settings import Settings
from gen.translate.units import Result, UnitReader


def upstream(settings: Settings, read: UnitReader, upstream_id: str) -> Result[Upstream]:
    """The upstream of an id; one that cannot be found has no endpoints, and its faults say why."""
    return _Resolving(settings, read, upstream_id).result()


def default(settings: Settings, read: UnitReader, _: str) -> Result[str]:
    """The id of the upstream of --default-backend-service: the first port of that Service, "" where there is none."""
    if not settings.default_backend_service:
        return Result("")
    namespace, _, name = settings.default_backend_service.partition("/")
    service = read.get(Service, namespace, name)
    ports = _tcp_ports(service) if service else []
    if not ports:
        message = f"Service {namespace}/{name} with a TCP port was not found"
        return Result("", (Issue(Source("Flag", "", "--default-backend-service"), "ServiceNotFound", message),))
    return Result(f"{namespace}/{name}:{ports[0].port}")


class _Target(Struct, frozen=True):
    """Where an upstream leads: endpoints, or a name, or neither."""

    endpoints: tuple[Endpoint, ...] = ()
    dns: DnsName | None = None


_NOWHERE = _Target()


class _Resolving:
    """One upstream while it is being resolved."""

    def __init__(self, settings: Settings, read: UnitReader, upstream_id: str) -> None:
        self._settings = settings
        self._read = read
        self._id = upstream_id
        self._by_service = False
        self._issues: list[Issue] = []
        self._faults: list[tuple[str, str]] = []

    def result(self) -> Result[Upstream]:
        full_name, _, port = self._id.rpartition(":")
        namespace, slash, name = full_name.partition("/")
        if slash:
            port, self._by_service = port.removesuffix("@service"), port.endswith("@service")
            source = Source("Service", namespace, name)
            target = self._service(namespace, name, port, ())
        else:
            source = Source("URL", "", self._id)
            target = self._named(full_name, int(port), source)
        value = Upstream(self._id, target.endpoints, target.dns, source=source)
        return Result(value, tuple(self._issues), tuple(self._faults))

    def _service(self, namespace: str, name: str, wanted: str, seen: tuple[str, ...]) -> _Target:
        """Where a port of a Service leads; `seen` are the ExternalName Services that led here."""
        service = self._read.get(Service, namespace, name)
        if service is None:
            return self._fault("ServiceNotFound", f"Service {namespace}/{name} was not found")
        source = Source("Service", namespace, name)
        if service.spec.type == "ExternalName":
            return self._external(service, source, wanted, seen)
        port: Port | int | None
        if seen and service.spec.cluster_ip == "None":
            port = int(wanted)
        else:
            port = _find_port(service, wanted, by_target=self._settings.rules.matches_target_port and not seen)
        if port is None:
            return self._fault("PortNotFound", f"Service {namespace}/{name} has no TCP port {wanted}")
        return self._endpoints(service, source, port)

    def _endpoints(self, service: Service, source: Source, port: Port | int) -> _Target:
        address = service.spec.cluster_ip
        if self._by_service and address and address != "None":
            number = port if isinstance(port, int) else port.port
            return self._address(source.at("spec.clusterIP"), address, number, "AddressDenied")
        publish = bool(service.spec.publish_not_ready_addresses)
        loopback = self._settings.allow_loopback
        slices = self._read.find(EndpointSlice, "slices by service", f"{source.namespace}/{source.name}")
        if slices:
            found = of_slices(slices, port, publish=publish, allow_loopback=loopback)
        else:
            old = self._read.get(Endpoints, source.namespace, source.name)
            if old is None and self._settings.offline and not self._has_endpoints():
                return self._cluster_address(service, source, port)
            found = of_endpoints(old, port, publish=publish, allow_loopback=loopback)
        self._issues.extend(found.issues)
        if not found.endpoints:
            self._say(source, "NoEndpoints", f"no endpoint of {self._id} is ready, requests get 503", "warning")
        return _Target(found.endpoints)

    def _has_endpoints(self) -> bool:
        return self._read.has("kind", "EndpointSlice") or self._read.has("kind", "Endpoints")

    def _cluster_address(self, service: Service, source: Source, port: Port | int) -> _Target:
        """Without a cluster: the address that the Service has in it, or its name."""
        message = "the input has no endpoints at all, so the address in the cluster stands for them"
        self._say(source, "EndpointsMissing", message, "info")
        number = port if isinstance(port, int) else port.port
        address = service.spec.cluster_ip
        if address and address != "None":
            return self._address(source.at("spec.clusterIP"), address, number, "AddressDenied")
        if address == "None" and isinstance(port, Port) and isinstance(port.target_port, int):
            number = port.target_port
        return _Target(dns=DnsName(f"{source.name}.{source.namespace}.svc.{self._settings.cluster_domain}", number))

    # -------------------------------------------------------------- ExternalName

    def _external(self, service: Service, source: Source, wanted: str, seen: tuple[str, ...]) -> _Target:
        """A name of the cluster is followed here, as a CNAME would be; any other name is left to the proxy."""
        place, source = f"{source.namespace}/{source.name}", source.at("spec.externalName")
        if not self._settings.allow_external_name:
            return self._deny(source, "ExternalName Services are switched off")
        if place in seen:
            return self._deny(source, "it leads back to itself")
        port = int(wanted) if seen else _external_port(service, wanted)
        if port is None:
            return self._fault("PortNotFound", f"Service {place} has no port {wanted}")
        target = (service.spec.external_name or "").removesuffix(".").lower()
        return self._name(target, port, source, (*seen, place))

    def _named(self, name: str, port: int, source: Source) -> _Target:
        """Where the host of a URL leads, an address in brackets or not."""
        address = name.strip("[]")
        if ":" in address or address.replace(".", "").isdigit():
            return self._address(source, address, port, "AddressDenied")
        return self._name(address.removesuffix("."), port, source, (name,))

    def _name(self, target: str, port: int, source: Source, seen: tuple[str, ...]) -> _Target:
        """Where a name leads."""
        inner = target.removesuffix(f".svc.{self._settings.cluster_domain}")
        if inner != target and inner.count(".") == 1:
            name, _, namespace = inner.partition(".")
            return self._service(namespace, name, str(port), seen)
        if ":" in target or target.replace(".", "").isdigit():
            return self._address(source, target, port, "ExternalNameDenied")
        return self._outside(source, target, port)

    def _outside(self, source: Source, target: str, port: int) -> _Target:
        try:
            name = values.host(target)
        except BadValue as fault:
            return self._deny(source, str(fault))
        if name.startswith("*.") or name == "localhost" or name.endswith(".localhost"):
            return self._deny(source, f"{values.shown(target)} is not a name that a proxy may be pointed at")
        return _Target(dns=DnsName(name, port))

    def _address(self, source: Source, address: str, port: int, code: str) -> _Target:
        allow = self._settings.allow_loopback and code == "AddressDenied"
        try:
            return _Target((Endpoint(values.address(address, allow_loopback=allow), port),))
        except BadValue as fault:
            self._say(source, code, str(fault))
            return _NOWHERE

    def _deny(self, source: Source, message: str) -> _Target:
        self._say(source, "ExternalNameDenied", message)
        return _NOWHERE

    def _fault(self, code: str, message: str) -> _Target:
        self._faults.append((code, message))
        return _NOWHERE

    def _say(self, source: Source, code: str, message: str, severity: Severity = "error") -> None:
        self._issues.append(Issue(source, code, message, severity))


def _tcp_ports(service: Service) -> list[Port]:
    return [port for port in service.spec.ports or () if port.protocol in {None, "TCP"}]


def _find_port(service: Service, wanted: str, *, by_target: bool) -> Port | None:
    """The TCP port of a Service by number or name, else by target port where the profile looks there, too."""
    ports = _tcp_ports(service)
    for port in ports:
        if wanted in (str(port.port), port.name):
            return port
    return next((port for port in ports if by_target and str(port.target_port) == wanted), None)


def _external_port(service: Service, wanted: str) -> int | None:
    """The port number for an ExternalName: the one that its Service maps to, else the one that was asked for."""
    if not service.spec.ports:
        return int(wanted) if wanted.isdigit() else None
    port = _find_port(service, wanted, by_target=False)
    if port is None:
        return None
    return port.target_port if isinstance(port.target_port, int) else port.port
