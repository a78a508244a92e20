"""Envoy's admin interface on its unix socket."""

from __future__ import annotations

import http.client
import re
import socket
from pathlib import Path

ACTIVE = re.compile(r"downstream_rq_active: ([0-9]+)")
TIMEOUT = 5.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("admin", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, target: str) -> str:
    """The body of an answer.  Raises OSError."""
    connection = UnixConnection(path)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        body = answer.read().decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise OSError(f"Envoy's admin interface gave no answer: {error!r}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"Envoy's admin interface answers {answer.status} to {target}")
    return body


def drain(path: Path) -> None:
    """Close the ports; open connections are told to end with their next response.  Raises OSError."""
    ask(path, "POST", "/drain_listeners")


def active_requests(path: Path) -> int:
    """How many requests are under way.  Raises OSError."""
    return sum(map(int, ACTIVE.findall(ask(path, "GET", r"/stats?filter=^http\.https?\.downstream_rq_active$"))))
