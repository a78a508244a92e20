from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backends.nginx.probe import ask_digest


@pytest.mark.parametrize("moment", range(12))
async def test_whoever_asks_can_be_cancelled_at_any_moment(moment: int, tmp_path: Path) -> None:
    question = asyncio.create_task(ask_digest(tmp_path / "nobody", timeout=5))
    for _ in range(moment):
        await asyncio.sleep(0)
    if question.cancel():
        with pytest.raises(asyncio.CancelledError):
            await question
    else:
        assert await question is None
