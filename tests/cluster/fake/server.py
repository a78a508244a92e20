"""HTTP in front of the fake API: paths, bodies, chunks, gzip."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

from tests.cluster.closable import ClosableServer
from tests.cluster.fake.api import Api
from tests.cluster.fake.resources import BY_PATH, Failure, Json, Resource, not_found
from tests.cluster.fake.storage import Key, Storage
from tests.cluster.fake.watch import Watch

GZIP_FROM = 128 * 1024


class FakeApi:
    """A running server; `url` is where it is.

    Units: a watch has a bookmark every `bookmark_every` seconds.
    """

    def __init__(self, *, bookmark_every: float = 60.0) -> None:
        self.storage = Storage()
        self.api = Api(self.storage)
        self.bookmark_every = bookmark_every
        self.stopped = False
        self._server = _Server(_Handler)
        self._server.fake = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True
        with self.storage.changed:
            self.storage.changed.notify_all()
        self._server.close()

    def compact(self) -> None:
        """Forget history: places before now answer 410."""
        self.storage.compact()


class _Server(ClosableServer):
    fake: FakeApi


class Target(NamedTuple):
    """What a path names."""

    resource: Resource
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> Key:
        """Where the object is stored."""
        return Key(self.resource, self.namespace, self.name)


def target_of(path: str) -> Target:
    """What a path names.  Raises Failure."""
    match path.strip("/").split("/"):
        case ["api", "v1", *rest]:
            api_version = "v1"
        case ["apis", group, version, *rest]:
            api_version = f"{group}/{version}"
        case _:
            raise not_found(path)
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] != "status":
        _, namespace, *rest = rest
    plural, name, subresource = (*rest, "", "", "")[:3]
    resource = BY_PATH.get((api_version, plural))
    if resource is None or len(rest) > 3 or subresource not in ("", "status") or (subresource and not resource.status):
        raise not_found(path)
    return Target(resource, namespace, name, subresource)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._dispatch(body)
        except Failure as failure:
            self._answer(failure.code, failure.status)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names are http.server's

    def _dispatch(self, body: bytes) -> None:
        fake, parts = self.server.fake, urlsplit(self.path)
        if parts.path in ("/readyz", "/healthz", "/livez"):
            self._send(200, "text/plain", b"ok")
            return
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        target = target_of(parts.path)
        match self.command, target.name:
            case "GET", "" if query.get("watch") in ("true", "1"):
                watch = Watch(fake.storage, target.resource, target.namespace, query)
                self._stream(watch.lines(bookmark_every=fake.bookmark_every, stopped=lambda: fake.stopped))
            case "GET", "":
                self._answer(200, fake.api.listing(target.resource, target.namespace, query))
            case "GET", _:
                self._answer(200, fake.api.read(target.key))
            case "POST", "":
                self._answer(201, fake.api.create(target.resource, target.namespace, json.loads(body), query))
            case "PUT", _:
                self._answer(200, fake.api.update(target.key, json.loads(body), query, target.subresource))
            case "PATCH", _:
                kind = (self.headers.get("Content-Type") or "").partition(";")[0]
                self._answer(200, fake.api.patch(target.key, body, query, target.subresource, kind))
            case "DELETE", _:
                self._answer(200, fake.api.delete(target.key, json.loads(body) if body else None))
            case _:
                raise Failure(405, "MethodNotAllowed", f"{self.command} is not supported here")

    def _answer(self, code: int, item: Json) -> None:
        self._send(code, "application/json", json.dumps(item, separators=(",", ":")).encode())

    def _send(self, code: int, content_type: str, body: bytes) -> None:
        packed = len(body) >= GZIP_FROM and "gzip" in (self.headers.get("Accept-Encoding") or "")
        body = gzip.compress(body, 1) if packed else body
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, lines: Iterable[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")
