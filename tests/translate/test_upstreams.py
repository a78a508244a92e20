"""From a Service's port to endpoints: ports, slices, conditions, ExternalName, and input without endpoints."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gen.ir import DnsName, Upstream
from gen.translate import Settings, Translation
from tests.live.manifests import Manifest, endpoint_slice, ingress, manifest, path, service
from tests.translate.translating import FILES, codes, translate

LIKE_NGINX = msgspec.structs.replace(FILES, profile="ingress-nginx")
OFFLINE = msgspec.structs.replace(FILES, offline=True)


def ask(*items: Manifest, name: str = "s", port: int | str = 80, settings: Settings = FILES) -> Translation:
    """The translation of objects and of an Ingress that leads to a port of a Service."""
    return translate([ingress("i", "t1", {"a.example": [path("/", name, port)]}), *items], settings)


def found(*items: Manifest, name: str = "s", port: int | str = 80, settings: Settings = FILES) -> Upstream:
    return ask(*items, name=name, port=port, settings=settings).config.upstreams[f"t1/{name}:{port}"]


def places(upstream: Upstream) -> list[str]:
    return [f"{endpoint.address}:{endpoint.port}" for endpoint in upstream.endpoints]


def external(name: str, target: str, *ports: Manifest, namespace: str = "t1") -> Manifest:
    spec: Manifest = {"type": "ExternalName", "externalName": target}
    return manifest("v1", "Service", name, namespace, spec=spec | ({"ports": list(ports)} if ports else {}))


def slice_of(*endpoints: Manifest, ports: Any = None, suffix: str = "1", family: str = "IPv4") -> Manifest:
    item = endpoint_slice("s", "t1", [], suffix=suffix)
    item["endpoints"] = list(endpoints)
    item["addressType"] = family
    return item | ({"ports": ports} if ports is not None else {})


def endpoint(address: str, **conditions: bool) -> Manifest:
    return {"addresses": [address], "conditions": conditions}


# ---------------------------------------------------------------- ports


def two_ports() -> list[Manifest]:
    item = service("s", "t1")
    item["spec"]["ports"] = [
        {"name": "http", "port": 80, "targetPort": "web"},
        {"name": "admin", "port": 8000, "targetPort": 9000},
        {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"},
    ]
    ports = [
        {"name": "http", "port": 8080},
        {"name": "admin", "port": 9000},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]
    return [item, slice_of(endpoint("10.0.0.1"), ports=ports)]


@pytest.mark.parametrize(("port", "wanted"), [(80, 8080), ("http", 8080), (8000, 9000), ("admin", 9000)])
def test_ports_by_number_and_name(port: int | str, wanted: int) -> None:
    assert places(found(*two_ports(), port=port)) == [f"10.0.0.1:{wanted}"]


@pytest.mark.parametrize("port", [81, "web", 9000, 53, "dns"])
def test_ports_that_are_not_there(port: int | str) -> None:
    result = ask(*two_ports(), port=port)
    assert not result.config.upstreams[f"t1/s:{port}"].endpoints
    assert [str(issue.source) for issue in result.issues if issue.code == "PortNotFound"] == [
        "Ingress t1/i, spec.rules[0].http.paths[0]"
    ]


@pytest.mark.parametrize(("port", "wanted"), [(9000, 9000), ("web", 8080)])
def test_target_ports_count_in_ingress_nginx(port: int | str, wanted: int) -> None:
    assert places(found(*two_ports(), port=port, settings=LIKE_NGINX)) == [f"10.0.0.1:{wanted}"]


def test_the_port_of_a_service_goes_before_a_target_port() -> None:
    item = service("s", "t1")
    item["spec"]["ports"] = [{"name": "a", "port": 1, "targetPort": 2}, {"name": "b", "port": 2, "targetPort": 3}]
    ports = [{"name": "a", "port": 2}, {"name": "b", "port": 3}]
    both = slice_of(endpoint("10.0.0.1"), ports=ports)
    assert places(found(item, both, port=2, settings=LIKE_NGINX)) == ["10.0.0.1:3"]


def test_an_unnamed_port() -> None:
    item = service("s", "t1")
    item["spec"]["ports"] = [{"port": 80}]
    for ports in ([{"port": 8080}], [{"name": "", "port": 8080}]):
        assert places(found(item, slice_of(endpoint("10.0.0.1"), ports=ports))) == ["10.0.0.1:8080"]


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "LoadBalancer"])
def test_every_type_of_service_is_routed_to_its_endpoints(kind: str) -> None:
    item = service("s", "t1")
    item["spec"]["type"] = kind
    assert places(found(item, endpoint_slice("s", "t1", ["10.0.0.1"]))) == ["10.0.0.1:8080"]


# ---------------------------------------------------------------- endpoints


def test_several_slices_of_both_families_without_duplicates() -> None:
    slices = [
        slice_of(endpoint("10.0.0.2"), endpoint("10.0.0.1")),
        slice_of(endpoint("10.0.0.2"), endpoint("10.0.0.3"), suffix="2"),
        slice_of(endpoint("2001:db8::1"), suffix="3", family="IPv6"),
    ]
    wanted = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080", "2001:db8::1:8080"]
    assert places(found(service("s", "t1"), *slices)) == wanted


CONDITIONS = {
    "nothing said": ([endpoint("10.0.0.1")], ["10.0.0.1"]),
    "ready": ([endpoint("10.0.0.1", ready=True)], ["10.0.0.1"]),
    "not ready": ([endpoint("10.0.0.1", ready=False)], []),
    "serving but not ready": ([endpoint("10.0.0.1", ready=False, serving=True)], []),
    "terminating": ([endpoint("10.0.0.1", ready=False, serving=True, terminating=True)], ["10.0.0.1"]),
    "terminating and dead": ([endpoint("10.0.0.1", ready=False, serving=False, terminating=True)], []),
    "terminating beside ready": (
        [endpoint("10.0.0.1", ready=False, serving=True, terminating=True), endpoint("10.0.0.2", ready=True)],
        ["10.0.0.2"],
    ),
}


@pytest.mark.parametrize(("endpoints", "wanted"), CONDITIONS.values(), ids=list(CONDITIONS))
def test_conditions(endpoints: list[Manifest], wanted: list[str]) -> None:
    result = ask(service("s", "t1"), slice_of(*endpoints))
    assert [one.address for one in result.config.upstreams["t1/s:80"].endpoints] == wanted
    assert ("NoEndpoints" in codes(result, "warning")) is (not wanted)


def test_terminating_in_another_slice_than_ready() -> None:
    leaving = slice_of(endpoint("10.0.0.1", ready=False, serving=True, terminating=True))
    staying = slice_of(endpoint("10.0.0.2"), suffix="2")
    assert places(found(service("s", "t1"), leaving, staying)) == ["10.0.0.2:8080"]


def test_addresses_that_are_published_before_they_are_ready() -> None:
    item = service("s", "t1")
    item["spec"]["publishNotReadyAddresses"] = True
    assert places(found(item, slice_of(endpoint("10.0.0.1", ready=False)))) == ["10.0.0.1:8080"]


def old_endpoints(**subset: Any) -> Manifest:
    return manifest("v1", "Endpoints", "s", "t1", subsets=[{"ports": [{"name": "http", "port": 8080}], **subset}])


def test_old_endpoints_count_where_there_are_no_slices() -> None:
    old = old_endpoints(addresses=[{"ip": "10.0.0.9"}], notReadyAddresses=[{"ip": "10.0.0.8"}])
    assert places(found(service("s", "t1"), old)) == ["10.0.0.9:8080"]
    assert places(found(service("s", "t1"), old, endpoint_slice("s", "t1", ["10.0.0.1"]))) == ["10.0.0.1:8080"]


def test_slices_of_another_namespace_do_not_count() -> None:
    assert not places(found(service("s", "t1"), endpoint_slice("s", "t2", ["10.0.0.1"])))


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "/var/run/x.sock", "10.0.0.1:80", ""])
def test_denied_addresses_are_left_out(address: str) -> None:
    cluster = msgspec.structs.replace(FILES, allow_loopback=False)
    result = ask(service("s", "t1"), slice_of(endpoint(address), endpoint("10.0.0.1")), settings=cluster)
    assert places(result.config.upstreams["t1/s:80"]) == ["10.0.0.1:8080"]
    assert [str(issue.source) for issue in result.issues if issue.code == "AddressDenied"] == [
        "EndpointSlice t1/s-1, endpoints[0].addresses[0]"
    ]


def test_names_are_no_addresses() -> None:
    result = ask(service("s", "t1"), slice_of(endpoint("evil.example"), family="FQDN"))
    assert {"AddressTypeUnsupported", "NoEndpoints"} <= codes(result)


def test_a_service_that_is_missing() -> None:
    result = ask()
    assert result.config.upstreams["t1/s:80"].endpoints == ()
    assert [issue.message for issue in result.issues if issue.code == "ServiceNotFound"] == [
        "Service t1/s was not found"
    ]


def test_a_missing_service_is_told_at_every_route() -> None:
    item = ingress("i", "t1", {"a.example": [path("/a", "s"), path("/b", "s")], "b.example": [path("/", "s")]})
    places = [str(issue.source) for issue in translate([item]).issues if issue.code == "ServiceNotFound"]
    assert places == [
        "Ingress t1/i, spec.rules[0].http.paths[0]",
        "Ingress t1/i, spec.rules[0].http.paths[1]",
        "Ingress t1/i, spec.rules[1].http.paths[0]",
    ]


# ---------------------------------------------------------------- ExternalName


def test_any_other_name_is_left_to_the_proxy() -> None:
    item = external("e", "API.Example.COM.", {"name": "web", "port": 80, "targetPort": 8443})
    assert found(item, name="e").dns == DnsName("api.example.com", 8443)
    assert found(item, name="e", port="web").dns == DnsName("api.example.com", 8443)


def test_an_external_name_without_ports_takes_the_port_of_the_ingress() -> None:
    assert found(external("e", "x.example"), name="e", port=8080).dns == DnsName("x.example", 8080)
    assert "PortNotFound" in codes(ask(external("e", "x.example"), name="e", port="web"))


def test_a_name_of_the_cluster_is_followed() -> None:
    target = [service("s", "t2"), endpoint_slice("s", "t2", ["10.0.0.1"])]
    for name in ("s.t2.svc.cluster.local", "s.t2.svc.cluster.local."):
        upstream = found(external("e", name), *target, name="e")
        assert places(upstream) == ["10.0.0.1:8080"]
        assert upstream.dns is None


def test_a_chain_of_names_is_followed() -> None:
    chain = [external("e", "f.t2.svc.cluster.local"), external("f", "s.t3.svc.cluster.local", namespace="t2")]
    assert places(found(*chain, service("s", "t3"), endpoint_slice("s", "t3", ["10.0.0.1"]), name="e")) == [
        "10.0.0.1:8080"
    ]


def test_a_headless_service_behind_a_name_is_asked_at_the_very_port() -> None:
    headless = service("s", "t2")
    headless["spec"]["clusterIP"] = "None"
    target = [headless, endpoint_slice("s", "t2", ["10.0.0.1"])]
    assert places(found(external("e", "s.t2.svc.cluster.local"), *target, name="e", port=9999)) == ["10.0.0.1:9999"]


def test_a_name_of_the_cluster_that_leads_nowhere() -> None:
    result = ask(external("e", "nope.t2.svc.cluster.local"), name="e")
    assert result.config.upstreams["t1/e:80"] == Upstream("t1/e:80", source=result.config.upstreams["t1/e:80"].source)
    assert "ServiceNotFound" in codes(result, "error")


def test_a_circle_of_names() -> None:
    circle = [external("e", "f.t1.svc.cluster.local"), external("f", "e.t1.svc.cluster.local")]
    assert "ExternalNameDenied" in codes(ask(*circle, name="e"), "error")


DENIED = [
    *("localhost", "a.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "::1", "169.254.169.254"),
    *("", "a b", "*.x.y", "x_y", "a.b; return 444", "unix:/x", "x.example\n", "faß.de"),
]


@pytest.mark.parametrize("target", DENIED)
def test_denied_names(target: str) -> None:
    result = ask(external("e", target), name="e")
    upstream = result.config.upstreams["t1/e:80"]
    assert (upstream.endpoints, upstream.dns) == ((), None)
    assert "ExternalNameDenied" in codes(result, "error")


def test_an_address_as_name() -> None:
    assert places(found(external("e", "192.0.2.1"), name="e")) == ["192.0.2.1:80"]


def test_external_names_can_be_switched_off() -> None:
    off = msgspec.structs.replace(FILES, allow_external_name=False)
    assert "ExternalNameDenied" in codes(ask(external("e", "x.example"), name="e", settings=off), "error")


# ---------------------------------------------------------------- input without endpoints


def test_without_any_endpoints_the_address_in_the_cluster_stands_for_them() -> None:
    item = service("s", "t1")
    assert found(item, settings=OFFLINE).dns == DnsName("s.t1.svc.cluster.local", 80)
    item["spec"]["clusterIP"] = "10.96.0.1"
    assert places(found(item, settings=OFFLINE)) == ["10.96.0.1:80"]
    item["spec"]["clusterIP"] = "None"
    assert found(item, settings=OFFLINE).dns == DnsName("s.t1.svc.cluster.local", 8080)
    assert "EndpointsMissing" in codes(ask(item, settings=OFFLINE), "info")


def test_a_cluster_address_that_is_none() -> None:
    item = service("s", "t1")
    item["spec"]["clusterIP"] = "169.254.1.1"
    result = ask(item, settings=OFFLINE)
    assert not result.config.upstreams["t1/s:80"].endpoints
    assert "AddressDenied" in codes(result, "error")


@pytest.mark.parametrize("other", [endpoint_slice("x", "t9", ["10.0.0.1"]), manifest("v1", "Endpoints", "x", "t9")])
def test_where_any_endpoints_are_known_none_are_made_up(other: Manifest) -> None:
    result = ask(service("s", "t1"), other, settings=OFFLINE)
    assert result.config.upstreams["t1/s:80"].dns is None
    assert "NoEndpoints" in codes(result, "warning")


def test_with_a_cluster_nothing_is_made_up() -> None:
    assert "NoEndpoints" in codes(ask(service("s", "t1")), "warning")
