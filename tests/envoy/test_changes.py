"""Changes while requests flow: clusters, endpoints, certificates and hosts are switched, and no request fails."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from gen.ir import Config
from tests.envoy.configs import certificate, config, host, saying, to, upstream
from tests.envoy.running import Running, wait
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.load import Load
from tests.live.net import fresh_address

CHANGES = 32
DRAIN = 2.0  # seconds that the sockets of a listener stay after it was replaced


def state(number: int, places: list[str]) -> Config:
    """A configuration in which nothing is as it was in the one before: a fresh cluster, other hosts, another chain."""
    name = f"n/web-{number}:80"
    hosts = [
        host("load.test", ("prefix", f"/{number}", to("n/same:80")), ("prefix", "/", to(name)), secret="n/load"),
        saying(f"extra-{number % 3}.test", "extra", f"n/extra-{number % 3}"),
    ]
    upstreams = [upstream(name, places[number % 2]), upstream("n/same:80", *places[: number % 2 + 1])]
    certificates = [
        certificate("n/load", "load.test", *["www.load.test"][: number // 2 % 2]),
        certificate(f"n/extra-{number % 3}", "extra.test"),
    ]
    return config(hosts, upstreams, certificates)


@pytest.mark.slow
def test_changes_under_load(running: Running, echo: EchoNet) -> None:
    places = [fresh_address(8080), fresh_address(8080)]
    for place in places:
        echo.listen(place, 8080, "web")
    for number in (0, 1, 0):  # the sockets of listeners that were replaced a moment ago count, for there will be such
        running.go(state(number, places), drain_timeout=DRAIN)
    before, pid = open_sockets(running), running.pid
    load = Load(cast("GenRun", running), lambda reply: reply.status == 200 and reply.service == "web")
    load.kept_alive(Request("load.test"), 3).kept_alive(Request("load.test", scheme="https"), 2)
    load.new_connections(Request("load.test"), 2).new_connections(Request("load.test", scheme="https"))
    load.kept_alive(Request("load.test", method="POST", body=b"x" * 1000), 2).websocket("load.test")
    with load:
        for number in range(1, CHANGES):
            assert not running.go(state(number, places), drain_timeout=DRAIN).reload
    assert load.failures == []
    assert load.requests > 30 * CHANGES
    assert running.pid == pid
    running.go(state(0, places), drain_timeout=DRAIN)  # the last cluster goes, with the connections that it kept
    wait("close its sockets", lambda: open_sockets(running) <= before)


def open_sockets(running: Running) -> int:
    """How many sockets Envoy has."""
    folder = Path("/proc", str(running.pid), "fd")
    return sum(link.readlink().name.startswith("socket:") for link in folder.iterdir() if link.is_symlink())
