"""A proxy between gen and an API server that lets things go wrong on demand, the same way for a fake and a real one.

A fault says which requests it takes and what it does to them; a request that no fault takes passes unchanged.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

from tests.cluster.closable import ClosableServer


class Upstream(NamedTuple):
    """An API server, and how to be its administrator."""

    url: str
    headers: Mapping[str, str] = {}
    tls: ssl.SSLContext | None = None

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own."""
        parts = urlsplit(self.url)
        assert parts.hostname
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.hostname, parts.port, context=self.tls)
        return http.client.HTTPConnection(parts.hostname, parts.port)


class Request(NamedTuple):
    """What gen asked; the names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def resource(self) -> str:
        """The plural that the path names."""
        parts = self.path.strip("/").split("/")
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        return rest[2] if rest[0] == "namespaces" and len(rest) > 2 else rest[0]

    @property
    def watch(self) -> bool:
        """Whether it is a watch."""
        return self.query.get("watch") == "true"

    @property
    def initial(self) -> bool:
        """Whether it is a watch that begins with the whole state."""
        return "sendInitialEvents" in self.query


class Exchange:
    """One request, and what can be done with it."""

    def __init__(self, handler: _Handler, request: Request, body: bytes) -> None:
        self.request = request
        self.closing = handler.server.proxy.closing
        self._handler, self._body = handler, body

    @contextmanager
    def asked(self, **headers: str) -> Iterator[http.client.HTTPResponse]:
        """The API server's answer, not packed unless the headers allow it."""
        proxy = self._handler.server.proxy
        connection = proxy.upstream.connect()
        own = {"host": urlsplit(proxy.upstream.url).netloc, "accept-encoding": "identity", **proxy.upstream.headers}
        try:
            connection.request(
                self.request.method, self._handler.path, self._body, {**self.request.headers, **own, **headers}
            )
            with proxy.waiting_on(connection.sock, self.closing), connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def answer(
        self,
        body: bytes,
        *,
        status: int = 200,
        content_type: str = "application/json",
        promised: int | None = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        """Answer with a body, of which more may be promised than is sent."""
        length = len(body) if promised is None else promised
        self._head(status, {"Content-Type": content_type, "Content-Length": str(length), **headers})
        self._handler.wfile.write(body)

    def stream(self, chunks: Iterable[bytes], status: int = 200, headers: Mapping[str, str] = {}) -> None:
        """Answer piece by piece, and end it properly."""
        self._head(status, {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **headers})
        for chunk in chunks:
            self._handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self._handler.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Reset the connection in the middle of whatever it carries."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.connection.close()
        self._handler.close_connection = True

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()


Action = Callable[[Exchange], None]


@dataclass
class Fault:
    """An action for the requests of a kind; `times` is how many of them it still takes (None: all)."""

    action: Action
    takes: Callable[[Request], bool]
    times: int | None = None
    taken: int = 0


@dataclass
class FaultProxy:
    """The proxy, from `open` to `close`; `requests` is what came in."""

    upstream: Upstream
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._upstreams: set[socket.socket] = set()
        self._server = self._listening(0)

    @property
    def url(self) -> str:
        """Where gen is told that the API server is."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def down(self) -> None:
        """Cut all connections and refuse new ones."""
        self.closing.set()
        for each in list(self._upstreams):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def up(self) -> None:
        """Listen again, where it was."""
        self.closing = threading.Event()
        self._server = self._listening(self._server.server_port)
        self._server.open()

    def fault(
        self,
        action: Action,
        resource: str = "",
        *,
        when: Callable[[Request], bool] = lambda _request: True,
        times: int | None = None,
    ) -> Fault:
        """From now on let something go wrong with requests for a resource (its plural)."""
        fault = Fault(action, lambda request: resource in ("", request.resource) and when(request), times)
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """No faults any more; what they hold up goes on holding until it is released."""
        with self._lock:
            self._faults.clear()

    @contextmanager
    def waiting_on(self, upstream: socket.socket, closing: threading.Event) -> Iterator[None]:
        """While a thread reads from the API server, `down` can wake it."""
        self._upstreams.add(upstream)
        if closing.is_set():
            upstream.shutdown(socket.SHUT_RDWR)
        try:
            yield
        finally:
            self._upstreams.discard(upstream)

    def act_on(self, exchange: Exchange) -> None:
        """Do to a request what is its fate."""
        with self._lock:
            self.requests.append(exchange.request)
            fault = next((each for each in self._faults if each.times != 0 and each.takes(exchange.request)), None)
            if fault:
                fault.taken += 1
                fault.times = None if fault.times is None else fault.times - 1
        (fault.action if fault else forward)(exchange)

    def _listening(self, port: int) -> _Server:
        server = _Server(_Handler, port, self.tls)
        server.proxy = self
        return server


class _Server(ClosableServer):
    proxy: FaultProxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, parts.path, query, headers)
        self.server.proxy.act_on(Exchange(self, request, body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names are http.server's


def forward(exchange: Exchange) -> None:
    """Nothing goes wrong: the answer passes as it is."""
    with exchange.asked(**{"accept-encoding": exchange.request.headers.get("accept-encoding", "identity")}) as response:
        packed = response.getheader("Content-Encoding")
        encoding = {"Content-Encoding": packed} if packed else {}
        if response.getheader("Content-Length") is None:
            exchange.stream(iter(lambda: response.read1(1 << 16), b""), response.status, encoding)
            return
        exchange.answer(
            response.read(),
            status=response.status,
            content_type=response.getheader("Content-Type") or "",
            headers=encoding,
        )
