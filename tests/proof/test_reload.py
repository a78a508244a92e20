"""Changes while requests flow: nothing is lost, and nothing is left behind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.certificates import secret
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.load import Load
from tests.live.manifests import Manifest, endpoint_slice, ingress, path, service
from tests.live.proxies import BACKENDS, need_proxy
from tests.live.stand_in import StandIns

CHANGES = 30
KEPT_GENERATIONS = 3 + 2  # the newest ones, and what is current and accepted
HOST = "load.example"
ENDPOINTS = [f"192.0.2.{number}" for number in range(1, 7)]


def states() -> Iterator[list[Manifest]]:
    """The manifests of one change after the other: hosts, endpoints and certificates all vary."""
    certificates = [secret("load", "load", HOST), secret("load", "load", HOST, f"www.{HOST}")]
    for number in itertools.count():
        extra = {f"host-{other}.example": [path(f"/{number}", "web")] for other in range(number % 7, number % 7 + 3)}
        yield [
            ingress("load", "load", {HOST: [path("/", "web")]}, tls={"load": [HOST]}),
            ingress("extra", "load", extra),
            service("web", "load"),
            endpoint_slice("web", "load", ENDPOINTS[number % 4 : number % 4 + 2]),
            certificates[number // 2 % 2],
        ]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_changes_under_load(
    backend: str, tmp_path: Path, echo: EchoNet, record_property: Callable[[str, object], None]
) -> None:
    need_proxy(backend)
    stand_ins, following = StandIns(echo), states()
    with GenRun(backend, tmp_path / "run", echo) as gen:
        for _ in range(2):
            gen.apply(stand_ins.localise(next(following)))
        before = open_files(gen)
        load = Load(gen, lambda reply: reply.status == 200 and reply.service == "load/web")
        load.kept_alive(Request(HOST), 3).kept_alive(Request(HOST, scheme="https"), 2)
        load.new_connections(Request(HOST), 2).new_connections(Request(HOST, scheme="https"))
        load.kept_alive(Request(HOST, headers=(("X-Echo-Delay", "0.7"),)), 2).websocket(HOST)
        with load:
            for _ in range(CHANGES):
                gen.apply(stand_ins.localise(next(following)))
        record_property("requests", load.requests)
        record_property("retried", load.retried)
        print(f"{backend}: {load.requests} requests, {load.retried} sent again on a closed connection")
        assert load.failures == []
        assert load.requests > 40 * CHANGES
        gen.wait(f"let all but {list(before)} go", lambda: open_files(gen).keys() == before.keys(), 20)
        gen.wait("close its sockets", lambda: not grown(before, open_files(gen)), 20)
        assert len(list(gen.state.glob("gen-*"))) <= KEPT_GENERATIONS


def open_files(gen: GenRun) -> dict[str, int]:
    """The number of open files of each process of a run; processes of one program are numbered."""
    counts: dict[str, int] = {}
    for pid in sorted(gen.processes()):
        try:
            program = Path("/proc", str(pid), "comm").read_text().strip()
            files = len(list(Path("/proc", str(pid), "fd").iterdir()))
        except OSError:
            continue
        counts[next(name for number in itertools.count() if (name := f"{program} {number}") not in counts)] = files
    return counts


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """The processes that hold more open files than before; idle connections to upstreams come and go."""
    return {name: count for name, count in after.items() if count > before.get(name, 0) + CHANGES // 2}


def test_a_leak_would_be_seen() -> None:
    assert grown({"a": 5}, {"a": 5 + CHANGES}) == {"a": 5 + CHANGES}
    assert grown({"a": 5}, {"a": 9}) == {}
