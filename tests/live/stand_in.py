"""Echo servers that stand for the endpoints of manifests."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.live.echo import EchoNet, Speaks, tls_context
from tests.live.manifests import Manifest
from tests.live.net import free_port, fresh_address, has_ipv6

REFUSES = "tests/refuses"
"""An annotation of a slice: the addresses at which nobody listens."""
TLS = "tests/tls"
"""An annotation of a slice: the file in tests/data with the certificate of its endpoints."""
FASTCGI = "tests/speaks"
"""An annotation of a slice, fcgi: what its endpoints speak in the place of HTTP."""
DATA = Path(__file__).resolve().parent.parent / "data"
AUTHORITY = DATA / "authority.pem"
"""Who has signed the certificates in tests/data."""


def speech_of(annotations: Mapping[str, str]) -> Speaks:
    """What the endpoints of a slice speak."""
    if TLS in annotations:
        return tls_context(DATA / annotations[TLS], AUTHORITY)
    return "fcgi" if annotations.get(FASTCGI) == "fcgi" else None


class StandIns:
    """Gives each endpoint of a manifest a loopback address; the same endpoint always gets the same."""

    def __init__(self, echo: EchoNet) -> None:
        self._echo = echo
        self._addresses: dict[tuple[str, str], str] = {}
        self._listening: set[tuple[str, int]] = set()
        self._ports: dict[tuple[str, str, int], int] = {}

    def localise(self, objects: Iterable[Manifest]) -> list[Manifest]:
        """The same objects with loopback addresses, on which echo servers listen."""
        return [self._localised(copy.deepcopy(item)) for item in objects]

    def _localised(self, item: Manifest) -> Manifest:
        kind, meta = item.get("kind"), item.get("metadata") or {}
        if kind == "EndpointSlice" and item["addressType"] != "FQDN":
            self._localise_slice(item, f"{meta['namespace']}/{meta['labels']['kubernetes.io/service-name']}")
        elif kind == "Endpoints":
            for subset in item["subsets"]:
                for address in (*subset.get("addresses", ()), *subset.get("notReadyAddresses", ())):
                    address["ip"] = self._stand_in(
                        f"{meta['namespace']}/{meta['name']}", address["ip"], subset["ports"]
                    )
        elif kind == "Service" and item["spec"].get("clusterIP") not in {None, "None", ""}:
            spec = item["spec"]
            spec["clusterIP"] = self._stand_in(f"{meta['namespace']}/{meta['name']}", spec["clusterIP"], spec["ports"])
            spec.pop("clusterIPs", None)
        return item

    def _localise_slice(self, item: Manifest, service: str) -> None:
        annotations = item["metadata"].get("annotations") or {}
        refuses = annotations.get(REFUSES, "").split()
        speaks = speech_of(annotations)
        if item["addressType"] == "IPv6":
            return self._localise_ipv6(item, service)
        for endpoint in item["endpoints"]:
            endpoint["addresses"] = [
                self._stand_in(service, address, () if address in refuses else item["ports"], speaks)
                for address in endpoint["addresses"]
            ]
        return None

    def _localise_ipv6(self, item: Manifest, service: str) -> None:
        """There is one IPv6 loopback address only, so the port has to differ."""
        assert has_ipv6(), "the machine has no ::1"
        ((endpoint,), (port,)) = item["endpoints"], item["ports"]
        address = endpoint["addresses"][0]
        key = (service, address, port["port"])
        if key not in self._ports:
            self._ports[key] = free_port("::1")
            self._echo.listen("::1", self._ports[key], service, f"[{address}]:{port['port']}")
        port["port"] = self._ports[key]
        endpoint["addresses"] = ["::1"]

    def _stand_in(self, service: str, address: str, ports: Iterable[Manifest], speaks: Speaks = None) -> str:
        numbers = [port["port"] for port in ports if port.get("protocol", "TCP") == "TCP" and port.get("port")]
        if (service, address) not in self._addresses:
            self._addresses[service, address] = fresh_address(*numbers)
        own = self._addresses[service, address]
        for number in numbers:
            if (own, number) not in self._listening:
                self._echo.listen(own, number, service, f"{address}:{number}", speaks=speaks)
                self._listening.add((own, number))
        return own
