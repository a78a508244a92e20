"""The upstream unit: from `namespace/service:port` to the endpoints behind it."""

from __future__ import annotations

from gen.dialects import values
from gen.errors import BadValue
from gen.ir import DnsName, Endpoint, Issue, Severity, Source, Upstream
from gen.k8s import EndpointSlice, Endpoints, Port, Service
from gen.translate.endpoints import Found, of_endpoints, of_slices
from gen.translate.settings import Settings
from gen.translate.units import Result, UnitReader


def upstream(settings: Settings, read: UnitReader, upstream_id: str) -> Result[Upstream]:
    """The upstream of an id; one that cannot be found has no endpoints, and its faults say why."""
    return _Resolving(settings, read, upstream_id).result()


def default(settings: Settings, read: UnitReader, _: str) -> Result[str]:
    """The id of the upstream of --default-backend-service, "" where there is none: the first port of that Service."""
    namespace, _, name = settings.default_backend_service.partition("/")
    if not name:
        return Result("")
    source = Source("Flag", "", "--default-backend-service")
    found = read.get(Service, namespace, name)
    port = next((port.port for port in (found.spec.ports or () if found else ()) if port.protocol in {None, "TCP"}), None)
    if port is None:
        return Result("", (Issue(source, "ServiceNotFound", f"Service {namespace}/{name} with a port was not found"),))
    return Result(f"{namespace}/{name}:{port}")


class _Resolving:
    """One upstream while it is being resolved."""

    def __init__(self, settings: Settings, read: UnitReader, upstream_id: str) -> None:
        self._settings = settings
        self._read = read
        self._id = upstream_id
        self._issues: list[Issue] = []
        self._faults: list[tuple[str, str]] = []
        full_name, _, self._port = upstream_id.rpartition(":")
        self._namespace, _, self._name = full_name.partition("/")
        self._source = Source("Service", self._namespace, self._name)

    def result(self) -> Result[Upstream]:
        endpoints, dns = self._resolved(self._namespace, self._name, self._port, ())
        value = Upstream(self._id, endpoints, dns, source=self._source)
        return Result(value, tuple(self._issues), tuple(self._faults))

    def _resolved(self, namespace: str, name: str, wanted: str, seen: tuple[str, ...]):  # type: ignore[no-untyped-def]
        service = self._read.get(Service, namespace, name)
        if service is None:
            self._fault("ServiceNotFound", f"Service {namespace}/{name} was not found")
            return (), None
        if service.spec.type == "ExternalName":
            return self._external(service, namespace, name, wanted, seen)
        port = find_port(service, wanted, matches_target=self._settings.rules.matches_target_port)
        if port is None:
            self._fault("PortNotFound", f"Service {namespace}/{name} has no TCP port {wanted}")
            return (), None
        return self._endpoints(service, namespace, name, port)

    def _endpoints(self, service: Service, namespace: str, name: str, port: Port):  # type: ignore[no-untyped-def]
        publish = bool(service.spec.publish_not_ready_addresses)
        slices = self._read.find(EndpointSlice, "slices by service", f"{namespace}/{name}")
        if slices:
            found = of_slices(slices, port, publish=publish, allow_loopback=self._settings.allow_loopback)
        else:
            old = self._read.get(Endpoints, namespace, name)
            if old is None and self._settings.offline and not self._has_endpoints():
                return self._by_address(service, namespace, name, port)
            found = of_endpoints(old, port, publish=publish, allow_loopback=self._settings.allow_loopback)
        return self._reported(found), None

    def _has_endpoints(self) -> bool:
        return self._read.has("kind", "EndpointSlice") or self._read.has("kind", "Endpoints")

    def _reported(self, found: Found) -> tuple[Endpoint, ...]:
        self._issues.extend(found.issues)
        if not found.endpoints:
            self._say("", "NoEndpoints", f"no endpoint is ready for port {self._port}, requests get 503", "warning")
        return found.endpoints

    def _by_address(self, service: Service, namespace: str, name: str, port: Port):  # type: ignore[no-untyped-def]
        """Without a cluster: the address that the Service has in it."""
        address = service.spec.cluster_ip or ""
        self._say("", "EndpointsMissing", "the input has no endpoints at all, so the cluster address is used", "info")
        if address and address != "None":
            try:
                return (Endpoint(values.address(address, allow_loopback=self._settings.allow_loopback), port.port),), None
            except BadValue as fault:
                self._say("spec.clusterIP", "AddressDenied", str(fault))
                return (), None
        number = port.target_port if address == "None" and isinstance(port.target_port, int) else port.port
        return (), DnsName(f"{name}.{namespace}.svc.{self._settings.cluster_domain}", number)

    # -------------------------------------------------------------- ExternalName

    def _external(self, service, namespace, name, wanted, seen):  # type: ignore[no-untyped-def]
        place = f"{namespace}/{name}"
        if not self._settings.allow_external_name:
            return self._denied(service, "ExternalName Services are switched off")
        if place in seen:
            return self._denied(service, "it leads back to itself")
        port = _external_port(service, wanted)
        if port is None:
            self._fault("PortNotFound", f"Service {place} has no port {wanted}")
            return (), None
        target = (service.spec.external_name or "").removesuffix(".").lower()
        suffix = f".svc.{self._settings.cluster_domain}"
        inner = target.removesuffix(suffix).split(".") if target.endswith(suffix) else []
        if len(inner) == 2:
            return self._inner(inner[1], inner[0], port, (*seen, place))
        return self._outer(service, target, port)

    def _inner(self, namespace: str, name: str, port: int, seen: tuple[str, ...]):  # type: ignore[no-untyped-def]
        """The Service that a name of the cluster stands for: by its own port, or its bare endpoints if headless."""
        service = self._read.get(Service, namespace, name)
        if service is not None and service.spec.cluster_ip == "None" and service.spec.type != "ExternalName":
            slices = self._read.find(EndpointSlice, "slices by service", f"{namespace}/{name}")
            publish = bool(service.spec.publish_not_ready_addresses)
            found = of_slices(slices, port, publish=publish, allow_loopback=self._settings.allow_loopback)
            return self._reported(found), None
        return self._resolved(namespace, name, str(port), seen)

    def _outer(self, service: Service, target: str, port: int):  # type: ignore[no-untyped-def]
        try:
            if target.replace(".", "").isdigit() or ":" in target:
                return (Endpoint(values.address(target, allow_loopback=False), port),), None
            name = values.host(target)
            if name.startswith("*.") or name == "localhost" or name.endswith(".localhost"):
                return self._denied(service, f"{values.shown(target)} is no name that a proxy may be pointed at")
        except BadValue as fault:
            return self._denied(service, str(fault))
        return (), DnsName(name, port)

    def _denied(self, service: Service, message: str):  # type: ignore[no-untyped-def]
        source = Source("Service", service.metadata.namespace or "default", service.metadata.name)
        self._issues.append(Issue(source.at("spec.externalName"), "ExternalNameDenied", message))
        return (), None

    def _fault(self, code: str, message: str) -> None:
        self._faults.append((code, message))

    def _say(self, field: str, code: str, message: str, severity: Severity = "error") -> None:
        self._issues.append(Issue(self._source.at(field), code, message, severity))


def find_port(service: Service, wanted: str, *, matches_target: bool) -> Port | None:
    """The TCP port of a Service by number or name, or by target port where the profile looks there, too."""
    ports = [port for port in service.spec.ports or () if port.protocol in {None, "TCP"}]
    for port in ports:
        if wanted in (str(port.port), port.name):
            return port
    return next((port for port in ports if matches_target and str(port.target_port) == wanted), None)


def _external_port(service: Service, wanted: str) -> int | None:
    port = find_port(service, wanted, matches_target=False)
    if port is not None:
        return port.target_port if isinstance(port.target_port, int) else port.port
    return int(wanted) if wanted.isdigit() and not service.spec.ports else None
