"""Leader election: one at a time, whatever clocks and the API server do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.cluster import faults
from tests.cluster.apiserver import ApiServer
from tests.cluster.client import ApiError, Client
from tests.cluster.follower import until
from tests.cluster.proxy import FaultProxy, Request
from tests.cluster.writing import Candidate, running

LEASE = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"namespace": "shop", "name": "gen"}}
Make = Callable[[str], Candidate]


@pytest.fixture
async def candidate(proxy: FaultProxy) -> AsyncIterator[Make]:
    made: list[Candidate] = []

    def make(name: str) -> Candidate:
        made.append(Candidate(proxy.url, name))
        return made[-1]

    yield make
    for each in made:
        await each.connection.close()


def holder(client: Client) -> Any:
    try:
        return client.get(LEASE)["spec"].get("holderIdentity")
    except ApiError:
        return None


def writes(request: Request) -> bool:
    return request.method != "GET"


async def test_one_of_several_is_the_leader(candidate: Make, client: Client) -> None:
    several = [candidate(name) for name in "abc"]
    async with running(*(each.election.run for each in several)):
        await until(lambda: any(each.leads for each in several))
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            assert sum(each.leads for each in several) == 1
            await asyncio.sleep(0.005)
    spec = client.get(LEASE)["spec"]
    (leader,) = [each for each in several if each.changes]
    assert spec["holderIdentity"] == leader.election.identity
    assert (spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (1, 0)


async def test_who_ends_lets_another_one_in_at_once(candidate: Make, client: Client) -> None:
    first, second = candidate("first"), candidate("second")
    async with running(first.election.run):
        await until(lambda: first.leads)
    async with running(second.election.run):
        await first.election.release()
        assert not first.leads
        await until(lambda: second.leads, 0.5)
    assert client.get(LEASE)["spec"]["leaseTransitions"] == 1
    assert holder(client) == second.election.identity


async def test_row_31_a_leader_that_cannot_renew_stops_before_another_one_begins(
    candidate: Make, server: ApiServer
) -> None:
    with FaultProxy(server.upstream) as own:
        first, second = Candidate(own.url, "first"), candidate("second")
        async with running(first.election.run):
            await until(lambda: first.leads)
            own.fault(faults.refuse(500), when=writes)
            async with running(second.election.run):
                await until(lambda: second.leads or (first.leads and second.leads))
                assert not first.leads
        await first.connection.close()
    assert first.changes == [True, False]
    assert any("500" in failure for failure in first.failures)


async def test_row_31_an_answer_that_comes_too_late_makes_no_leader(candidate: Make, proxy: FaultProxy) -> None:
    first = candidate("first")
    async with running(first.election.run):
        await until(lambda: first.leads)
        proxy.fault(faults.silence, when=writes)
        await until(lambda: not first.leads, 2.0)


async def test_a_lease_that_somebody_keeps_renewing_is_left_alone(candidate: Make, client: Client) -> None:
    body = {
        **LEASE,
        "spec": {"holderIdentity": "other", "leaseDurationSeconds": 1, "renewTime": "1999-01-01T00:00:00.000000Z"},
    }
    client.create(body)
    first = candidate("first")
    async with running(first.election.run):
        deadline, number = time.monotonic() + 2.5, 0
        while time.monotonic() < deadline:
            number += 1
            client.merge(LEASE, {"spec": {"renewTime": f"1999-01-01T00:00:00.{number:06}Z"}})
            assert not first.leads
            await asyncio.sleep(0.1)
        await until(lambda: first.leads, 3.0)
    assert client.get(LEASE)["spec"]["leaseTransitions"] == 1


@pytest.mark.parametrize("day", [-86400, 86400], ids=["back", "forth"])
async def test_row_13_the_clock_of_the_machine_decides_nothing(
    day: int, candidate: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = candidate("first"), candidate("second")
    real = time.time
    async with running(first.election.run):
        await until(lambda: first.leads)
        monkeypatch.setattr(time, "time", lambda: real() + day)
        async with running(second.election.run):
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                assert (first.leads, second.leads) == (True, False)
                await asyncio.sleep(0.01)


async def test_without_permission_there_is_no_leader_and_no_hurry(candidate: Make, proxy: FaultProxy) -> None:
    refused = proxy.fault(faults.refuse(403, "Forbidden"), "leases")
    first = candidate("first")
    async with running(first.election.run):
        await until(lambda: len(first.failures) >= 3)
    assert not first.leads
    assert refused.taken <= 4
