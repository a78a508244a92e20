"""Asking a running nginx for the digest of the configuration that it runs, and telling it endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

DIGEST = b"GET /gen/digest HTTP/1.0\r\n\r\n"


async def ask_digest(socket: Path, *, timeout: float) -> str | None:
    """The digest that the worker which accepts a new connection reports; None when there is no such answer."""
    return await ask(socket, DIGEST, timeout=timeout)


async def tell_endpoints(socket: Path, old: str, new: str, rows: Iterable[str], *, timeout: float) -> bool:
    """Tell the endpoints of groups that differ between two digests; whether nginx now reports the new one."""
    body = "\n".join((f"{old} {new}", *rows, "")).encode()
    head = f"POST /gen/endpoints HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    return await ask(socket, head.encode() + body, timeout=timeout) == new


async def ask(socket: Path, request: bytes, *, timeout: float) -> str | None:
    """The body of the answer to a request, None for any status but 200 and for no answer."""
    try:
        async with asyncio.timeout(timeout):
            answer = await exchange(socket, request)
    except (OSError, TimeoutError):
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode("ascii", "replace") if head.startswith(b"HTTP/1.1 200 ") else None


async def exchange(socket: Path, request: bytes) -> bytes:
    """One request on a connection of its own, and all that comes back."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
