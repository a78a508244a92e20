"""Everything that can go wrong between gen and the API server, by injection.

Tests that are called for a row prove that row of the list of failures which gen must survive.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import pytest

from gen.k8s import EndpointSlice, Ingress, Object, Ref
from gen.sources.kube import reflector, wire
from gen.sources.kube.selection import RESOURCES, Scope
from tests.cluster import faults, objects
from tests.cluster.apiserver import ApiServer
from tests.cluster.client import Client
from tests.cluster.conftest import KINDS, QUICK, Follow
from tests.cluster.faults import Json
from tests.cluster.follower import until
from tests.cluster.proxy import Action, FaultProxy, Request

ONE = Ref("Ingress", objects.NAMESPACE, "one")


GONE = (
    pytest.param(faults.refuse(410, "Expired"), id="status"),
    pytest.param(faults.error_event(410, "Expired"), id="event"),
)


def listing(request: Request) -> bool:
    """Whether a request asks for a whole state by a list."""
    return not request.watch


def initial(request: Request) -> bool:
    """Whether a request asks for a whole state by a watch."""
    return request.initial


def following(request: Request) -> bool:
    """Whether a request asks for changes only."""
    return request.watch and not request.initial


def lists(proxy: FaultProxy) -> int:
    """How many lists were asked for."""
    return sum(listing(request) for request in proxy.requests)


def lists_only(proxy: FaultProxy) -> None:
    """Let the API server have no watch-lists."""
    proxy.fault(faults.refuse(422, "Invalid"), when=initial)


def interrupt(proxy: FaultProxy) -> None:
    """Cut all connections."""
    proxy.down()
    proxy.up()


# ------------------------------------------------------------------ outages


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


# ------------------------------------------------------------------ history that is gone


@pytest.mark.parametrize("gone", GONE)
@pytest.mark.parametrize("request_of", [listing, initial])
async def test_row_04_gone(
    gone: Action, request_of: Callable[[Request], bool], proxy: FaultProxy, client: Client, follow: Follow
) -> None:
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


# ------------------------------------------------------------------ answers that cannot be believed


def emptied(body: Json) -> Json:
    """The same list without its items."""
    return {**body, "items": []}


def of_another_kind(body: Json) -> Json:
    """The same list with another name."""
    return {**body, "kind": "PodList"}


async def lost(proxy: FaultProxy) -> None:
    """Make a source ask for the whole state again."""
    proxy.fault(faults.refuse(410, "Expired"), when=following, times=1)
    interrupt(proxy)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(faults.rewrite(of_another_kind), id="wrong kind"),
        pytest.param(faults.truncate, id="truncated"),
        pytest.param(faults.cut_in_the_middle, id="cut"),
        pytest.param(faults.page_of_a_proxy, id="html"),
        pytest.param(faults.rewrite(lambda body: {**body, "metadata": {}}), id="no version"),
    ],
)
async def test_row_06_garbage_instead_of_a_list(
    answer: Action, proxy: FaultProxy, client: Client, follow: Follow
) -> None:
    lists_only(proxy)
    client.create(objects.ingress("one"))
    async with follow("Ingress") as seen:
        await seen.knows("one")
        proxy.fault(answer, when=listing)
        await lost(proxy)
        await seen.fails(4)
        assert len(seen.batches) == 1
        proxy.heal()
        client.create(objects.ingress("two"))
        await seen.knows("one", "two")


async def test_redirects_are_not_followed(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    elsewhere = {"Location": f"{proxy.url}/apis/networking.k8s.io/v1/namespaces/shop/ingresses?redirected=yes"}
    lists_only(proxy)
    proxy.fault(faults.refuse(302, headers=elsewhere), when=lambda request: "redirected" not in request.query)
    async with follow("Ingress") as seen:
        await seen.fails(3)
        assert seen.batches == []
    assert not [request for request in proxy.requests if "redirected" in request.query]


async def test_row_06_a_list_is_empty_once(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    lists_only(proxy)
    client.create(objects.ingress("one"))
    async with follow("Ingress") as seen:
        await seen.knows("one")
        fault = proxy.fault(faults.rewrite(emptied), when=listing, times=1)
        await lost(proxy)
        await until(lambda: fault.taken == 1)
        client.create(objects.ingress("two"))
        await seen.knows("one", "two")
        assert all(change.object is not None for batch in seen.batches for change in batch.changes)


async def test_row_06_a_watch_list_is_empty_once(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.ingress("one"))
    async with follow("Ingress") as seen:
        await seen.knows("one")
        no_objects = faults.events(lambda sent: (event for event in sent if event["type"] == "BOOKMARK"))
        fault = proxy.fault(no_objects, when=initial, times=1)
        await lost(proxy)
        await until(lambda: fault.taken == 1)
        client.create(objects.ingress("two"))
        await seen.knows("one", "two")
        assert all(change.object is not None for batch in seen.batches for change in batch.changes)


async def test_row_06_a_list_is_empty_twice(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    lists_only(proxy)
    client.create(objects.ingress("one"))
    async with follow("Ingress") as seen:
        await seen.knows("one")
        proxy.down()
        client.delete(objects.ingress("one"))
        await seen.fails(1)
        before = lists(proxy)
        await lost_while_down(proxy)
        await seen.knows()
        assert lists(proxy) == before + 2


async def lost_while_down(proxy: FaultProxy) -> None:
    """As `lost`, for a proxy that is down."""
    proxy.fault(faults.refuse(410, "Expired"), when=following, times=1)
    proxy.up()


async def test_row_06_empty_lists_of_the_past(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    lists_only(proxy)
    client.create(objects.ingress("one"))
    earlier = itertools.count(999, -1)
    aged = faults.rewrite(lambda body: emptied(body) | {"metadata": {"resourceVersion": str(next(earlier))}})
    async with follow("Ingress") as seen:
        await seen.knows("one")
        proxy.fault(aged, when=listing)
        await lost(proxy)
        await seen.fails(5)
        assert seen.names() == {"one"}
        proxy.heal()
        client.create(objects.ingress("two"))
        await seen.knows("one", "two")


async def test_row_06_two_doubts_do_not_confirm_each_other(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    lists_only(proxy)
    client.create(objects.ingress("one"))
    async with follow("Ingress") as seen:
        await seen.knows("one")
        aged = faults.rewrite(lambda body: {**body, "metadata": {"resourceVersion": "1"}})
        proxy.fault(aged, when=listing, times=1)
        proxy.fault(faults.rewrite(emptied), when=listing, times=1)
        client.create(objects.ingress("two"))
        await lost(proxy)
        await seen.knows("one", "two")
        assert all(change.object is not None for batch in seen.batches for change in batch.changes)


# ------------------------------------------------------------------ events that cannot be believed


def shuffled(sent: Iterator[Json]) -> Iterator[Json]:
    """150 events, 70 times each, in any order."""
    found = list(itertools.islice(sent, 150)) * 70
    random.Random(7).shuffle(found)
    yield from found
    yield from sent


def swapped(sent: Iterator[Json]) -> Iterator[Json]:
    """Each second event before the first."""
    for first in sent:
        yield from (next(sent), first)


def doubled(sent: Iterator[Json]) -> Iterator[Json]:
    """Each event twice."""
    for event in sent:
        yield from (event, event)


def replayed(sent: Iterator[Json]) -> Iterator[Json]:
    """From time to time everything from the beginning."""
    passed: list[Json] = []
    for event in sent:
        passed.append(event)
        yield event
        if len(passed) % 10 == 0:
            yield from passed


def thinned(sent: Iterator[Json]) -> Iterator[Json]:
    """Without what came first of a recreated object."""
    return (event for event in sent if event["type"] != "DELETED")


@pytest.mark.parametrize("disorder", [shuffled, swapped, doubled, replayed])
async def test_row_07_events_in_disorder(
    disorder: Callable[[Iterator[Json]], Iterator[Json]], proxy: FaultProxy, client: Client, follow: Follow
) -> None:
    lists_only(proxy)
    proxy.fault(faults.events(disorder), when=following)
    async with follow("Ingress") as seen:
        await seen.first()
        for number in range(50):
            client.create(objects.ingress(f"stays-{number}"))
            client.create(objects.ingress(f"goes-{number}"))
            client.delete(objects.ingress(f"goes-{number}"))
        for number in range(50):
            client.replace(objects.ingress(f"stays-{number}", host="last.test"))
        client.create(objects.ingress("end"))
        proxy.heal()
        interrupt(proxy)
        await seen.knows("end", *(f"stays-{number}" for number in range(50)), seconds=20)
        expected = await everything(follow)
        await until(lambda: seen.objects == expected)


async def everything(follow: Follow) -> dict[Ref, Object]:
    """What a source finds that begins now."""
    async with follow("Ingress") as fresh:
        await fresh.first()
        return fresh.objects


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda event: {**event, "object": {**event["object"], "kind": "Pod"}}, id="wrong kind"),
        pytest.param(lambda event: {**event, "type": "CHANGED"}, id="wrong type"),
        pytest.param(lambda event: {**event, "object": {"kind": "Ingress", "metadata": {}}}, id="no version"),
        pytest.param(lambda _event: {"message": "sign in"}, id="no event"),
    ],
)
async def test_garbage_instead_of_events(
    spoil: Callable[[Json], Json], proxy: FaultProxy, client: Client, follow: Follow
) -> None:
    lists_only(proxy)
    proxy.fault(faults.events(lambda sent: map(spoil, sent)), when=following, times=1)
    async with follow("Ingress") as seen:
        await seen.first()
        client.create(objects.ingress("one"))
        await seen.knows("one")
        assert len(seen.failures) == 1
    assert lists(proxy) == 2


async def test_row_08_a_deletion_is_lost(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    first = client.create(objects.ingress("one"))
    proxy.fault(faults.events(thinned))
    async with follow("Ingress") as seen:
        await seen.knows("one")
        client.delete(objects.ingress("one"))
        second = client.create(objects.ingress("one"))
        assert first["metadata"]["uid"] != second["metadata"]["uid"]
        await until(lambda: seen.objects[ONE].metadata.uid == second["metadata"]["uid"])


async def test_row_08_a_deletion_of_the_one_before_comes_late(
    proxy: FaultProxy, client: Client, follow: Follow
) -> None:
    def late(sent: Iterator[Json]) -> Iterator[Json]:
        deletions = []
        for event in sent:
            if event["type"] == "DELETED":
                deletions.append(event)
                continue
            yield event
            for deletion in deletions:
                deletion["object"]["metadata"]["resourceVersion"] = event["object"]["metadata"]["resourceVersion"]
                yield deletion

    client.create(objects.ingress("one"))
    proxy.fault(faults.events(late))
    async with follow("Ingress") as seen:
        await seen.knows("one")
        client.delete(objects.ingress("one"))
        client.create(objects.ingress("one"))
        client.create(objects.ingress("two"))
        await seen.knows("one", "two")
        assert not seen.failures


# ------------------------------------------------------------------ the barrier


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


# ------------------------------------------------------------------ refusals and ends


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


# ------------------------------------------------------------------ bad objects


def broken(item: Json) -> Json:
    """An object with a field of the wrong type."""
    return {**item, "spec": {"rules": "none"}} if item["metadata"]["name"] == "bad" else item


def spoilt(event: Json) -> Json:
    """An event with such an object, if it is of a change."""
    return {**event, "object": broken(event["object"])} if event["type"] == "MODIFIED" else event


async def test_a_bad_object_in_a_list_costs_only_itself(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    lists_only(proxy)
    for name in ("bad", "good"):
        client.create(objects.ingress(name))
    proxy.fault(faults.rewrite(lambda body: {**body, "items": list(map(broken, body["items"]))}), when=listing)
    async with follow("Ingress") as seen:
        (issue,) = (await seen.first()).issues
        assert (issue.code, issue.source.name, issue.severity) == ("BadType", "bad", "error")
        assert "spec.rules" in issue.message
        await seen.knows("good")
        client.replace(objects.ingress("bad", host="good.test"))
        await seen.knows("good", "bad")
        assert seen.batches[-1].issues == ()


async def test_an_object_that_a_list_shows_as_bad_stays_as_it_was(
    proxy: FaultProxy, client: Client, follow: Follow
) -> None:
    lists_only(proxy)
    for name in ("bad", "good"):
        client.create(objects.ingress(name))
    async with follow("Ingress") as seen:
        await seen.knows("bad", "good")
        proxy.fault(faults.rewrite(lambda body: {**body, "items": list(map(broken, body["items"]))}), when=listing)
        await lost(proxy)
        await until(lambda: bool(seen.batches[-1].issues))
        assert seen.names() == {"bad", "good"}


async def test_an_object_that_turns_bad_stays_as_it_was(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.ingress("bad"))
    proxy.fault(faults.events(lambda sent: map(spoilt, sent)))
    async with follow("Ingress") as seen:
        await seen.knows("bad")
        client.replace(objects.ingress("bad", host="other.test"))
        await until(lambda: bool(seen.batches[-1].issues))
        kept = cast("Ingress", seen.objects[Ref("Ingress", objects.NAMESPACE, "bad")])
        assert [rule.host for rule in kept.spec.rules or ()] == ["bad.test"]
        client.delete(objects.ingress("bad"))
        await seen.knows()
        assert seen.batches[-1].issues == ()


async def test_a_defect_does_not_end_it(client: Client, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    read = wire.read_object
    defects = [RuntimeError("defect")]

    def read_or_fail(*args: Any) -> Any:
        if defects:
            raise defects.pop()
        return read(*args)

    client.create(objects.ingress("one"))
    monkeypatch.setattr(wire, "read_object", read_or_fail)
    async with follow("Ingress") as seen:
        await seen.knows("one")
        assert [said for said, _ in seen.failures] == ["Ingress shop: defect"]


# ------------------------------------------------------------------ all together

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
