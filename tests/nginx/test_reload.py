"""Reloads while clients send as fast as they can."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from gen.ir import Config
from tests.haproxy.configs import config, host, to, upstream
from tests.live.echo import EchoNet
from tests.live.net import HTTP_PORT, fresh_address
from tests.nginx.running import Running

RELOADS = 15
REQUEST = b"GET /some/path HTTP/1.1\r\nHost: load.test\r\n\r\n"


class Clients:
    """Clients that send the next request as soon as they have an answer.

    Shape: `outcomes` counts how requests ended.  `closed` and `reset` are those on a reused connection that ended
    before any byte of an answer; they may be sent again (RFC 9112, 9.3.1), and here the new connection must answer.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.outcomes: Counter[str] = Counter()
        self.is_over = False

    async def keep(self) -> None:
        """Use each connection for as long as it lasts."""
        while not self.is_over:
            await self.connection(requests=1_000_000)

    async def knock(self) -> None:
        """Use each connection once."""
        while not self.is_over:
            await self.connection(requests=1)

    async def connection(self, requests: int) -> None:
        """Requests on one new connection."""
        reader, writer = await asyncio.open_connection(self.address, HTTP_PORT)
        used = 0
        try:
            while used < requests and not self.is_over:
                writer.write(REQUEST)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
                self.outcomes[head.partition(b"\r")[0].decode()] += 1
                used += 1
                if b"\r\nconnection: close\r\n" in head.lower():
                    self.outcomes["announced"] += 1
                    break
        except asyncio.IncompleteReadError as error:
            self.outcomes["closed" if used and not error.partial else f"cut after {used}: {error.partial!r}"] += 1
        except OSError as error:
            self.outcomes["reset" if used else f"{error!r} on a new connection"] += 1
        finally:
            writer.close()


async def reloads(running: Running, states: list[Config], clients: Clients) -> None:
    """All states one after the other, while the clients work."""
    work = [asyncio.create_task(clients.keep()) for _ in range(8)]
    work += [asyncio.create_task(clients.knock()) for _ in range(4)]
    for state in states:
        bundle = running.bundle(state)
        plan = running.backend.plan(running.live, bundle)
        await running.backend.validate(bundle)
        await running.backend.apply(plan)
        await running.backend.confirm(plan)
        running.live = bundle
    clients.is_over = True
    await asyncio.gather(*work)


@pytest.mark.slow
def test_no_request_is_lost(running: Running, echo: EchoNet, record_property: Callable[[str, object], None]) -> None:
    address = fresh_address(8080)
    echo.listen(address, 8080, "load")
    served, upstreams = host("load.test", ("prefix", "/", to("load"))), (upstream("load", address),)
    states = [config((served, host(f"other-{number}.test")), upstreams) for number in range(RELOADS)]
    running.go(config((served,), upstreams))
    clients = Clients(running.address)
    running.run(reloads(running, states, clients))
    print(dict(clients.outcomes))
    for outcome, count in clients.outcomes.items():
        record_property(outcome, count)
    assert clients.outcomes.keys() <= {"HTTP/1.1 200 Echo", "announced", "closed", "reset"}
    assert clients.outcomes["HTTP/1.1 200 Echo"] > 100 * RELOADS
    assert clients.outcomes["announced"] + clients.outcomes["closed"] + clients.outcomes["reset"] > 0
