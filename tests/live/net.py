"""Loopback addresses that nobody else uses now."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Iterator

HTTP_PORT, HTTPS_PORT, ADMIN_PORT = 18080, 18443, 18081
"""Every `gen run` of the tests has an address of its own, so the ports may always be the same."""


def addresses() -> Iterator[str]:
    """Addresses of a random network below 127.0.0.0/8, each given once."""
    network = random.SystemRandom().randrange(1 << 14) + (1 << 8)
    for number in itertools.count(1):
        block, host = divmod(number, 250)
        yield f"127.{network >> 7}.{(network & 0x7F) + block}.{host + 1}"


_ADDRESSES = addresses()


def fresh_address(*ports: int) -> str:
    """A loopback address at which all these TCP ports are free."""
    return next(address for address in _ADDRESSES if all(is_free(address, port) for port in ports))


def is_free(address: str, port: int) -> bool:
    """Whether a server could listen there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def free_port(address: str = "127.0.0.1") -> int:
    """A port that is free at that address now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def has_ipv6() -> bool:
    """Whether the machine has ::1."""
    try:
        free_port("::1")
    except OSError:
        return False
    return True
