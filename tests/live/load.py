"""Clients that never stop asking, and count every request that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

from tests.live.client import ClosedEarlyError, Connection, Reply, Request
from tests.live.gen import GenRun

PAUSE = 0.004
WEBSOCKET = (("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13"))


class Load:
    """Clients in threads.

    `failures` are requests without a good answer.  `retried` are those that were sent again because a reused connection
    was closed before any byte of an answer, as RFC 9112 9.3.1 lets a client do with an idempotent request.
    """

    def __init__(self, gen: GenRun, is_good: Callable[[Reply], bool]) -> None:
        self.requests = 0
        self.retried = 0
        self.failures: list[str] = []
        self._gen = gen
        self._is_good = is_good
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def kept_alive(self, request: Request, clients: int = 1) -> Self:
        """Clients that each hold one connection as long as they can."""
        return self._add(clients, lambda: self._hold(request))

    def new_connections(self, request: Request, clients: int = 1) -> Self:
        """Clients that use a new connection for every request."""
        return self._add(clients, lambda: self._knock(request))

    def websocket(self, host: str, clients: int = 1) -> Self:
        """Clients that upgrade once and then expect every byte back, until the end."""
        return self._add(clients, lambda: self._talk(host))

    def _add(self, clients: int, work: Callable[[], None]) -> Self:
        self._threads += [threading.Thread(target=work, daemon=True) for _ in range(clients)]
        return self

    def _hold(self, request: Request) -> None:
        while not self._stop.is_set():
            try:
                with self._gen.connect(request.scheme, request.server_name) as connection:
                    self._use(connection, request)
            except OSError as error:
                self._fail(f"new connection: {error!r}")

    def _use(self, connection: Connection, request: Request) -> None:
        """Send requests on one connection until either side has enough."""
        while not self._stop.is_set():
            try:
                reply = connection.exchange(request)
            except ClosedEarlyError as error:
                if connection.exchanges:
                    self._count(retried=True)
                else:
                    self._fail(f"new connection: {error!r}")
                return
            except OSError as error:
                self._fail(f"kept-alive connection: {error!r}")
                return
            self._judge(reply)
            if (reply.value("connection") or "").lower() == "close":
                return
            time.sleep(PAUSE)

    def _knock(self, request: Request) -> None:
        while not self._stop.is_set():
            try:
                self._judge(self._gen.send(request))
            except OSError as error:
                self._fail(f"new connection: {error!r}")
            time.sleep(PAUSE)

    def _talk(self, host: str) -> None:
        try:
            with self._gen.connect() as connection:
                headers = (("Connection", "Upgrade"), ("Upgrade", "websocket"), *WEBSOCKET)
                assert connection.exchange(Request(host, headers=headers)).status == 101
                while not self._stop.is_set():
                    connection.write(b"ping")
                    assert connection.read(4) == b"ping"
                    self._count()
                    time.sleep(0.05)
        except (OSError, AssertionError) as error:
            self._fail(f"websocket: {error!r}")

    def _judge(self, reply: Reply) -> None:
        if self._is_good(reply):
            self._count()
        else:
            self._fail(f"{reply.status} from {reply.service}: {reply.body[:200]!r}")

    def _count(self, *, retried: bool = False) -> None:
        with self._lock:
            self.retried += retried
            self.requests += not retried

    def _fail(self, why: str) -> None:
        with self._lock:
            self.failures.append(f"{time.monotonic():.3f} {why}")
