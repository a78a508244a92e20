"""No batch before everything is known, and what comes and goes after it.

Tests that are called for a row prove that row of the list of failures which gen must survive.
"""

from __future__ import annotations

import threading
import time
from typing import cast

import pytest

from gen.k8s import EndpointSlice, Ref
from gen.sources.kube.selection import RESOURCES, Scope
from tests.cluster import faults, objects
from tests.cluster.asking import interrupt
from tests.cluster.client import Client
from tests.cluster.conftest import KINDS, Follow
from tests.cluster.follower import until
from tests.cluster.proxy import FaultProxy


@pytest.mark.parametrize("kind", KINDS)
async def test_row_09_no_batch_before_every_kind_is_known(
    kind: str, proxy: FaultProxy, client: Client, follow: Follow
) -> None:
    released = threading.Event()
    held = proxy.fault(faults.hold(released), RESOURCES[kind][1])
    async with follow() as seen:
        others = [feed for feed in seen.source._reflectors if feed.selection.kind != kind]
        await until(lambda: held.taken == 1 and all(feed.synced for feed in others))
        assert seen.batches == []
        released.set()
        await seen.first()


async def test_row_10_an_empty_cluster_is_said_to_be_empty(follow: Follow) -> None:
    async with follow("Ingress", "Service") as seen:
        first = await seen.first()
        assert (first.changes, first.issues, first.synced) == ((), (), True)


async def test_row_11_scale_to_zero_and_back(client: Client, follow: Follow) -> None:
    ref = Ref("EndpointSlice", objects.NAMESPACE, "web-1")

    def addresses() -> int:
        return len(cast("EndpointSlice", seen.objects[ref]).endpoints or ())

    client.create(objects.endpoint_slice("web-1", "10.0.0.1", "10.0.0.2"))
    async with follow("EndpointSlice") as seen:
        await seen.knows("web-1", kind="EndpointSlice")
        client.replace(objects.endpoint_slice("web-1"))
        await until(lambda: addresses() == 0)
        client.replace(objects.endpoint_slice("web-1", "10.0.0.3"))
        await until(lambda: addresses() == 1)


@pytest.mark.parametrize("by_reference", [frozenset(), frozenset({"Secret"})], ids=["watched", "by reference"])
@pytest.mark.parametrize("order", [("Secret", "Ingress"), ("Ingress", "Secret")], ids=" before ".join)
async def test_row_12_a_secret_comes_and_goes(
    order: tuple[str, str], by_reference: frozenset[str], client: Client, follow: Follow
) -> None:
    made = {"Secret": objects.secret("cert"), "Ingress": objects.ingress("one", secret="cert")}
    kinds = ("Ingress",) if by_reference else ("Ingress", "Secret")
    scope = Scope(kinds=kinds, namespaces=(objects.NAMESPACE,), by_reference=by_reference)
    client.create(made[order[0]])
    async with follow(scope=scope) as seen:
        await seen.first()
        client.create(made[order[1]])
        await seen.knows("cert", kind="Secret")
        client.delete(made["Secret"])
        await seen.knows(kind="Secret")
        assert seen.names() == {"one"}
        client.create(made["Secret"])
        await seen.knows("cert", kind="Secret")


@pytest.mark.parametrize("day", [-86400, 86400], ids=["back", "forth"])
async def test_row_13_the_clock_jumps(
    day: int, proxy: FaultProxy, client: Client, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    async with follow("Ingress") as seen:
        await seen.first()
        monkeypatch.setattr(time, "time", lambda: real() + day)
        interrupt(proxy)
        client.create(objects.ingress("one"))
        await seen.knows("one", seconds=2)
        assert 0 <= seen.source.staleness()["Ingress"] < 10
