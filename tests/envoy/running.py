"""A real Envoy under the control of its backend."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import msgspec

from backends.envoy import Envoy, create
from gen.backend import Bundle, Placement, Plan
from gen.ir import Config, Options
from tests.live.client import Connection, Reply, Request
from tests.live.net import HTTP_PORT, HTTPS_PORT, fresh_address

T = TypeVar("T")
SETTLED_WITHIN = 60.0


class Loop:
    """An event loop that runs all the time, in a thread: the xDS server has to answer when Envoy likes."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do asynchronous work to its end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SETTLED_WITHIN)

    def close(self) -> None:
        """End it."""
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Running:
    """A backend with a state directory and an address of its own; a context manager that leaves nothing behind."""

    def __init__(self, binary: str, state: Path, mode: Literal["managed", "external"] = "managed") -> None:
        self.binary, self.state, self.mode = binary, state, mode
        self.address = fresh_address(HTTP_PORT, HTTPS_PORT)
        self.runtime = Path(tempfile.mkdtemp(prefix="gen-"))  # short: the path of a socket has 107 characters
        self.loop = Loop()
        self.backend = self.fresh_backend()
        self.live: Bundle | None = None
        self._forgotten: list[Envoy] = []  # a parent that lives has to reap its children

    def fresh_backend(self) -> Envoy:
        """The backend of a gen that has just started."""
        return create(Placement(self.mode, self.state, self.runtime, binary=self.binary))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for backend in (self.backend, *self._forgotten):
            self.run(backend.close())
        self.loop.close()
        left = [path.name for path in self.runtime.iterdir()] if self.runtime.exists() else []
        shutil.rmtree(self.runtime, ignore_errors=True)
        assert left == []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do asynchronous work to its end."""
        return self.loop.run(work)

    def forget(self) -> None:
        """Lose everything that a killed gen loses, and be a new gen."""
        control = self.backend._control
        server, _ = self.run(control._server())
        self.run(server.stop())
        self._forgotten.append(self.backend)
        self.backend = self.fresh_backend()
        self.live = None

    def bundle(self, config: Config, **options: Any) -> Bundle:
        """The bundle of a configuration at this place."""
        places = {"http_port": HTTP_PORT, "https_port": HTTPS_PORT, "bind": (self.address,), "workers": 2}
        chosen = Options(**{**places, "runtime_dir": str(self.runtime), **options})
        return self.backend.render(msgspec.structs.replace(config, options=chosen))

    def go(self, config: Config, **options: Any) -> Plan:
        """Make a configuration live, as the loop does it."""
        bundle = self.bundle(config, **options)
        self.run(self.backend.validate(bundle))
        return self.apply(bundle)

    def apply(self, bundle: Bundle) -> Plan:
        """Apply a bundle and wait until it is confirmed."""
        plan = self.backend.plan(self.live, bundle)
        self.run(self.backend.apply(plan))
        self.run(self.backend.confirm(plan))
        self.live = bundle
        return plan

    @property
    def pid(self) -> int | None:
        """The Envoy that is supervised now."""
        return self.backend._control.supervisor.pid

    def connect(self, scheme: str = "http", server_name: str = "") -> Connection:
        """A connection to it."""
        if scheme == "http":
            return Connection(self.address, HTTP_PORT)
        return Connection(self.address, HTTPS_PORT, server_name=server_name)

    def send(self, request: Request) -> Reply:
        """One request on a connection of its own."""
        with self.connect(request.scheme, request.server_name) as connection:
            return connection.exchange(request)

    def get(self, host: str, target: str = "/", *headers: tuple[str, str], **others: Any) -> Reply:
        """One request."""
        return self.send(Request(host, target, headers=headers, **others))

    def says(self, host: str, target: str = "/") -> str:
        """What a host answers."""
        return self.get(host, target).body.decode()


def wait(what: str, is_so: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"it did not {what}"
        time.sleep(0.02)
