"""Events on Ingresses: once each, by the leader, and never too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gen.ir import Config, Host, Issue, Options, Source
from gen.k8s import Ingress, IngressSpec, Metadata, Ref
from gen.reconcile.cluster.events import OBJECT_BURST, EventWriter
from gen.report.events import Event, Written
from gen.report.verdicts import ACCEPTED, Verdict, served, verdicts
from tests.cluster import faults
from tests.cluster.client import Client
from tests.cluster.conftest import connection_to
from tests.cluster.follower import until
from tests.cluster.objects import NAMESPACE, Json
from tests.cluster.proxy import FaultProxy
from tests.cluster.writing import QUICK, Clock, running

ONE, TWO = (Ref("Ingress", NAMESPACE, name) for name in ("one", "two"))
UID = "5f3c2a10-0000-4000-8000-000000000001"
WRONG = Verdict("Rejected", "InvalidHost: expected a host (spec.rules[0].host)")
ANY = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"namespace": NAMESPACE}}


class Told:
    """An EventWriter at work."""

    def __init__(self, url: str) -> None:
        self.results: list[str] = []
        self.is_leader, self.clock = True, Clock()
        self.connection = connection_to(url)
        self.writer = EventWriter(
            self.connection, identity="gen-0", lookup=lambda ref: Ingress(Metadata(ref.name, uid=UID), IngressSpec()),
            may_write=lambda: self.is_leader, observe=self._take, clock=self.clock, timing=QUICK,
        )  # fmt: skip

    def _take(self, event: Event) -> None:
        assert isinstance(event, Written)
        self.results.append(event.result)


@pytest.fixture
async def told(proxy: FaultProxy, client: Client) -> AsyncIterator[Told]:
    made = Told(proxy.url)
    async with running(made.writer.run):
        yield made
    await made.connection.close()
    for item in seen(client):
        client.delete({**ANY, **item})


def seen(client: Client) -> list[Json]:
    return [item for item in client.listing(ANY)["items"] if item["regarding"]["name"] in ("one", "two")]


def summary(client: Client) -> list[tuple[str, str, str, int]]:
    return sorted(
        (item["regarding"]["name"], item["reason"], item["type"], item.get("series", {}).get("count", 1))
        for item in seen(client)
    )


async def test_what_is_new_is_told_on_the_ingress(told: Told, client: Client) -> None:
    told.writer.tell({ONE: frozenset([ACCEPTED]), TWO: frozenset([WRONG])})
    await until(lambda: told.results == ["written"])
    (item,) = seen(client)
    assert (item["reason"], item["type"], item["note"]) == ("Rejected", "Warning", WRONG.note)
    assert (item["reportingController"], item["reportingInstance"]) == ("ingress-gen/controller", "gen-0")
    regarding = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "name": "two",
        "namespace": "shop",
        "uid": UID,
    }
    assert item["regarding"] == regarding
    told.writer.tell({ONE: frozenset([ACCEPTED]), TWO: frozenset([ACCEPTED])})
    await until(lambda: len(told.results) == 2)
    assert summary(client) == [("two", "Accepted", "Normal", 1), ("two", "Rejected", "Warning", 1)]


async def test_kubectl_describe_finds_it(told: Told, client: Client) -> None:
    told.writer.tell({TWO: frozenset([WRONG])})
    await until(lambda: bool(told.results))
    core = {"apiVersion": "v1", "kind": "Event", "metadata": {"namespace": NAMESPACE}}
    selector = f"involvedObject.name=two,involvedObject.namespace=shop,involvedObject.uid={UID}"
    assert len(client.listing(core, fieldSelector=selector)["items"]) == 1


async def test_what_comes_again_is_a_series(told: Told, client: Client) -> None:
    for number in range(1, 4):
        told.writer.tell({TWO: frozenset()})
        told.writer.tell({TWO: frozenset([WRONG])})
        await until(lambda wanted=number: len(told.results) == wanted)  # type: ignore[misc]
    assert summary(client) == [("two", "Rejected", "Warning", 3)]
    client.delete({**ANY, **seen(client)[0]})
    told.writer.tell({TWO: frozenset()})
    told.writer.tell({TWO: frozenset([WRONG])})
    await until(lambda: len(told.results) == 4)
    assert summary(client) == [("two", "Rejected", "Warning", 1)]


async def test_one_object_does_not_get_too_many(told: Told, client: Client) -> None:
    many = frozenset(Verdict("Rejected", f"InvalidPath: {number}") for number in range(OBJECT_BURST + 10))
    told.writer.tell({ONE: many, TWO: frozenset([WRONG])})
    await until(lambda: any(item["regarding"]["name"] == "two" for item in seen(client)))
    assert len(seen(client)) == OBJECT_BURST + 1
    assert set(told.results) == {"written"}


async def test_only_the_leader_tells_and_nothing_that_is_old(told: Told, client: Client) -> None:
    told.is_leader = False
    told.writer.tell({ONE: frozenset([WRONG])})
    await asyncio.sleep(0.05)
    told.clock.ahead = 120
    told.writer.tell({ONE: frozenset([WRONG]), TWO: frozenset([WRONG])})
    told.is_leader = True
    told.writer.wake()
    await until(lambda: bool(seen(client)))
    assert summary(client) == [("two", "Rejected", "Warning", 1)]


async def test_row_32_refusals_cost_one_event_and_an_outage_none(told: Told, proxy: FaultProxy, client: Client) -> None:
    proxy.fault(faults.refuse(403, "Forbidden"), "events", times=1)
    told.writer.tell({ONE: frozenset([WRONG]), TWO: frozenset([WRONG])})
    await until(lambda: told.results == ["failed", "written"])
    assert [name for name, *_ in summary(client)] == ["two"]
    proxy.down()
    told.writer.tell({ONE: frozenset(), TWO: frozenset([WRONG])})
    told.writer.tell({ONE: frozenset([ACCEPTED]), TWO: frozenset([WRONG])})
    await until(lambda: told.results.count("failed") == 3)
    proxy.up()
    await until(lambda: told.results.count("written") == 2)
    assert [name for name, *_ in summary(client)] == ["one", "two"]


# ------------------------------------------------------------------ what is to be said


def test_verdicts_are_made_of_issues_and_of_what_is_served() -> None:
    web, api = Source("Ingress", "shop", "web"), Source("Ingress", "shop", "api")
    issues = [
        Issue(web.at("spec.rules[0].host"), "InvalidHost", "expected a host"),
        Issue(api, "HostConflict", "shop.example belongs to Ingress blog/web"),
        Issue(Source("Ingress", "blog", "web"), "HostConflict", "shop.example is claimed by others", "warning"),
        Issue(Source("Ingress", "blog", "old"), "ClassNotOurs", "the class is not ours", "info"),
        Issue(Source("Ingress", "blog", "odd"), "UnknownAnnotation", "it is ignored", "warning"),
        Issue(Source("Secret", "shop", "tls"), "CertInvalid", "it is not a certificate"),
    ]
    live = [Ref("Ingress", "blog", "web"), Ref("Ingress", "blog", "odd"), Ref("Ingress", "shop", "web")]
    assert {ref.name if ref.namespace == "shop" else f"blog {ref.name}": {(each.reason, each.note) for each in said}
            for ref, said in verdicts(issues, live).items()} == {
        "web": {("Rejected", "InvalidHost: expected a host (spec.rules[0].host)")},
        "api": {("Conflict", "HostConflict: shop.example belongs to Ingress blog/web")},
        "blog web": {("Conflict", "HostConflict: shop.example is claimed by others")},
        "blog odd": {("Accepted", ACCEPTED.note)},
    }  # fmt: skip


def test_notes_are_as_long_as_the_api_takes() -> None:
    ((said,),) = verdicts([Issue(Source("Ingress", "shop", "web"), "InvalidHost", "ä\n" * 2000)], []).values()
    assert 990 < len(said.note.encode()) <= 1000
    assert said.note.startswith("InvalidHost: ä\\nä")
    assert said.note.endswith("...")


def test_served_are_those_that_a_configuration_names() -> None:
    web = Source("Ingress", "shop", "web")
    hosts = {
        "": Host("", ()),
        "a": Host("a", (), sources=(web, Source("gen", "", "default"))),
        "b": Host("b", (), sources=(web,)),
    }
    assert served(Config(hosts, {}, {}, {}, Options())) == {Ref("Ingress", "shop", "web")}
