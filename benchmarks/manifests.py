"""Manifests of any size: Ingresses of three paths, each with its Service and an EndpointSlice of three endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

Format = Literal["yaml", "json"]
Manifest = dict[str, Any]
INGRESSES_PER_FILE = 100

INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: {namespace}
  creationTimestamp: "2026-01-01T00:00:00Z"
spec:
  ingressClassName: gen
  rules:
  - host: {host}
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: {name}
            port:
              number: 80
      - path: /api
        pathType: Prefix
        backend:
          service:
            name: {name}
            port:
              number: 80
      - path: /healthz
        pathType: Exact
        backend:
          service:
            name: {name}
            port:
              number: 80
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {namespace}
spec:
  clusterIP: 10.96.{high}.{low}
  ports:
  - name: http
    port: 80
    targetPort: 8080
    protocol: TCP
"""
SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-1
  namespace: {namespace}
  labels:
    kubernetes.io/service-name: {name}
addressType: IPv4
ports:
- name: http
  port: 8080
  protocol: TCP
endpoints:
- addresses:
  - {net}.1.{high}.{low}
  conditions:
    ready: true
- addresses:
  - {net}.2.{high}.{low}
  conditions:
    ready: true
- addresses:
  - {net}.3.{high}.{low}
  conditions:
    ready: true
"""


def write(folder: Path, size: int, form: Format) -> None:
    """Write the manifests for so many Ingresses, some hundred of them in a file."""
    for first in range(0, size, INGRESSES_PER_FILE):
        numbers = range(first, min(size, first + INGRESSES_PER_FILE))
        documents = [text for number in numbers for text in texts(number)]
        write_file(folder / f"{first:06}.{form}", documents, form)


def write_first_file(folder: Path, size: int, form: Format, *, suffix: str) -> None:
    """Write the first file once more, with another host for its first Ingress."""
    numbers = range(min(size, INGRESSES_PER_FILE))
    documents = [text for number in numbers for text in texts(number, suffix="" if number else suffix)]
    write_file(folder / f"{0:06}.{form}", documents, form)


def write_file(path: Path, documents: list[str], form: Format) -> None:
    """Write one file, by rename."""
    draft = path.with_name(f".{path.name}")
    if form == "yaml":
        draft.write_text("---\n".join(documents))
    else:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        items = [yaml.load(text, loader) for text in documents]
        draft.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    draft.rename(path)


def texts(number: int, *, suffix: str = "") -> Iterator[str]:
    """The three objects of one Ingress; a suffix gives it another host.

    The endpoints of the first one are loopback addresses, where nobody listens: it is the only one that is asked.
    """
    values = {
        "name": f"app-{number}",
        "namespace": f"team-{number % 100}",
        "host": f"app-{number}{suffix}.bench.example",
        "net": 10 if number else 127,
        "high": number // 250,
        "low": number % 250 + 1,
    }
    for template in (INGRESS, SERVICE, SLICE):
        yield template.format(**values)
