"""A real HAProxy under the control of its backend, for one test or many."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from backends.haproxy import Haproxy, create
from gen.backend import Bundle, Placement, Plan
from gen.ir import Config, Options
from tests.live.client import Connection, Reply, Request
from tests.live.net import HTTP_PORT, HTTPS_PORT, fresh_address

T = TypeVar("T")


class Running:
    """A backend with a state directory and an address of its own; a context manager that leaves nothing behind."""

    def __init__(self, binary: str, state: Path) -> None:
        self.binary, self.state = binary, state
        self.address = fresh_address(HTTP_PORT, HTTPS_PORT)
        self.runtime = Path(tempfile.mkdtemp(prefix="gen-"))  # short: a socket's path has 97 characters
        self.runner = asyncio.Runner()
        self.backend = self.fresh_backend()
        self.live: Bundle | None = None
        self.forgotten: list[Haproxy] = []

    def forget(self) -> None:
        """Let go of the proxy as a killed gen does, and be a new gen."""
        self.forgotten.append(self.backend)
        self.backend = self.fresh_backend()

    def fresh_backend(self) -> Haproxy:
        """The backend of a gen that has just started."""
        return create(Placement("managed", self.state, self.runtime, binary=self.binary))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop it."""
        self.run(self.backend.close())
        for backend in self.forgotten:
            self.run(backend.close())  # their proxy has gone, but a parent has to reap it
        self.runner.close()
        self.runtime.rmdir()  # which fails where anything is left in it

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do asynchronous work to its end."""
        return self.runner.run(work)

    def options(self, **others: Any) -> Options:
        """The options that fit this place."""
        places = {"http_port": HTTP_PORT, "https_port": HTTPS_PORT, "bind": (self.address,)}
        return Options(**{**places, "runtime_dir": str(self.runtime), "workers": 2, **others})

    def bundle(self, config: Config, **options: Any) -> Bundle:
        """The bundle of a configuration at this place."""
        return self.backend.render(msgspec.structs.replace(config, options=self.options(**options)))

    def go(self, config: Config, **options: Any) -> Plan:
        """Make a configuration live, as the loop does it."""
        bundle = self.bundle(config, **options)
        plan = self.backend.plan(self.live, bundle)
        self.run(self.backend.validate(bundle))
        self.apply(plan)
        return plan

    def apply(self, plan: Plan) -> None:
        """Apply a plan and wait until it is confirmed."""
        self.run(self.backend.apply(plan))
        self.run(self.backend.confirm(plan))
        self.live = plan.new

    def connect(self, scheme: str = "http", server_name: str | None = None) -> Connection:
        """A connection to it."""
        if scheme == "http":
            return Connection(self.address, HTTP_PORT)
        return Connection(self.address, HTTPS_PORT, server_name=server_name or "")

    def send(self, request: Request) -> Reply:
        """One request on a connection of its own."""
        with self.connect(request.scheme, request.server_name) as connection:
            return connection.exchange(request)

    def get(self, host: str, target: str = "/", *headers: tuple[str, str]) -> Reply:
        """One plain request."""
        return self.send(Request(host, target, headers=headers))
