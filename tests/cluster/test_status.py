"""The status of Ingresses: right, written once, by nobody but the leader, and never cleared by accident."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from gen.k8s import Ref
from gen.reconcile.cluster.addresses import AddressBook
from gen.reconcile.cluster.status import Mode, StatusWriter
from gen.report.events import Event, Written
from gen.sources.cluster import ClusterSource
from gen.sources.kube.selection import Scope, Selection
from tests.cluster import faults, objects
from tests.cluster.client import ApiError, Client
from tests.cluster.conftest import QUICK as QUICK_SOURCE
from tests.cluster.conftest import connection_to
from tests.cluster.follower import until
from tests.cluster.objects import NAMESPACE, Json
from tests.cluster.proxy import FaultProxy, Request
from tests.cluster.writing import QUICK, Clock, running


def ref(name: str) -> Ref:
    return Ref("Ingress", NAMESPACE, name)


def is_write(request: Request) -> bool:
    return request.method == "PATCH"


def writes(proxy: FaultProxy) -> int:
    return sum(is_write(request) for request in proxy.requests)


def status(client: Client, name: str) -> list[Json]:
    found: list[Json] = client.get(objects.ingress(name)).get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return found


class Writer:
    """A StatusWriter that learns from a source, as `gen run` puts them together."""

    def __init__(self, url: str, mode: Mode, *given: str, places: Scope | None = None, internal: bool = False) -> None:
        self.told: list[Written] = []
        self.is_leader, self.clock = True, Clock()
        self.book = AddressBook(given, internal=internal, changed=self._wake)
        self.connection = connection_to(url)
        self.writer = StatusWriter(
            self.connection, self.book, mode=mode, may_write=lambda: self.is_leader, observe=self._take,
            clock=self.clock, timing=QUICK,
        )  # fmt: skip
        scope = Scope(kinds=("Ingress",), namespaces=(NAMESPACE,))
        self.source = ClusterSource(connection_to(url), scope, timing=QUICK_SOURCE, notice=self.writer.note)
        self.places: ClusterSource | None = None
        if places:
            self.places = ClusterSource(connection_to(url), places, timing=QUICK_SOURCE, notice=self.book.note)

    def _wake(self) -> None:
        self.writer.wake()

    def _take(self, event: Event) -> None:
        assert isinstance(event, Written)
        self.told.append(event)

    @property
    def failures(self) -> int:
        """How often it did not go well."""
        return sum(told.result == "failed" for told in self.told)

    @asynccontextmanager
    async def at_work(self, *names: str) -> AsyncIterator[Writer]:
        """While these Ingresses are served."""
        sources = [self.source, *([self.places] if self.places else [])]
        async with running(self.writer.run, *(lambda each=each: self._follow(each) for each in sources)):
            self.writer.serve(frozenset(map(ref, names)))
            try:
                yield self
            finally:
                for each in sources:
                    await each.close()
                await self.connection.close()

    async def _follow(self, source: ClusterSource) -> None:
        async for _ in source.batches():
            if source is self.places:
                self.book.sync()
        await asyncio.Event().wait()


IPS = [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}]


async def test_addresses_are_written_to_what_is_served_once(proxy: FaultProxy, client: Client) -> None:
    for name in ("one", "other"):
        client.create(objects.ingress(name))
    async with Writer(proxy.url, "own", "192.0.2.2", "lb.example", "192.0.2.1").at_work("one", "missing") as writer:
        await until(lambda: bool(status(client, "one")))
        assert sorted(map(str, status(client, "one"))) == sorted(map(str, [{"hostname": "lb.example"}, *IPS]))
        assert status(client, "other") == []
        version = client.get(objects.ingress("one"))["metadata"]["resourceVersion"]
        client.merge(objects.ingress("one"), {"metadata": {"labels": {"a": "b"}}})
        writer.writer.serve(frozenset({ref("one"), ref("other")}))
        await until(lambda: bool(status(client, "other")))
        assert writes(proxy) == 2
    managers = {entry["manager"] for entry in client.get(objects.ingress("one"))["metadata"]["managedFields"]}
    assert "ingress-gen" in managers
    assert version


async def test_what_is_right_already_is_not_written(proxy: FaultProxy, client: Client) -> None:
    client.create(objects.ingress("one"))
    client.merge(objects.ingress("one"), {"status": {"loadBalancer": {"ingress": IPS[::-1]}}}, "status")
    client.create(objects.ingress("two"))
    async with Writer(proxy.url, "own", "192.0.2.1", "192.0.2.2").at_work("one", "two"):
        await until(lambda: bool(status(client, "two")))
    assert writes(proxy) == 1


async def test_observing_only_tells(proxy: FaultProxy, client: Client) -> None:
    client.create(objects.ingress("one"))
    async with Writer(proxy.url, "observe", "192.0.2.1").at_work("one") as writer:
        await until(lambda: bool(writer.told))
    (told,) = writer.told
    assert (told.result, told.what) == ("observed", "Ingress shop/one: 192.0.2.1")
    assert writes(proxy) == 0


async def test_row_31_only_the_leader_writes(proxy: FaultProxy, client: Client) -> None:
    client.create(objects.ingress("one"))
    writer = Writer(proxy.url, "own", "192.0.2.1")
    writer.is_leader = False
    async with writer.at_work("one"):
        await until(lambda: writer.source._reflectors[0].synced)
        writer.writer.wake()
        await asyncio.sleep(0.1)
        assert writes(proxy) == 0
        writer.is_leader = True
        writer.writer.wake()
        await until(lambda: status(client, "one") == IPS[:1])


# ------------------------------------------------------------------ where clients reach the proxy


def balanced(*ips: str) -> Json:
    return {"status": {"loadBalancer": {"ingress": [{"ip": ip} for ip in ips]}}}


SERVICE = Scope(kinds=(), also=(Selection("Service", NAMESPACE, "proxy"),))


async def test_a_service_that_loses_its_addresses_clears_nothing(proxy: FaultProxy, client: Client) -> None:
    client.create(objects.ingress("one"))
    service = objects.service("proxy")
    service["spec"]["type"] = "LoadBalancer"
    client.create(service)
    async with Writer(proxy.url, "own", places=SERVICE).at_work("one") as writer:
        await until(lambda: writer.book.is_synced)
        assert writes(proxy) == 0
        client.merge(service, balanced("192.0.2.1"), "status")
        await until(lambda: status(client, "one") == IPS[:1])
        client.merge(service, balanced("192.0.2.1", "192.0.2.2"), "status")
        await until(lambda: status(client, "one") == IPS)
        client.merge(service, {"status": {"loadBalancer": {"ingress": None}}}, "status")
        await until(lambda: writer.book.current() == ())
        client.delete(service)
        client.create(objects.ingress("two"))
        writer.writer.serve(frozenset({ref("one"), ref("two")}))
        await until(lambda: ref("two") in writer.writer._known)
        await asyncio.sleep(0.1)
        assert status(client, "one") == IPS
        assert status(client, "two") == []


SERVICES: dict[str, tuple[Json, list[str]]] = {
    "a balancer": ({"spec": {"type": "LoadBalancer", "externalIPs": ["192.0.2.9"]}, **balanced("192.0.2.1")},
                   ["192.0.2.1", "192.0.2.9"]),
    "a balancer to come": ({"spec": {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"]}}, []),
    "ports of nodes": ({"spec": {"type": "NodePort", "clusterIPs": ["10.0.0.1"]}}, ["10.0.0.1"]),
    "external addresses": ({"spec": {"type": "ClusterIP", "clusterIPs": ["10.0.0.1"], "externalIPs": ["192.0.2.1"]}},
                           ["192.0.2.1"]),
    "a headless one": ({"spec": {"clusterIPs": ["None"]}}, []),
    "a name": ({"spec": {"type": "ExternalName", "externalName": "lb.example"}}, ["lb.example"]),
}  # fmt: skip


@pytest.mark.parametrize(("item", "wanted"), SERVICES.values(), ids=list(SERVICES))
def test_addresses_of_services(item: Json, wanted: list[str]) -> None:
    book = AddressBook(())
    book.note(Ref("Service", NAMESPACE, "proxy"), msgspec.Raw(msgspec.json.encode(item)))
    assert book.current() == ()
    book.sync()
    assert [str(address) for address in book.current()] == wanted


def node(*addresses: tuple[str, str], ready: str = "True") -> msgspec.Raw:
    listed = [{"type": kind, "address": text} for kind, text in addresses]
    status = {"conditions": [{"type": "Ready", "status": ready}], "addresses": listed}
    return msgspec.Raw(msgspec.json.encode({"status": status}))


BOTH = (("InternalIP", "10.0.0.1"), ("ExternalIP", "192.0.2.1"), ("Hostname", "a"))


def test_addresses_of_nodes() -> None:
    changes: list[None] = []
    for internal, wanted in ((False, ["10.0.0.2", "192.0.2.1"]), (True, ["10.0.0.1", "10.0.0.2"])):
        book = AddressBook((), internal=internal, changed=lambda: changes.append(None))
        book.note(Ref("Node", "", "a"), node(*BOTH))
        book.note(Ref("Node", "", "b"), node(("InternalIP", "10.0.0.2")))
        book.note(Ref("Node", "", "c"), node(("InternalIP", "10.0.0.3"), ready="Unknown"))
        book.sync()
        assert [str(address) for address in book.current()] == wanted
    before = len(changes)
    book.note(Ref("Node", "", "b"), node(("InternalIP", "10.0.0.2")))
    assert len(changes) == before
    book.note(Ref("Node", "", "b"), None)
    assert [str(address) for address in book.current()] == ["10.0.0.1"]


# ------------------------------------------------------------------ refusals, conflicts, others


async def test_row_32_a_storm_of_conflicts_ends_in_the_right_status(proxy: FaultProxy, client: Client) -> None:
    for name in ("one", "two"):
        client.create(objects.ingress(name))
    storm = proxy.fault(
        faults.refuse(409, "Conflict"), when=lambda seen: is_write(seen) and "/one/" in seen.path, times=5
    )
    async with Writer(proxy.url, "own", "192.0.2.1").at_work("one", "two") as writer:
        await until(lambda: status(client, "two") == IPS[:1])
        await until(lambda: status(client, "one") == IPS[:1])
    assert storm.taken == 5
    assert [told.error for told in writer.told if told.result == "failed"] == ["409: Conflict"] * 5


async def test_row_32_without_permission_there_are_few_tries(proxy: FaultProxy, client: Client) -> None:
    for number in range(20):
        client.create(objects.ingress(f"i{number}"))
    refused = proxy.fault(faults.refuse(403, "Forbidden"), when=is_write)
    async with Writer(proxy.url, "own", "192.0.2.1").at_work(*(f"i{number}" for number in range(20))) as writer:
        await until(lambda: refused.taken == 3)
        assert len(writer.told) <= 3
        proxy.heal()
        await until(lambda: all(status(client, f"i{number}") == IPS[:1] for number in range(20)))


async def test_row_32_an_ingress_that_is_gone_is_left_alone(proxy: FaultProxy, client: Client) -> None:
    for name in ("one", "two"):
        client.create(objects.ingress(name))
    async with Writer(proxy.url, "own", "192.0.2.1").at_work() as writer:
        await until(lambda: len(writer.writer._known) == 2)
        proxy.fault(faults.silence, when=lambda seen: seen.watch)
        client.delete(objects.ingress("one"))
        writer.writer.serve(frozenset({ref("one"), ref("two")}))
        await until(lambda: status(client, "two") == IPS[:1])
    with pytest.raises(ApiError):
        status(client, "one")


async def test_another_writer_gets_the_last_word_for_longer_each_time(proxy: FaultProxy, client: Client) -> None:
    client.create(objects.ingress("one"))
    theirs = [{"ip": "203.0.113.1"}]
    async with Writer(proxy.url, "own", "192.0.2.1").at_work("one") as writer:
        for number in range(1, 5):
            await until(lambda: status(client, "one") == IPS[:1])
            client.merge(objects.ingress("one"), {"status": {"loadBalancer": {"ingress": theirs}}}, "status")
            await until(lambda wanted=number: writer.failures == wanted)  # type: ignore[misc]
        assert {told.error for told in writer.told} == {"", "somebody else has put 203.0.113.1 there"}
        assert writer.writer._troubles[ref("one")].times == 4
    assert writes(proxy) in {4, 5}


async def test_at_the_end_addresses_are_taken_back_if_asked(proxy: FaultProxy, client: Client) -> None:
    for name in ("one", "two"):
        client.create(objects.ingress(name))
    client.merge(objects.ingress("two"), {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}, "status")
    async with Writer(proxy.url, "own", "192.0.2.1").at_work("one") as writer:
        await until(lambda: status(client, "one") == IPS[:1])
        await writer.writer.clear()
        assert status(client, "one") == []
        assert status(client, "two") == [{"ip": "203.0.113.1"}]
