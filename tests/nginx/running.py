"""A real nginx under the control of its backend."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from backends.nginx import Nginx, create
from gen.backend import Bundle, Placement, Plan
from gen.ir import Config, Options
from tests.live.client import Connection, Reply, Request
from tests.live.net import HTTP_PORT, HTTPS_PORT, fresh_address

T = TypeVar("T")


class Running:
    """A backend with a state directory and an address of its own; a context manager that leaves nothing behind."""

    def __init__(self, binary: str, state: Path, **placement: Any) -> None:
        self.state = state
        self.address = fresh_address(HTTP_PORT, HTTPS_PORT)
        self.runtime = Path(tempfile.mkdtemp(prefix="gen-"))  # short: the path of a socket has 107 characters
        self.placement = Placement(
            **{"mode": "managed", "state_dir": state, "runtime_dir": self.runtime, "binary": binary, **placement}
        )
        self.runner = asyncio.Runner()
        self.backend = self.fresh_backend()
        self.live: Bundle | None = None

    def fresh_backend(self) -> Nginx:
        """The backend of a gen that has just started."""
        return create(self.placement)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop it."""
        self.run(self.backend.close())
        self.runner.close()
        assert self.processes() == []
        self.runtime.rmdir()  # which fails where anything is left in it

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do asynchronous work to its end."""
        return self.runner.run(work)

    def bundle(self, config: Config, **options: Any) -> Bundle:
        """The bundle of a configuration at this place."""
        places = {"http_port": HTTP_PORT, "https_port": HTTPS_PORT, "bind": (self.address,)}
        own = Options(**{**places, "runtime_dir": str(self.runtime), "workers": 2, **options})
        return self.backend.render(msgspec.structs.replace(config, options=own))

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

    def log(self) -> str:
        """What nginx has printed."""
        path = self.state / "proxy.log"
        return path.read_text() if path.exists() else ""

    def processes(self) -> list[str]:
        """The processes that work in the runtime directory: a master, and its workers."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process.joinpath("cwd").readlink() == self.runtime:
                    found.append(process.joinpath("cmdline").read_bytes().decode().strip("\0 "))
            except OSError:
                continue
        return sorted(found)
