"""Endpoints go out at once, everything else when it is quiet."""

from __future__ import annotations

import asyncio

from gen.k8s import Ref
from gen.sources.kube.outbox import Outbox
from gen.store import Change

SLICE, OTHER_SLICE = Change(Ref("EndpointSlice", "n", "a"), None), Change(Ref("EndpointSlice", "n", "b"), None)
INGRESS, SERVICE = Change(Ref("Ingress", "n", "a"), None), Change(Ref("Service", "n", "a"), None)
LONG = 30.0


def now() -> float:
    return asyncio.get_running_loop().time()


async def begun(**times: float) -> Outbox:
    """An outbox that has handed out its first batch."""
    outbox = Outbox(**{"quiet": 0.0, "patience": LONG, **times})
    outbox.put([INGRESS, SLICE])
    outbox.open()
    assert set(await outbox.take() or ()) == {INGRESS, SLICE}
    return outbox


async def test_the_first_batch_is_whole() -> None:
    outbox = Outbox(quiet=0.1, patience=LONG)
    outbox.put([SLICE])
    outbox.open()
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.put([INGRESS])
    assert set(await taking or ()) == {SLICE, INGRESS}


async def test_endpoints_do_not_wait_for_others() -> None:
    outbox = await begun()
    outbox._quiet = LONG
    outbox.put([SERVICE])
    outbox.put([SLICE])
    async with asyncio.timeout(5):
        assert await outbox.take() == (SLICE,)
        outbox.put([OTHER_SLICE])
        assert await outbox.take() == (OTHER_SLICE,)
    outbox._quiet = 0.0
    assert await outbox.take() == (SERVICE,)


async def test_endpoints_keep_a_pace() -> None:
    outbox = await begun(pace=0.2)
    start = now()
    outbox.put([SLICE])
    outbox.put([OTHER_SLICE])
    assert await outbox.take() == (SLICE, OTHER_SLICE)
    assert now() - start > 0.15


async def test_others_wait_until_it_is_quiet_but_not_for_ever() -> None:
    outbox = await begun()
    outbox._quiet, outbox._patience = LONG, 0.1
    outbox.put([SERVICE])
    async with asyncio.timeout(5):
        taking = asyncio.create_task(outbox.take())
        while not taking.done():
            outbox.put([INGRESS])
            await asyncio.sleep(0.01)
    assert await taking == (SERVICE, INGRESS)


async def test_what_is_around_the_objects_goes_out_too() -> None:
    outbox = await begun()
    outbox.put([])
    assert await outbox.take() == ()


async def test_a_closed_one_gives_nothing() -> None:
    outbox = await begun()
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.close()
    assert await taking is None
