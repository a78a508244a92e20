"""A FastCGI application on loopback that answers with the parameters it was given, as JSON."""

from __future__ import annotations

import json
import socketserver
import struct
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

HEADER = struct.Struct("!BBHHBx")
END, PARAMS, STDIN, STDOUT = 3, 4, 5, 6


class FastCgiApplication:
    """A context manager; `listen` once."""

    def __init__(self, address: str, port: int) -> None:
        self._server = socketserver.ThreadingTCPServer((address, port), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="fastcgi", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(socketserver.StreamRequestHandler):
    """One connection, which is one request."""

    def handle(self) -> None:
        """Read until the body has ended, then answer."""
        given = b""
        while head := self.rfile.read(HEADER.size):
            _, kind, number, length, padding = HEADER.unpack(head)
            content = self.rfile.read(length + padding)[:length]
            given += content if kind == PARAMS else b""
            if kind == STDIN and not length:
                body = json.dumps(dict(pairs(given))).encode()
                self.wfile.write(record(STDOUT, number, b"Content-Type: application/json\r\n\r\n" + body))
                self.wfile.write(record(STDOUT, number, b"") + record(END, number, bytes(8)))
                return


def record(kind: int, number: int, content: bytes) -> bytes:
    """One record of an answer."""
    return HEADER.pack(1, kind, number, len(content), 0) + content


def pairs(content: bytes) -> Iterator[tuple[str, str]]:
    """Names and values."""
    place = 0

    def length() -> int:
        nonlocal place
        size = 4 if content[place] & 0x80 else 1
        place += size
        return int.from_bytes(content[place - size : place]) & (0x7FFFFFFF if size == 4 else 0x7F)

    while place < len(content):
        name, value = length(), length()
        yield content[place : place + name].decode(), content[place + name : place + name + value].decode()
        place += name + value
