"""The resources that the fake API server knows, and its way to say no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]


class Resource(NamedTuple):
    """A resource: in the API's words the plural of a group and version."""

    api_version: str
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = False
    """Whether it has the subresource `status`."""


RESOURCES = (
    Resource("v1", "namespaces", "Namespace", namespaced=False, status=True),
    Resource("v1", "nodes", "Node", namespaced=False, status=True),
    Resource("v1", "services", "Service", status=True),
    Resource("v1", "endpoints", "Endpoints"),
    Resource("v1", "secrets", "Secret"),
    Resource("v1", "configmaps", "ConfigMap"),
    Resource("v1", "events", "Event"),
    Resource("events.k8s.io/v1", "events", "Event"),
    Resource("networking.k8s.io/v1", "ingresses", "Ingress", status=True),
    Resource("networking.k8s.io/v1", "ingressclasses", "IngressClass", namespaced=False),
    Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
    Resource("coordination.k8s.io/v1", "leases", "Lease"),
)
BY_PATH: Mapping[tuple[str, str], Resource] = {(each.api_version, each.plural): each for each in RESOURCES}


class Failure(Exception):
    """An answer other than success, as a `Status`."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }


def not_found(what: str) -> Failure:
    """There is no such thing."""
    return Failure(404, "NotFound", f"{what} not found")


def expired(message: str) -> Failure:
    """That part of history is gone."""
    return Failure(410, "Expired", message)


def invalid(message: str) -> Failure:
    """It is understood, but makes no sense."""
    return Failure(422, "Invalid", message)


def bad_request(message: str) -> Failure:
    """It is not understood."""
    return Failure(400, "BadRequest", message)


def conflict(message: str) -> Failure:
    """Somebody else was there first."""
    return Failure(409, "Conflict", message)
