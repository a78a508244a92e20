"""Upstreams that answer with what they saw.

One asyncio loop in a thread serves any number of loopback addresses.  A request can ask for a special answer:

    X-Echo-Status: 418        that status instead of 200
    X-Echo-Delay: 0.5         that many seconds before the answer
    X-Echo-Header: Name: v    one more header in the answer
    X-Echo-Drop: 1            close the connection instead of answering
    X-Echo-Size: 1000         so many bytes more in the answer
    X-Echo-For: shop/web      the wishes above are for this service alone
    Upgrade: websocket        101, then every byte comes back

Over TLS, the request that was seen has some more headers: X-TLS-Name (SNI), X-TLS-Version, X-TLS-Cipher, X-TLS-Subject
(of the certificate that the client showed).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ssl
import threading
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import Future
from email.utils import formatdate
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from tests.live import fastcgi

T = TypeVar("T")
Speaks = ssl.SSLContext | Literal["fcgi"] | None
SERVER_NAMES: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()
WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Seen(Struct, frozen=True):
    """A request as an upstream saw it; header names in lower case, in the order they came."""

    service: str
    instance: str
    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name]

    def value(self, name: str) -> str | None:
        """The value of a header, several joined by commas; None where it is absent."""
        return ", ".join(self.values(name)) if self.values(name) else None

    def wish(self, name: str) -> str | None:
        """What the request wants of this service, None where it wants nothing."""
        is_meant = self.value("x-echo-for") in {None, self.service}
        return self.value(f"x-echo-{name}") if is_meant else None


class Endpoint:
    """One listening address; `connections` are those that are open now.

    Shape: `status` and `delay` hold for requests that do not ask for others.
    """

    def __init__(self, service: str, instance: str, status: int = 200, delay: float = 0) -> None:
        self.service = service
        self.instance = instance
        self.status = status
        self.delay = delay
        self.connections: set[asyncio.StreamWriter] = set()
        self.requests = 0
        self.seen: deque[Seen] = deque(maxlen=1000)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until either side has enough."""
        self.connections.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self.answer_one(reader, writer):
                pass
        self.connections.discard(writer)
        writer.close()

    async def answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; gives whether the connection goes on."""
        seen = await read_request(reader, self.service, self.instance, tls_headers(writer))
        self.requests += 1
        self.seen.append(seen)
        if seen.wish("drop"):
            return False
        if (seen.value("upgrade") or "").lower() == "websocket":
            writer.write(upgrade_answer(seen))
            while block := await reader.read(65536):
                writer.write(block)
                await writer.drain()
            return False
        await asyncio.sleep(float(seen.wish("delay") or self.delay))
        writer.write(plain_answer(seen, self.status))
        await writer.drain()
        return (seen.value("connection") or "").lower() != "close"

    async def serve_fastcgi(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request in FastCGI; its parameters are headers of what was seen."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            params, body = await read_fastcgi(reader)
            headers = tuple(
                (name.removeprefix("HTTP_").replace("_", "-").lower(), text) for name, text in params.items()
            )
            method, target = params.get("REQUEST_METHOD", ""), params.get("REQUEST_URI", "")
            seen = Seen(self.service, self.instance, method, target, "FastCGI", headers, body.decode("latin-1"))
            self.requests += 1
            self.seen.append(seen)
            writer.write(
                fastcgi.record(fastcgi.STDOUT, 1, plain_answer(seen, self.status).replace(b"HTTP/1.1", b"Status:", 1))
            )
            writer.write(fastcgi.record(fastcgi.STDOUT, 1, b"") + fastcgi.record(fastcgi.END, 1, bytes(8)))
            await writer.drain()
        writer.close()


def tls_headers(writer: asyncio.StreamWriter) -> tuple[tuple[str, str], ...]:
    """What is known of the TLS connection, as headers."""
    secure: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
    if secure is None:
        return ()
    shown: dict[str, Any] = secure.getpeercert() or {}
    found = {
        "name": SERVER_NAMES.get(secure, ""),
        "version": secure.version() or "",
        "cipher": (secure.cipher() or ("",))[0],
        "subject": ",".join(f"{name}={value}" for part in shown.get("subject", ()) for name, value in part),
    }
    return tuple((f"x-tls-{name}", value) for name, value in found.items() if value)


def tls_context(certificate: Path, authority: Path) -> ssl.SSLContext:
    """For echo servers: they show this certificate, and take one of this authority if the client has one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.sni_callback = remember_name
    return context


def remember_name(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
    """Keep the name that a client asked for."""
    if isinstance(connection, ssl.SSLObject) and name:
        SERVER_NAMES[connection] = name


async def read_request(
    reader: asyncio.StreamReader, service: str, instance: str, more: tuple[tuple[str, str], ...] = ()
) -> Seen:
    """The next request of a connection.  Raises IncompleteReadError at its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    method, target, version = first.split(" ")
    headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)) + more
    fields = dict(headers)
    if "chunked" in fields.get("transfer-encoding", "").lower():
        body = await read_chunks(reader)
    else:
        body = await reader.readexactly(int(fields.get("content-length", 0)))
    return Seen(service, instance, method, target, version, headers, body.decode("latin-1"))


async def read_fastcgi(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    """The parameters and the body of a FastCGI request.  Raises IncompleteReadError at the end of the connection."""
    streams = {fastcgi.PARAMS: b"", fastcgi.STDIN: b""}
    while True:
        version, kind, _, size, padding = fastcgi.HEADER.unpack(await reader.readexactly(fastcgi.HEADER.size))
        if version != 1:
            raise ConnectionError("that is not FastCGI")
        content = (await reader.readexactly(size + padding))[:size]
        if kind in streams:
            streams[kind] += content
        if kind == fastcgi.STDIN and not size:
            return dict(fastcgi.pairs(streams[fastcgi.PARAMS])), streams[fastcgi.STDIN]


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body, without its trailers."""
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return body


def upgrade_answer(seen: Seen) -> bytes:
    """The 101 of RFC 6455."""
    digest = hashlib.sha1((seen.value("sec-websocket-key") or "").encode() + WEBSOCKET_GUID).digest()
    accept = base64.b64encode(digest).decode()
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    return "\r\n".join((*lines, f"Sec-WebSocket-Accept: {accept}", "", "")).encode()


def plain_answer(seen: Seen, status: int) -> bytes:
    """A response that says what was seen."""
    body = msgspec.json.encode(seen) + b" " * int(seen.wish("size") or 0)
    lines = [
        f"HTTP/1.1 {seen.wish('status') or status} Echo",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Date: {formatdate(usegmt=True)}",
        "Server: echo",
        *(seen.values("x-echo-header") if seen.wish("header") else ()),
    ]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (b"" if seen.method == "HEAD" else body)


class EchoNet:
    """Echo servers on any number of addresses; a context manager that ends them all."""

    def __init__(self) -> None:
        self.endpoints: dict[tuple[str, int], Endpoint] = {}
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="echo", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(
        self,
        address: str,
        port: int,
        service: str,
        instance: str = "",
        *,
        status: int = 200,
        delay: float = 0,
        speaks: Speaks = None,
    ) -> Endpoint:
        """Start an echo server there; `instance` is the name by which it speaks of itself.

        Shape: it speaks HTTP in clear text, or over TLS with a context, or "fcgi".
        """
        endpoint = Endpoint(service, instance or address, status, delay)
        serve, tls = (endpoint.serve_fastcgi, None) if speaks == "fcgi" else (endpoint.serve, speaks)
        self._servers.append(self._call(asyncio.start_server(serve, address, port, backlog=1024, ssl=tls)))
        self.endpoints[address, port] = endpoint
        return endpoint

    def close(self) -> None:
        """End all servers, their connections and the thread."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(10)
