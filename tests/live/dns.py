"""A name server that knows a few names, on a loopback address of its own."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Self

from tests.live.net import fresh_address

PORT = 18053
A, NXDOMAIN = 1, 3
TTL = 1


class NameServer:
    """Answers A questions from `records`, a name to its addresses; other types get no record, other names NXDOMAIN."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self.address = fresh_address(PORT)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, PORT))
        self._thread = threading.Thread(target=self._serve, name="dns", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.address, PORT))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(4096)
            if not question:
                return
            self._socket.sendto(self._answer(question), client)

    def _answer(self, packet: bytes) -> bytes:
        """One question, one answer; what else a packet holds (EDNS) is left out (RFC 1035 section 4)."""
        name, end = read_name(packet, 12)
        kind, _ = struct.unpack_from(">HH", packet, end)
        known = self.records.get(name)
        addresses = known or [] if kind == A else []
        flags = 0x8580 | (NXDOMAIN if known is None else 0)
        header = packet[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0)
        records = (b"\xc0\x0c" + struct.pack(">HHIH", A, 1, TTL, 4) + socket.inet_aton(one) for one in addresses)
        return header + packet[12 : end + 4] + b"".join(records)


def read_name(packet: bytes, position: int) -> tuple[str, int]:
    """The name that stands there, in lower case, and where it ends."""
    labels = []
    while length := packet[position]:
        labels.append(packet[position + 1 : position + 1 + length].decode().lower())
        position += 1 + length
    return ".".join(labels), position + 1
