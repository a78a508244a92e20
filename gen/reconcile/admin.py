"""The HTTP server of gen itself: four exact paths, and nothing else."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from gen.errors import UsageError
from gen.report.health import Health
from gen.report.metrics import CONTENT_TYPE, Metrics

Page = tuple[int, str, bytes]
"""Status, content type, body."""
TEXT = "text/plain; charset=utf-8"
SILENT = logging.getLogger("gen.admin")
SILENT.setLevel(logging.CRITICAL)  # what a client sends must not fill the log


@asynccontextmanager
async def serve(host: str, port: int, health: Health, metrics: Metrics) -> AsyncIterator[None]:
    """Answer for as long as the block runs.  Raises UsageError when the port cannot be had."""
    pages: dict[str, Callable[[], Page]] = {
        "/healthz": lambda: (200, TEXT, b"ok\n"),
        "/startupz": lambda: (200 if health.has_started else 503, TEXT, f"{health.sentence}\n".encode()),
        "/readyz": lambda: (200 if health.is_ready else 503, TEXT, f"{health.sentence}\n".encode()),
        "/metrics": lambda: (200, CONTENT_TYPE, metrics.page()),
    }

    async def answer(request: web.BaseRequest) -> web.Response:
        page = pages.get(request.raw_path.partition("?")[0])
        if page is None:
            return web.Response(status=404)
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        status, kind, body = page()
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    runner = web.ServerRunner(web.Server(answer, access_log=None, logger=SILENT), shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise UsageError(f"--admin: cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from error
    try:
        yield
    finally:
        await runner.cleanup()
