"""Objects for the tests of the cluster source, such as a real API server accepts them."""

from __future__ import annotations

import base64
from typing import Any

Json = dict[str, Any]
NAMESPACE = "shop"


def _named(api_version: str, kind: str, name: str, namespace: str | None, **more: Any) -> Json:
    meta: Json = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **more}


def namespace(name: str = NAMESPACE) -> Json:
    """A Namespace."""
    return _named("v1", "Namespace", name, None)


def ingress(
    name: str, *, host: str = "", secret: str = "", namespace: str = NAMESPACE, service: str = "web", port: int = 80
) -> Json:
    """An Ingress of one host, `<name>.test` unless it is said, to the Service `web`."""
    host = host or f"{name}.test"
    backend = {"service": {"name": service, "port": {"number": port}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    tls = {"tls": [{"hosts": [host], "secretName": secret}]} if secret else {}
    spec = {"ingressClassName": "gen", "rules": [{"host": host, "http": {"paths": paths}}], **tls}
    return _named("networking.k8s.io/v1", "Ingress", name, namespace, spec=spec)


def ingress_class(name: str) -> Json:
    """An IngressClass of gen."""
    return _named("networking.k8s.io/v1", "IngressClass", name, None, spec={"controller": "ingress-gen/controller"})


def service(name: str = "web", *, namespace: str = NAMESPACE) -> Json:
    """A Service with one port."""
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]
    return _named("v1", "Service", name, namespace, spec={"selector": {"app": name}, "ports": ports})


def endpoint_slice(name: str, *addresses: str, service: str = "web", namespace: str = NAMESPACE) -> Json:
    """An EndpointSlice of a Service."""
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    made = _named(
        "discovery.k8s.io/v1", "EndpointSlice", name, namespace, addressType="IPv4", endpoints=endpoints, ports=ports
    )
    made["metadata"]["labels"] = {"kubernetes.io/service-name": service}
    return made


def endpoints(name: str, *addresses: str, namespace: str = NAMESPACE) -> Json:
    """Old-style Endpoints of a Service."""
    subset = {"addresses": [{"ip": address} for address in addresses], "ports": [{"name": "http", "port": 8080}]}
    return _named("v1", "Endpoints", name, namespace, subsets=[subset])


def secret(name: str, text: str = "secret", *, type: str = "Opaque", namespace: str = NAMESPACE) -> Json:  # noqa: A002
    """A Secret with one key, `value`."""
    data = {"value": base64.b64encode(text.encode()).decode()}
    return _named("v1", "Secret", name, namespace, type=type, data=data)


def config_map(name: str, *, namespace: str = NAMESPACE, **data: str) -> Json:
    """A ConfigMap."""
    return _named("v1", "ConfigMap", name, namespace, data=data)
