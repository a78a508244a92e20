"""HAProxy's two sockets: the worker's admin socket, and the master's, through which it reloads.

One command, one connection: write, half-close, read to the end.  That works alike from 2.6 on.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

from msgspec import Struct

from backends.haproxy.sections import GENERATION
from gen.errors import ApplyError

DIGEST = re.compile(r"^0x\S+ digest ([0-9a-f]+)$", re.MULTILINE)
MASTER = re.compile(r"^\d+ +master +(\d+)(?: +\[failed: (\d+)\])? ", re.MULTILINE)
ANSWER = re.compile(r"^Success=([01])$", re.MULTILINE)
PATIENCE = 5.0  # seconds for an answer that needs no work


class Reloads(Struct, frozen=True):
    """How often a master has tried to reload since it started, and how often in vain since it last succeeded."""

    tried: int
    failed: int


async def ask(socket: Path, command: str, timeout: float = PATIENCE) -> str:
    """The answer to one command.  Raises ApplyError when there is none within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(f"{command}\n".encode())
                writer.write_eof()
                return (await reader.read()).decode("utf-8", "replace")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        raise ApplyError(f"{socket.name} did not answer {command!r} within {timeout:g} s") from None
    except OSError as error:
        raise ApplyError(f"{socket.name} is not there: {error.strerror or error}") from error


async def live_digest(admin: Path) -> str | None:
    """The digest that the worker behind an admin socket reports; None when nobody answers, or not one of ours."""
    try:
        found = DIGEST.search(await ask(admin, f"show map {GENERATION}"))
    except ApplyError:
        return None
    return found[1] if found else None


async def reloads(master: Path) -> Reloads | None:
    """The state of a master; None while it does not answer, as it does for a while when it reloads."""
    try:
        found = MASTER.search(await ask(master, "show proc"))
    except ApplyError:
        return None
    return Reloads(int(found[1]), int(found[2] or 0)) if found else None


async def reload(master: Path, limit: float) -> str:
    """Let a master reload and wait for the outcome; "" is success, anything else what it says about the failure.

    From 2.7 on the answer tells.  2.6 only closes the connection: then the count of attempts has to rise.
    Raises ApplyError when the master is not there, or silent for `limit` seconds.
    """
    before = await reloads(master)
    if before is None:
        raise ApplyError(f"{master.name} does not answer: HAProxy is not running, or not as master and worker")
    try:
        answer = await ask(master, "reload", limit)
    except ApplyError:
        answer = ""
    if outcome := ANSWER.search(answer):
        return "" if outcome[1] == "1" else answer[outcome.end() :].lstrip("\n-") or "the reload failed"
    async for _ in ticks(limit):
        now = await reloads(master)
        if now and now.tried != before.tried:
            return "the reload failed" if now.failed else ""
    raise ApplyError(f"HAProxy did not finish its reload within {limit:g} s")


async def ticks(limit: float) -> AsyncIterator[float]:
    """Moments to look again, ever further apart, for at most `limit` seconds."""
    end, pause = time.monotonic() + limit, 0.005
    while (now := time.monotonic()) < end:
        yield end - now
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.1)
