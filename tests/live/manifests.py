"""Kubernetes objects as plain data, as short to write as they can be."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

Manifest = dict[str, Any]


def manifest(api_version: str, kind: str, name: str, namespace: str = "", **fields: Any) -> Manifest:
    """An object of any kind; without a namespace it is cluster-scoped."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def backend(service: str, port: int | str = 80) -> Manifest:
    """A Service and its port, by number or by name."""
    return {"service": {"name": service, "port": {"name" if isinstance(port, str) else "number": port}}}


def path(text: str, service: str, port: int | str = 80, *, kind: str = "Prefix") -> Manifest:
    """A path of a rule."""
    return {"path": text, "pathType": kind, "backend": backend(service, port)}


def ingress(
    name: str,
    namespace: str,
    rules: Mapping[str, Iterable[Manifest]],
    *,
    class_name: str = "gen",
    annotations: Mapping[str, str] | None = None,
    tls: Mapping[str, Iterable[str]] | None = None,
    default: Manifest | None = None,
    created: str = "2026-01-01T00:00:00Z",
) -> Manifest:
    """An Ingress; `rules` maps a host ("" for none) to its paths, `tls` a Secret's name to its hosts."""
    spec: Manifest = {"ingressClassName": class_name}
    if rules:
        spec["rules"] = [
            {"host": host, "http": {"paths": list(paths)}} if host else {"http": {"paths": list(paths)}}
            for host, paths in rules.items()
        ]
    if tls:
        spec["tls"] = [{"secretName": secret, "hosts": list(hosts)} for secret, hosts in tls.items()]
    if default:
        spec["defaultBackend"] = default
    item = manifest("networking.k8s.io/v1", "Ingress", name, namespace, spec=spec)
    item["metadata"] |= {"creationTimestamp": created, "annotations": dict(annotations or {})}
    return item


def service(
    name: str, namespace: str, *, port: int = 80, target: int | str = 8080, port_name: str = "http"
) -> Manifest:
    """A ClusterIP Service with one port."""
    ports = [{"name": port_name, "port": port, "targetPort": target, "protocol": "TCP"}]
    return manifest("v1", "Service", name, namespace, spec={"selector": {"app": name}, "ports": ports})


def endpoint_slice(
    name: str, namespace: str, addresses: Iterable[str], *, port: int = 8080, port_name: str = "http", suffix: str = "1"
) -> Manifest:
    """A slice with ready endpoints of the Service of that name."""
    item = manifest(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        f"{name}-{suffix}",
        namespace,
        addressType="IPv4",
        ports=[{"name": port_name, "port": port, "protocol": "TCP"}],
        endpoints=[{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    )
    item["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    return item


def tls_secret(name: str, namespace: str, certificate: bytes, key: bytes) -> Manifest:
    """A Secret with a certificate chain and its key, both PEM."""
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    return manifest("v1", "Secret", name, namespace, type="kubernetes.io/tls", data=data)
