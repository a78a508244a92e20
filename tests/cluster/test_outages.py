"""An API server that is away, slow, full, or has forgotten: what is known stays, and our place if it can.

Tests that are called for a row prove that row of the list of failures which gen must survive.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from gen.sources.kube import reflector
from tests.cluster import faults, objects
from tests.cluster.apiserver import ApiServer
from tests.cluster.asking import following, initial, interrupt, listing, lists, lists_only
from tests.cluster.client import Client
from tests.cluster.conftest import QUICK, Follow
from tests.cluster.faults import Json
from tests.cluster.follower import until
from tests.cluster.proxy import Action, FaultProxy, Request

GONE = (
    pytest.param(faults.refuse(410, "Expired"), id="status"),
    pytest.param(faults.error_event(410, "Expired"), id="event"),
)


async def test_row_01_api_server_is_down_at_the_start(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.ingress("one"))
    proxy.down()
    async with follow() as seen:
        await seen.fails(20)
        assert seen.batches == []
        proxy.up()
        await seen.knows("one")


async def test_row_02_api_server_goes_down_later(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    passed = 0.0
    client.create(objects.ingress("stays"))
    client.create(objects.ingress("goes"))
    async with follow("Ingress", clock=lambda: time.monotonic() + passed) as seen:
        await seen.knows("stays", "goes")
        proxy.down()
        client.delete(objects.ingress("goes"))
        passed = 600.0
        await seen.fails(5)
        assert len(seen.batches) == 1
        assert 600 <= seen.source.staleness()["Ingress"] < 700
        proxy.up()
        await seen.knows("stays")
        assert seen.source.staleness()["Ingress"] < 60


async def test_row_02_api_server_falls_silent(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    lists_only(proxy)
    fault = proxy.fault(faults.silence, when=following, times=1)
    async with follow("Ingress", timing=msgspec.structs.replace(QUICK, watch=1.0, silence=0.1)) as seen:
        await until(lambda: fault.taken == 1)
        client.create(objects.ingress("one"))
        await seen.knows("one")
    assert lists(proxy) == 1


@pytest.mark.parametrize("request_of", [listing, initial])
async def test_row_03_an_answer_that_trickles(
    request_of: Callable[[Request], bool], proxy: FaultProxy, client: Client, follow: Follow
) -> None:
    client.create(objects.ingress("one"))
    fault = proxy.fault(faults.trickle(0.05), when=request_of)
    if request_of is listing:
        lists_only(proxy)
    async with follow("Ingress", timing=msgspec.structs.replace(QUICK, page=0.2, whole=0.2)) as seen:
        await until(lambda: fault.taken >= (2 if request_of is listing else 1))
        assert seen.batches == []
        proxy.heal()
        await seen.knows("one")


async def test_an_answer_that_does_not_begin(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.ingress("one"))
    proxy.fault(faults.hold(threading.Event()), times=2)
    async with follow("Ingress") as seen:
        await seen.knows("one")


@pytest.mark.parametrize("gone", GONE)
@pytest.mark.parametrize("request_of", [listing, initial])
async def test_row_04_gone(
    *,
    gone: Action,
    request_of: Callable[[Request], bool],
    proxy: FaultProxy,
    client: Client,
    follow: Follow,
    request: pytest.FixtureRequest,
) -> None:
    if request_of is initial:
        request.getfixturevalue("watch_lists")
    if request_of is listing:
        lists_only(proxy)
    for name in ("stays", "goes"):
        client.create(objects.ingress(name))
    async with follow("Ingress") as seen:
        await seen.knows("stays", "goes")
        complete = threading.Event()
        proxy.fault(gone, when=following, times=1)
        held = proxy.fault(faults.hold(complete), when=request_of)
        interrupt(proxy)
        client.delete(objects.ingress("goes"))
        client.create(objects.ingress("comes"))
        await until(lambda: held.taken == 1)
        assert seen.names() == {"stays", "goes"}
        complete.set()
        await seen.knows("stays", "comes")


async def test_row_04_history_was_compacted(
    server: ApiServer, proxy: FaultProxy, client: Client, follow: Follow
) -> None:
    for name in ("stays", "goes"):
        client.create(objects.ingress(name))
    async with follow("Ingress") as seen:
        await seen.knows("stays", "goes")
        proxy.down()
        client.delete(objects.ingress("goes"))
        server.expire()
        proxy.up()
        await seen.knows("stays")


async def test_row_05_gone_on_the_third_of_five_pages(
    proxy: FaultProxy, client: Client, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "PAGE_SIZE", "2")
    names = {f"many-{number}" for number in range(9)}
    for name in names:
        client.create(objects.ingress(name))
    lists_only(proxy)
    page = itertools.count(1)
    proxy.fault(faults.refuse(410, "Expired"), when=lambda request: listing(request) and next(page) == 3)
    async with follow("Ingress") as seen:
        await seen.first()
        assert seen.names() == names
    assert lists(proxy) == 3 + 5


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 504])
async def test_our_place_survives(status: int, proxy: FaultProxy, client: Client, follow: Follow) -> None:
    lists_only(proxy)
    async with follow("Ingress") as seen:
        await seen.first()
        proxy.fault(faults.refuse(status), when=following, times=4)
        interrupt(proxy)
        client.create(objects.ingress("one"))
        await seen.knows("one")
    assert lists(proxy) == 1


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_our_place_is_lost(status: int, proxy: FaultProxy, client: Client, follow: Follow) -> None:
    lists_only(proxy)
    async with follow("Ingress") as seen:
        await seen.first()
        proxy.fault(faults.refuse(status), when=following, times=1)
        interrupt(proxy)
        client.create(objects.ingress("one"))
        await seen.knows("one")
    assert lists(proxy) == 2


async def test_too_many_requests_are_answered_by_waiting(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    proxy.fault(faults.refuse(429, "TooManyRequests", {"Retry-After": "1"}), times=1)
    async with follow("Ingress") as seen:
        await seen.first()
        ((_, delay),) = seen.failures
        assert delay >= 1


async def test_watches_end_as_they_were_asked_to(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    lists_only(proxy)
    async with follow("Ingress", timing=msgspec.structs.replace(QUICK, watch=1.0)) as seen:
        await until(lambda: sum(map(following, proxy.requests)) == 3)
        client.create(objects.ingress("one"))
        await seen.knows("one")
        assert not seen.failures
    assert lists(proxy) == 1


async def test_a_storm_of_ends_is_met_with_patience(proxy: FaultProxy, follow: Follow) -> None:
    lists_only(proxy)
    proxy.fault(faults.end_at_once, when=following)
    async with follow("Ingress") as seen:
        await seen.fails(8)
        assert sum(map(following, proxy.requests)) <= len(seen.failures) + 1
        assert all(delay >= QUICK.limit for _, delay in seen.failures[3:])
    assert lists(proxy) == 1


async def test_bookmarks_move_our_place(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    def marked(sent: Iterator[Json]) -> Iterator[Json]:
        yield next(sent)
        mark = client.create(objects.config_map("noise"))["metadata"]["resourceVersion"]
        places.append(mark)
        kind = {"kind": "Ingress", "apiVersion": "networking.k8s.io/v1"}
        yield {"type": "BOOKMARK", "object": {**kind, "metadata": {"resourceVersion": mark}}}

    places: list[str] = []
    lists_only(proxy)
    proxy.fault(faults.events(marked), when=following, times=1)
    async with follow("Ingress") as seen:
        await seen.first()
        client.create(objects.ingress("one"))
        await until(lambda: sum(map(following, proxy.requests)) == 2)
        assert proxy.requests[-1].query["resourceVersion"] == places[0]


async def test_a_connection_is_cut_in_an_event(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    lists_only(proxy)
    fault = proxy.fault(faults.cut_in_an_event, when=following, times=1)
    async with follow("Ingress") as seen:
        await until(lambda: fault.taken == 1)
        client.create(objects.ingress("one"))
        await seen.knows("one")
    assert lists(proxy) == 1
