"""Secrets that gen may read but not list: it reads those that are referred to, and only those."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pytest

from gen.k8s import Ref, Secret
from gen.sources.cluster import certificates_of
from gen.sources.kube.selection import Scope
from tests.cluster import faults, objects
from tests.cluster.client import Client
from tests.cluster.conftest import Follow
from tests.cluster.follower import Follower, until
from tests.cluster.proxy import FaultProxy

SCOPE = Scope(kinds=("Ingress",), namespaces=(objects.NAMESPACE,), by_reference=frozenset({"Secret"}))


@pytest.fixture(autouse=True)
def _no_list(proxy: FaultProxy) -> None:
    """The API server refuses all lists and watches of Secrets."""
    proxy.fault(faults.refuse(403, "Forbidden"), "secrets", when=lambda request: request.path.endswith("/secrets"))


def asked_for(proxy: FaultProxy) -> set[str]:
    """The Secrets that were read."""
    return {request.path.rpartition("/")[2] for request in proxy.requests if request.resource == "secrets"}


def text(seen: Follower, name: str) -> str | None:
    """What is in a Secret."""
    found = cast("Secret | None", seen.objects.get(Ref("Secret", objects.NAMESPACE, name)))
    return (found.data or {}).get("value") if found else None


async def test_the_first_batch_holds_what_is_referred_to(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    for name in ("used", "unused"):
        client.create(objects.secret(name))
    client.create(objects.ingress("one", secret="used"))
    client.create(objects.ingress("two", secret="missing"))
    async with follow(scope=SCOPE) as seen:
        first = await seen.first()
        assert seen.names("Secret") == {"used"}
        assert not first.issues
    assert asked_for(proxy) == {"used", "missing"}


async def test_named_secrets_are_read_too(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.secret("default"))
    named = frozenset({Ref("Secret", objects.NAMESPACE, "default")})
    async with follow(scope=Scope(kinds=("Ingress",), fetched=named, by_reference=frozenset({"Secret"}))) as seen:
        await seen.first()
        assert seen.names("Secret") == {"default"}


async def test_a_renewed_secret_is_noticed(client: Client, follow: Follow) -> None:
    client.create(objects.secret("cert", "old"))
    client.create(objects.ingress("one", secret="cert"))
    async with follow(scope=SCOPE) as seen:
        await seen.first()
        before = text(seen, "cert")
        client.replace(objects.secret("cert", "new"))
        await until(lambda: text(seen, "cert") not in (None, before))


async def test_what_stays_the_same_makes_no_batch(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.secret("cert"))
    client.create(objects.ingress("one", secret="cert"))
    async with follow(scope=SCOPE) as seen:
        await until(lambda: sum(request.path.endswith("/cert") for request in proxy.requests) == 4)
        assert len(seen.batches) == 1


async def test_what_nothing_refers_to_is_forgotten(client: Client, follow: Follow) -> None:
    client.create(objects.secret("cert"))
    for name in ("one", "two"):
        client.create(objects.ingress(name, secret="cert"))
    async with follow(scope=SCOPE) as seen:
        await seen.knows("cert", kind="Secret")
        client.delete(objects.ingress("one"))
        await seen.knows("two")
        assert seen.names("Secret") == {"cert"}
        client.replace(objects.ingress("two"))
        await seen.knows(kind="Secret")


async def test_a_refusal_is_an_issue_and_forgets_nothing(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.secret("cert"))
    client.create(objects.ingress("one", secret="cert"))
    client.create(objects.ingress("two", secret="other"))
    proxy.fault(faults.refuse(403, "Forbidden"), when=lambda request: request.path.endswith("/other"))
    async with follow(scope=SCOPE) as seen:
        (issue,) = (await seen.first()).issues
        assert (issue.code, issue.source.name) == ("Forbidden", "other")
        proxy.fault(faults.refuse(403, "Forbidden"), when=lambda request: request.path.endswith("/cert"))
        await until(lambda: len(seen.batches[-1].issues) == 2)
        assert seen.names("Secret") == {"cert"}
        proxy.heal()
        await until(lambda: not seen.batches[-1].issues)


async def test_an_outage_forgets_nothing(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.secret("cert"))
    client.create(objects.ingress("one", secret="cert"))
    async with follow(scope=SCOPE) as seen:
        await seen.knows("cert", kind="Secret")
        proxy.fault(faults.refuse(500), "secrets")
        client.delete(objects.secret("cert"))
        await seen.fails(3)
        proxy.fault(faults.page_of_a_proxy, "secrets")
        await seen.fails(3)
        assert seen.names("Secret") == {"cert"}
        proxy.heal()
        await seen.knows(kind="Secret")


async def test_no_batch_before_the_wanted_ones_were_answered(proxy: FaultProxy, client: Client, follow: Follow) -> None:
    client.create(objects.secret("cert"))
    client.create(objects.ingress("one", secret="cert"))
    proxy.fault(faults.refuse(500), "secrets")
    async with follow(scope=SCOPE) as seen:
        await seen.fails(5)
        assert seen.batches == []
        proxy.heal()
        await seen.first()
        assert seen.names("Secret") == {"cert"}


def test_certificates_are_what_an_ingress_refers_to() -> None:
    def refs(**spec: object) -> Iterable[Ref]:
        raw = {"metadata": {"name": "one", "namespace": "a"}, "spec": spec}
        return list(certificates_of(parse("Ingress", raw)))

    from gen.k8s import parse

    assert refs() == []
    assert refs(tls=[{"hosts": ["x"]}, {"secretName": "b"}]) == [Ref("Secret", "a", "b")]
