"""A stand-in for the API server of a large cluster: every answer is built before the first request.

Objects are as a real API server has them, managedFields and all.  Below `/lists` it has no watch-lists, below
`/watch-lists` it has.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
PAGE = 500
VERSION = "1000000"
PATHS = {
    "Ingress": "/apis/networking.k8s.io/v1/ingresses",
    "Service": "/api/v1/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "Secret": "/api/v1/secrets",
}
COUNTS = {"Ingress": 10_000, "Service": 10_000, "EndpointSlice": 10_000, "Secret": 2_000}


def serve(part: float) -> None:
    """Serve a part of the cluster for ever; the port is the first line of the output."""
    handler = type("Handler", (_Handler,), {"answers": {PATHS[kind]: Answers(kind, part) for kind in PATHS}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(server.server_port, flush=True)
    server.serve_forever()


class Answers:
    """Everything that is ever said of one kind."""

    def __init__(self, kind: str, part: float) -> None:
        items = [OBJECTS[kind](number) for number in range(round(COUNTS[kind] * part))]
        version = PATHS[kind].rpartition("/")[0].removeprefix("/apis/").removeprefix("/api/")
        full = [{"kind": kind, "apiVersion": version, **item} for item in items]
        mark = {"resourceVersion": VERSION, "annotations": {"k8s.io/initial-events-end": "true"}}
        end = {"type": "BOOKMARK", "object": {"kind": kind, "apiVersion": version, "metadata": mark}}
        self.stream = b"".join(map(line, [*({"type": "ADDED", "object": item} for item in full), end]))
        self.pages = {}
        for start in range(0, len(items), PAGE):
            rest = str(start + PAGE) if start + PAGE < len(items) else ""
            meta = {"resourceVersion": VERSION, **({"continue": rest} if rest else {})}
            page = {"kind": f"{kind}List", "metadata": meta, "items": items[start : start + PAGE]}
            self.pages[str(start) if start else ""] = gzip.compress(line(page), 1)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answers: Mapping[str, Answers]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        parts = urlsplit(self.path)
        _, way, path = parts.path.split("/", 2)
        query = dict(parse_qsl(parts.query))
        answers = self.answers[f"/{path}"]
        if "watch" not in query:
            self._whole(200, answers.pages[query.get("continue", "")], {"Content-Encoding": "gzip"})
        elif "sendInitialEvents" not in query:
            self._stream(b"")
        elif way == "lists":
            self._whole(422, line({"code": 422, "reason": "Invalid"}), {})
        else:
            self._stream(answers.stream)

    def _whole(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)
            self.connection.recv(1)


def line(value: Json) -> bytes:
    """JSON as the API server writes it."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


# ------------------------------------------------------------------ objects


def meta(kind: str, number: int, **more: Any) -> Json:
    """The metadata of an object that was applied, and whose status somebody else writes."""
    fields = {
        "f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}},
                       "f:labels": {".": {}, "f:app.kubernetes.io/name": {}, "f:app.kubernetes.io/part-of": {}}},
        "f:spec": {"f:ingressClassName": {}, "f:rules": {}, "f:tls": {}, "f:ports": {}, "f:selector": {}},
    }  # fmt: skip
    time = "2026-01-01T00:00:00Z"
    entry = {"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields, "operation": "Update", "time": time}
    return {
        "name": f"{kind.lower()}-{number}",
        "namespace": f"team-{number % 200}",
        "uid": f"00000000-0000-4000-8000-{number:012d}",
        "resourceVersion": str(100_000 + number),
        "generation": 1,
        "creationTimestamp": time,
        "labels": {"app.kubernetes.io/name": f"app-{number}", "app.kubernetes.io/part-of": "shop"},
        "managedFields": [{"manager": "kubectl", **entry}, {"manager": "controller", "subresource": "status", **entry}],
        **more,
    }


def ingress(number: int) -> Json:
    """Three paths, TLS."""
    backend = {"service": {"name": f"service-{number}", "port": {"number": 80}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": backend} for path in ("/", "/api", "/static")]
    host = f"app-{number}.example.com"
    spec = {
        "ingressClassName": "gen",
        "rules": [{"host": host, "http": {"paths": paths}}],
        "tls": [{"hosts": [host], "secretName": f"secret-{number % 2000}"}],
    }
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(spec)}
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    return {"metadata": meta("Ingress", number, annotations=annotations), "spec": spec, "status": status}


def service(number: int) -> Json:
    """One port."""
    address = f"10.{96 + number // 65536}.{number // 256 % 256}.{number % 256}"
    spec = {
        "type": "ClusterIP",
        "clusterIP": address,
        "clusterIPs": [address],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
        "selector": {"app": f"app-{number}"},
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4"],
        "internalTrafficPolicy": "Cluster",
    }
    return {"metadata": meta("Service", number), "spec": spec, "status": {"loadBalancer": {}}}


def endpoint_slice(number: int) -> Json:
    """Three endpoints."""
    endpoints = [
        {
            "addresses": [f"10.{replica}.{number // 256 % 256}.{number % 256}"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"node-{number % 100}",
            "zone": "zone-a",
            "targetRef": {"kind": "Pod", "namespace": f"team-{number % 200}", "name": f"app-{number}-{replica}"},
        }
        for replica in range(1, 4)
    ]
    labels = {"kubernetes.io/service-name": f"service-{number}", "endpointslice.kubernetes.io/managed-by": "controller"}
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    return {
        "metadata": meta("EndpointSlice", number, labels=labels),
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }


def secret(number: int) -> Json:
    """A certificate for the hosts that name it, and its key."""
    hosts = [f"app-{host}.example.com" for host in range(number, COUNTS["Ingress"], COUNTS["Secret"])]
    certificate, key = certificates().certificate(hosts), certificates().key_text
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    return {"metadata": meta("Secret", number), "type": "kubernetes.io/tls", "data": data}


@cache
def certificates() -> Issuer:
    """The one issuer, which is imported only by whoever serves."""
    return Issuer()


class Issuer:
    """Issues certificates that share one RSA key, for that is what takes time to make."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key_text = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def certificate(self, hosts: Sequence[str]) -> bytes:
        """Self-signed, in PEM."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0])])
        builder = x509.CertificateBuilder(name, name, self._key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(datetime(2026, 1, 1)).not_valid_after(datetime(2036, 1, 1))  # noqa: DTZ001
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        made = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)


OBJECTS = {"Ingress": ingress, "Service": service, "EndpointSlice": endpoint_slice, "Secret": secret}
