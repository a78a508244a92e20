"""Whatever happens, in whatever order: in the end gen knows what the API server knows."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.cluster import faults, objects
from tests.cluster.asking import everything, interrupt, lists_only
from tests.cluster.client import Client
from tests.cluster.conftest import Follow
from tests.cluster.follower import until
from tests.cluster.proxy import Action, FaultProxy

TROUBLES: tuple[Action, ...] = (
    faults.refuse(410, "Expired"), faults.error_event(410, "Expired"), faults.refuse(503), faults.refuse(429),
    faults.error_event(500, "InternalError"), faults.truncate, faults.page_of_a_proxy, faults.cut_in_the_middle,
    faults.end_at_once,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_the_end_is_right(seed: int, proxy: FaultProxy, client: Client, follow: Follow) -> None:
    chance = random.Random(seed)
    if seed % 2:
        lists_only(proxy)
    client.create(objects.ingress("always"))
    alive: set[str] = set()
    async with follow("Ingress") as seen:
        await seen.first()
        for _ in range(60):
            name = f"some-{chance.randrange(5)}"
            if name not in alive:
                client.create(objects.ingress(name))
                alive.add(name)
            elif chance.random() < 0.5:
                client.delete(objects.ingress(name))
                alive.remove(name)
            else:
                client.replace(objects.ingress(name, host=f"{chance.randrange(1000)}.test"))
            if chance.random() < 0.3:
                proxy.fault(chance.choice(TROUBLES), times=1)
            if chance.random() < 0.2:
                interrupt(proxy)
                await asyncio.sleep(chance.random() / 20)
        await seen.knows("always", *alive)
        expected = await everything(follow)
        await until(lambda: seen.objects == expected)
        gone = [change.ref.name for batch in seen.batches for change in batch.changes if change.object is None]
        assert "always" not in gone
