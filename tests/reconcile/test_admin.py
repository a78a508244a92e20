from __future__ import annotations

import asyncio

import pytest

from gen.backend import Bundle, Plan
from gen.errors import UsageError
from gen.reconcile.admin import serve
from gen.report.events import Attempt
from gen.report.health import Health
from gen.report.metrics import Metrics
from tests.live.net import free_port


async def ask(port: int, target: str, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of one request, whose target goes out as it is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body


async def test_four_paths_and_nothing_else() -> None:
    health, metrics, port = Health(), Metrics("nginx"), free_port()
    async with serve("127.0.0.1", port, health, metrics):
        assert await ask(port, "/healthz") == (200, b"ok\n")
        assert await ask(port, "/readyz") == (503, b"not live yet: no input has been read yet\n")
        assert (await ask(port, "/startupz"))[0] == 503
        health.observe(Attempt("applied", "input", 0.1, plan=Plan(None, Bundle({}, "0" * 16))))
        assert await ask(port, "/readyz?verbose") == (200, b"the configuration is live\n")
        assert (await ask(port, "/startupz"))[0] == 200
        status, page = await ask(port, "/metrics")
        assert status == 200
        assert b'gen_build_info{backend="nginx"' in page
        for target in ("/", "/healthz/", "//healthz", "/x/../healthz", "/config_dump", "/%68ealthz", "*", "/readyz;x"):
            assert (await ask(port, target))[0] in {400, 404}, target
        assert (await ask(port, "/healthz", "POST"))[0] == 405
        assert await ask(port, "/readyz", "HEAD") == (200, b"")


async def test_cve_2025_1974_and_2026_24514_nobody_reviews_admissions() -> None:
    """There is no webhook, and the answer comes before anything of a body is read."""
    port = free_port()
    async with serve("127.0.0.1", port, Health(), Metrics("nginx")):
        for target in ("/", "/validate", "/networking/v1/ingresses"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n{{".encode())
            assert (await reader.readuntil(b"\r\n")).split()[1] == b"404"
            writer.close()
            await writer.wait_closed()


async def test_clients_cannot_write_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    caplog.set_level("DEBUG", logger="aiohttp")
    async with serve("127.0.0.1", port, Health(), Metrics("nginx")):
        for request in (b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"A" * 100_000 + b"\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            assert (await reader.read()).split()[1] == b"400"
            writer.close()
            await writer.wait_closed()
    assert [record for record in caplog.records if record.name != "asyncio"] == []


async def test_taken_port_is_a_usage_error() -> None:
    port = free_port()
    async with serve("127.0.0.1", port, Health(), Metrics("nginx")):
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with serve("127.0.0.1", port, Health(), Metrics("nginx")):
                pass
