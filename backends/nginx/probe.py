"""Asking a running nginx for the digest of the configuration that it runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

REQUEST = b"GET /gen/digest HTTP/1.0\r\n\r\n"


async def ask_digest(socket: Path, *, timeout: float) -> str | None:
    """The digest that the worker which accepts a new connection reports; None when there is no such answer."""
    try:
        async with asyncio.timeout(timeout):
            answer = await exchange(socket)
    except (OSError, TimeoutError):
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode("ascii", "replace") if head.startswith(b"HTTP/1.1 200 ") else None


async def exchange(socket: Path) -> bytes:
    """One request on a connection of its own, and all that comes back."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(REQUEST)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
