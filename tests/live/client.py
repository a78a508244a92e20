"""An HTTP client that sends what it is told, byte for byte, and hides nothing of the answer."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import msgspec
from cryptography import x509
from msgspec import Struct

from tests.live.echo import Seen

TIMEOUT = 15.0


class Request(Struct, frozen=True):
    """A request; `target` goes into the request line as it is, `sni` None means the host without its port.

    Shape: `shows` is a file with the certificate and the key of the client, "" for none; `newest_tls` "" is no limit.
    """

    host: str
    target: str = "/"
    method: str = "GET"
    scheme: str = "http"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    sni: str | None = None
    shows: str = ""
    newest_tls: str = ""

    @property
    def server_name(self) -> str:
        """The name for the TLS handshake."""
        return self.host.partition(":")[0] if self.sni is None else self.sni

    def encode(self) -> bytes:
        """The bytes of the request."""
        given = {name.lower() for name, _ in self.headers}
        own = () if "user-agent" in given else (("User-Agent", "gen-tests"),)
        headers = [("Host", self.host), *own, *self.headers]
        if self.body or self.method in {"POST", "PUT", "PATCH"}:
            headers.append(("Content-Length", str(len(self.body))))
        head = "".join(f"{name}: {value}\r\n" for name, value in headers if name != "Host" or value)
        return f"{self.method} {self.target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + self.body


class Reply(Struct, frozen=True):
    """An answer; header names in lower case.  `seen` is what the upstream says, None when the proxy itself answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    version: str = "HTTP/1.1"
    certificate: bytes = b""
    cipher: str = ""

    def value(self, name: str) -> str | None:
        """The value of a header, several joined by commas; None where it is absent."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    @property
    def seen(self) -> Seen | None:
        """The request as the upstream saw it."""
        try:
            return msgspec.json.decode(self.body, type=Seen)
        except msgspec.DecodeError:
            return None

    @property
    def service(self) -> str | None:
        """The Service that answered."""
        return self.seen.service if self.seen else None

    @property
    def certificate_names(self) -> list[str]:
        """The DNS names of the certificate that the proxy showed."""
        leaf = x509.load_der_x509_certificate(self.certificate)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return sorted(names.value.get_values_for_type(x509.DNSName))


class ClosedEarlyError(ConnectionError):
    """The connection ended before any byte of an answer: a client may send again if it was reused (RFC 9112 9.3.1)."""


def context_for(alpn: str, shows: str, newest_tls: str) -> ssl.SSLContext:
    """How a client begins TLS; it takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    if shows:
        context.load_cert_chain(shows)
    if newest_tls:
        context.maximum_version = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[newest_tls]
    return context


class Connection:
    """A connection to a proxy, for one request after the other."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        server_name: str | None = None,
        alpn: str = "http/1.1",
        shows: str = "",
        newest_tls: str = "",
    ) -> None:
        self.certificate = b""
        self.cipher = ""
        self.protocol = alpn
        self.exchanges = 0
        self._socket = socket.create_connection((address, port), TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server_name is not None:
            self._socket = self._start_tls(self._socket, server_name, context_for(alpn, shows, newest_tls))
        self._buffer = b""

    def _start_tls(self, plain: socket.socket, server_name: str, context: ssl.SSLContext) -> socket.socket:
        try:
            secure = context.wrap_socket(plain, server_hostname=server_name or None)
        except OSError:
            plain.close()
            raise
        self.certificate = secure.getpeercert(binary_form=True) or b""
        self.protocol = secure.selected_alpn_protocol() or "http/1.1"
        self.cipher = (secure.cipher() or ("",))[0]
        return secure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def exchange(self, request: Request) -> Reply:
        """Send a request and read its answer.

        Raises: ClosedEarlyError when the connection ended before any byte of the answer, OSError for the rest.
        """
        self.write(request.encode())
        reply = self.read_reply(has_body=request.method != "HEAD")
        self.exchanges += 1
        return reply

    def write(self, content: bytes) -> None:
        """Send bytes."""
        try:
            self._socket.sendall(content)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ClosedEarlyError(str(error)) from error

    def read_reply(self, *, has_body: bool = True) -> Reply:
        """Read one answer."""
        head = self._read_head()
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ")[:2]
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        if int(status) == 100:
            return self.read_reply(has_body=has_body)
        bodyless = not has_body or int(status) in {101, 204, 304}
        body = b"" if bodyless else self._read_body(dict(headers))
        return Reply(int(status), headers, body, version, self.certificate, self.cipher)

    def _read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._buffer:
            try:
                block = self._socket.recv(65536)
            except ConnectionResetError as error:
                if self._buffer:
                    raise
                raise ClosedEarlyError(str(error)) from error
            if not block and not self._buffer:
                raise ClosedEarlyError("closed")
            if not block:
                raise ConnectionError(f"closed in the head of an answer: {self._buffer[:80]!r}")
            self._buffer += block
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", ""):
            return self._read_chunks()
        if "content-length" in headers:
            return self.read(int(headers["content-length"]))
        return self._read_to_end()

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self._read_line().split(b";")[0], 16):
            body += self.read(size)
            self.read(2)
        while self._read_line():
            pass
        return body

    def _read_line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._buffer += self._receive()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        while len(self._buffer) < size:
            self._buffer += self._receive()
        content, self._buffer = self._buffer[:size], self._buffer[size:]
        return content

    def _read_to_end(self) -> bytes:
        while block := self._socket.recv(65536):
            self._buffer += block
        content, self._buffer = self._buffer, b""
        return content

    def _receive(self) -> bytes:
        block = self._socket.recv(65536)
        if not block:
            raise ConnectionError("closed in the middle of an answer")
        return block
