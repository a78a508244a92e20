"""A source that nothing goes wrong for: it knows what the API server knows, by lists and by watch-lists."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import cast

import pytest

from gen.k8s import EndpointSlice, Ingress, Ref
from gen.sources.kube.selection import Scope, Selection
from tests.cluster import objects
from tests.cluster.client import Client
from tests.cluster.conftest import Follow
from tests.cluster.faults import hold, refuse, silence, trickle
from tests.cluster.follower import until
from tests.cluster.proxy import Action, FaultProxy


@pytest.fixture(params=["lists", "watch-lists"])
def way(request: pytest.FixtureRequest, proxy: FaultProxy) -> str:
    """How the whole state is asked for: an older server has no watch-lists."""
    if request.param == "lists":
        proxy.fault(refuse(422, "Invalid"), when=lambda seen: seen.initial)
    return str(request.param)


async def test_first_batch_is_everything(way: str, client: Client, follow: Follow) -> None:
    made = [
        objects.ingress_class("gen"), objects.service(), objects.endpoint_slice("web-1", "10.0.0.1"),
        objects.secret("cert"), objects.config_map("settings", key="value"), objects.ingress("one"),
    ]  # fmt: skip
    for item in made:
        client.create(item)
    async with follow() as seen:
        first = await seen.first()
        assert first.synced
        assert not first.issues
        names = {(ref.kind, ref.name) for ref in seen.objects if ref.namespace in ("", objects.NAMESPACE)}
        assert {(item["kind"], item["metadata"]["name"]) for item in made} <= names
        assert len(seen.batches) == 1
    client.delete(objects.ingress_class("gen"))


async def test_changes_arrive(way: str, client: Client, follow: Follow) -> None:
    client.create(objects.ingress("old"))
    async with follow("Ingress") as seen:
        await seen.knows("old")
        client.create(objects.ingress("new"))
        await seen.knows("old", "new")
        client.replace(objects.ingress("new", host="other.test"))
        ref = Ref("Ingress", objects.NAMESPACE, "new")
        await until(lambda: cast("Ingress", seen.objects[ref]).spec.rules[0].host == "other.test")  # type: ignore[index]
        client.delete(objects.ingress("old"))
        await seen.knows("new")


async def test_a_list_has_as_many_pages_as_it_needs(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    proxy.fault(refuse(422, "Invalid"), when=lambda seen: seen.initial)
    names = {f"web-{number}" for number in range(1101)}
    for name in names:
        client.create(objects.endpoint_slice(name, "10.0.0.1"))
    async with follow("EndpointSlice") as seen:
        await seen.knows(*names, kind="EndpointSlice", seconds=20)
    lists = [request for request in proxy.requests if not request.watch]
    assert [("continue" in request.query, request.query["limit"]) for request in lists] == [
        (False, "500"), (True, "500"), (True, "500"),
    ]  # fmt: skip


@pytest.mark.usefixtures("watch_lists")
async def test_a_watch_list_goes_on_as_a_watch(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    async with follow("Ingress") as seen:
        await seen.first()
        client.create(objects.ingress("new"))
        await seen.knows("new")
    assert [request.initial for request in proxy.requests] == [True]


async def test_what_gen_does_not_use_changes_nothing(client: Client, follow: Follow) -> None:
    applied = objects.ingress("one")
    applied["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "first"}
    client.create(applied)
    async with follow("Ingress") as seen:
        await seen.knows("one")
        client.merge(applied, {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}, "status")
        applied["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "second"}
        client.replace(applied)
        client.create(objects.ingress("two"))
        await seen.knows("one", "two")
        assert [change.ref.name for batch in seen.batches[1:] for change in batch.changes] == ["two"]


async def test_namespaces_are_followed_one_by_one(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    for name in ("shop", "blog", "other"):
        if name != objects.NAMESPACE:
            client.create(objects.namespace(name))
        client.create(objects.ingress(name, namespace=name))
    async with follow(scope=Scope(kinds=("Ingress", "IngressClass"), namespaces=("shop", "blog"))) as seen:
        await seen.first()
        assert {ref.namespace for ref in seen.objects if ref.kind == "Ingress"} == {"shop", "blog"}
    assert {request.path for request in proxy.requests} == {
        "/apis/networking.k8s.io/v1/namespaces/shop/ingresses",
        "/apis/networking.k8s.io/v1/namespaces/blog/ingresses",
        "/apis/networking.k8s.io/v1/ingressclasses",
    }


async def test_labels_select(way: str, client: Client, follow: Follow) -> None:
    chosen = objects.ingress("chosen")
    chosen["metadata"]["labels"] = {"team": "a"}
    client.create(chosen)
    client.create(objects.ingress("other"))
    scope = Scope(kinds=("Ingress",), namespaces=(objects.NAMESPACE,), labels={"Ingress": "team in (a,b)"})
    async with follow(scope=scope) as seen:
        await seen.knows("chosen")
        client.merge(objects.ingress("other"), {"metadata": {"labels": {"team": "b"}}})
        await seen.knows("chosen", "other")
        client.merge(objects.ingress("chosen"), {"metadata": {"labels": {"team": "c"}}})
        await seen.knows("other")


async def test_single_objects_are_watched_by_name(way: str, client: Client, follow: Follow) -> None:
    client.create(objects.config_map("noise"))
    scope = Scope(
        kinds=("Ingress",), namespaces=("other",), also=(Selection("ConfigMap", objects.NAMESPACE, "settings"),)
    )
    async with follow(scope=scope) as seen:
        await seen.first()
        assert not seen.names("ConfigMap")
        client.create(objects.config_map("settings", key="value"))
        await seen.knows("settings", kind="ConfigMap")
        client.delete(objects.config_map("settings"))
        await seen.knows(kind="ConfigMap")


async def test_useless_secrets_stay_where_they_are(client: Client, follow: Follow) -> None:
    client.create(objects.secret("used"))
    client.create(objects.secret("release", type="helm.sh/release.v1"))
    async with follow("Secret") as seen:
        await seen.knows("used", kind="Secret")


async def test_endpoints_where_there_are_no_slices(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    proxy.fault(refuse(404, "NotFound"), "endpointslices")
    client.create(objects.endpoints("web", "10.0.0.1"))
    async with follow("EndpointSlice", "Service") as seen:
        await seen.knows("web", kind="Endpoints")
        client.create(objects.endpoints("new", "10.0.0.1"))
        await seen.knows("web", "new", kind="Endpoints")


async def test_slices_that_were_served_once_are_waited_for(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.endpoint_slice("web-1", "10.0.0.1"))
    async with follow("EndpointSlice") as seen:
        await seen.knows("web-1", kind="EndpointSlice")
        proxy.fault(refuse(404, "NotFound"), "endpointslices", times=3)
        proxy.down()
        proxy.up()
        client.create(objects.endpoint_slice("web-2", "10.0.0.2"))
        await seen.knows("web-1", "web-2", kind="EndpointSlice")
    assert {request.resource for request in proxy.requests} == {"endpointslices"}


async def test_an_old_server_is_asked_for_watch_lists_once(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    fault = proxy.fault(refuse(422, "Invalid"), when=lambda seen: seen.initial)
    proxy.fault(refuse(410, "Expired"), when=lambda seen: seen.watch and not seen.initial, times=2)
    async with follow("Ingress") as seen:
        client.create(objects.ingress("one"))
        await seen.knows("one")
        await until(lambda: sum(not request.watch for request in proxy.requests) == 3)
        client.create(objects.ingress("two"))
        await seen.knows("one", "two")
    assert fault.taken == 1


async def test_many_changes_make_few_batches(client: Client, follow: Follow) -> None:
    names = [f"web-{number}" for number in range(20)]
    for name in names:
        client.create(objects.endpoint_slice(name, "10.0.0.1"))

    def churn() -> None:
        for number in range(1000):
            client.replace(objects.endpoint_slice(names[number % 20], f"10.1.{number // 250}.{number % 250}"))

    def addresses() -> list[str]:
        slices = [cast("EndpointSlice", seen.objects[Ref("EndpointSlice", objects.NAMESPACE, name)]) for name in names]
        return [address for each in slices for end in each.endpoints or () for address in end.addresses or ()]

    async with follow("EndpointSlice") as seen:
        await seen.knows(*names, kind="EndpointSlice")
        await asyncio.to_thread(churn)
        await until(lambda: addresses() == [f"10.1.3.{number % 250}" for number in range(980, 1000)])
        assert len(seen.batches) < 500


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(hold(threading.Event()), id="no answer"),
        pytest.param(silence, id="silence"),
        pytest.param(trickle(1.0), id="trickle"),
        pytest.param(refuse(503), id="waiting to try again"),
    ],
)
async def test_close_is_quick_whatever_goes_on(fault: Action, proxy: FaultProxy, follow: Follow) -> None:
    taken = proxy.fault(fault)
    async with follow("Ingress", "Service") as seen:
        await until(lambda: taken.taken >= 2)
        began = time.monotonic()
        await seen.source.close()
        assert time.monotonic() - began < 0.5
        assert seen.batches == []


async def test_close_ends_everything_at_once(client: Client, follow: Follow) -> None:
    before = asyncio.all_tasks()
    async with follow() as seen:
        await seen.first()
        began = time.monotonic()
        await seen.source.close()
        assert time.monotonic() - began < 0.5
    assert asyncio.all_tasks() == before


def test_scope_asks_for_nothing_else() -> None:
    scope = Scope(
        kinds=("Ingress", "IngressClass"), namespaces=("a",), labels={"Ingress": "x=y"},
        also=(Selection("ConfigMap", "b", "c"),), fetched=frozenset({Ref("Secret", "b", "d")}),
    )  # fmt: skip
    assert [(each.path, each.params) for each in scope.selections()] == [
        ("/apis/networking.k8s.io/v1/namespaces/a/ingresses", {"labelSelector": "x=y"}),
        ("/apis/networking.k8s.io/v1/ingressclasses", {}),
        ("/api/v1/namespaces/b/configmaps", {"fieldSelector": "metadata.name=c"}),
    ]


def test_named_objects_of_watched_namespaces_are_not_watched_twice() -> None:
    also = (Selection("ConfigMap", "a", "c"), Selection("ConfigMap", "a", labels="x=y"))
    assert len(Scope(kinds=("ConfigMap",), namespaces=("a",), also=also).selections()) == 1
    assert len(Scope(kinds=("ConfigMap",), namespaces=("b",), also=also).selections()) == 3
    assert len(Scope(kinds=("ConfigMap",), also=also).selections()) == 1
    assert len(Scope(kinds=("ConfigMap",), labels={"ConfigMap": "x=y"}, also=also).selections()) == 2
