"""Answers and events that gen must not believe, and objects that it cannot read.

Tests that are called for a row prove that row of the list of failures which gen must survive.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from gen.k8s import Ingress, Ref
from gen.sources.kube import wire
from tests.cluster import faults, objects
from tests.cluster.asking import everything, following, initial, interrupt, listing, lists, lists_only, lost, watching
from tests.cluster.client import Client
from tests.cluster.conftest import Follow
from tests.cluster.faults import Json
from tests.cluster.follower import until
from tests.cluster.proxy import Action, FaultProxy


def emptied(body: Json) -> Json:
    """The same list without its items."""
    return {**body, "items": []}


def of_another_kind(body: Json) -> Json:
    """The same list with another name."""
    return {**body, "kind": "PodList"}


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
        lost(proxy)
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
        lost(proxy)
        await until(lambda: fault.taken == 1)
        client.create(objects.ingress("two"))
        await seen.knows("one", "two")
        assert all(change.object is not None for batch in seen.batches for change in batch.changes)


@pytest.mark.usefixtures("watch_lists")
async def test_row_06_a_watch_list_is_empty_once(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.ingress("one"))
    async with follow("Ingress") as seen:
        await seen.knows("one")
        no_objects = faults.events(lambda sent: (event for event in sent if event["type"] == "BOOKMARK"))
        fault = proxy.fault(no_objects, when=initial, times=1)
        lost(proxy)
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
        lost_while_down(proxy)
        await seen.knows()
        assert lists(proxy) == before + 2


def lost_while_down(proxy: FaultProxy) -> None:
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
        lost(proxy)
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
        lost(proxy)
        await seen.knows("one", "two")
        assert all(change.object is not None for batch in seen.batches for change in batch.changes)


ONE = Ref("Ingress", objects.NAMESPACE, "one")


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
    proxy.fault(faults.events(thinned), when=watching)
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
    proxy.fault(faults.events(late), when=watching)
    async with follow("Ingress") as seen:
        await seen.knows("one")
        client.delete(objects.ingress("one"))
        client.create(objects.ingress("one"))
        client.create(objects.ingress("two"))
        await seen.knows("one", "two")
        assert not seen.failures


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
        lost(proxy)
        await until(lambda: bool(seen.batches[-1].issues))
        assert seen.names() == {"bad", "good"}


async def test_an_object_that_turns_bad_stays_as_it_was(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.ingress("bad"))
    proxy.fault(faults.events(lambda sent: map(spoilt, sent)), when=watching)
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
