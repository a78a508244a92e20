"""Waiting for tasks, and ending them, in the three ways that the loop needs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """End tasks, and wait until they have ended; how they ended is up to whoever asks them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def until_first(*tasks: asyncio.Task[Any]) -> None:
    """Wait until one of the tasks is done."""
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def bounded(work: Coroutine[Any, Any, Any], seconds: float, hurry: asyncio.Event) -> None:
    """Give some work so many seconds, and none once `hurry` is set; what is not done by then is cancelled.

    Raises: what the work raised.
    """
    task, alarm = asyncio.create_task(work), asyncio.create_task(hurry.wait())
    try:
        await asyncio.wait((task, alarm), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(task, alarm)
    if not task.cancelled():
        task.result()
