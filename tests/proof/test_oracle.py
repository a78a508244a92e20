"""Random hosts and paths: a small reference matcher of the specification and every real proxy give the same answer."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.proxies import BACKENDS
from tests.live.stand_in import StandIns
from tests.proof.worlds import make_world
from tests.translate.oracle import answer

SEED = int(os.environ.get("ORACLE_SEED", "20260101"))
ROUNDS, WORLDS, REQUESTS = 4, 10, 75


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_oracle_and_the_proxy_agree(
    backend: str, number: int, shared_gen: Callable[[str], GenRun], echo: EchoNet
) -> None:
    """Several worlds in one configuration; the first of them has the catch-all host."""
    gen, first = shared_gen(backend), SEED + number * WORLDS
    worlds = [make_world(seed, REQUESTS, with_catch_all=seed == first) for seed in range(first, first + WORLDS)]
    stand_ins = StandIns(echo)
    gen.apply(item for world in worlds for item in stand_ins.localise(world.objects))
    ingresses = [item for world in worlds for item in world.ingresses]
    disagreements = []
    for request in (request for world in worlds for request in world.requests):
        wanted = answer(ingresses, request.host, request.target)
        reply = gen.send(request)
        got = reply.service.rpartition("/")[2] if reply.service else None if reply.status == 404 else str(reply.status)
        if got != wanted:
            disagreements.append(f"{request.host} {request.target}: {got}, the oracle says {wanted}")
    assert not disagreements, f"ORACLE_SEED={SEED}, {len(disagreements)} times:\n" + "\n".join(disagreements[:20])
