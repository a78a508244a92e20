"""Endpoints that change while nginx runs, where it has Lua: no reload, and always those of a cold start."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from backends.nginx.modules import Lua, find_lua
from backends.nginx.probe import tell_endpoints
from backends.nginx.render import render
from gen.ir import Config, DnsName, Endpoint, Host, Policy, Upstream
from gen.policy import Affinity, Canary, ErrorPages, ExternalAuth, Fallback, Mirror
from tests.haproxy.configs import config, host, to, upstream
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.net import fresh_address
from tests.live.proxies import OTHER_VERSIONS, missing, need_version
from tests.nginx.running import Running
from tests.nginx.test_control import eventually, master

ASKS = 24
ASKED = Policy(auth_external=ExternalAuth("asked", ("asked.test",), ("/",)), mirror=Mirror("copied", (), ("/",)))


@pytest.fixture(scope="module")
def binary() -> str:
    """An nginx with Lua, unpacked by script/matrix."""
    found = str(need_version(next(version for version in OTHER_VERSIONS if version.backend == "nginx")))
    if find_lua(found) is None:
        missing(f"{found} has no Lua (script/matrix makes it): endpoints that change without a reload were not tested")
    return found


@pytest.fixture(scope="module")
def servers(echo: EchoNet) -> Sequence[str]:
    addresses = [fresh_address(8080) for _ in range(4)]
    for address in addresses:
        echo.listen(address, 8080, address)
    return addresses


@pytest.fixture
def running(binary: str, tmp_path: Path) -> Iterator[Running]:
    with Running(binary, tmp_path / "state") as one:
        yield one


def world(*addresses: str, **others: Sequence[str]) -> Config:
    """A host of the upstream `u`, and one that needs others."""
    names = {"u": addresses, "asked": (), "copied": (), "errors": (), **others}
    return config([*hosts()][: 6 if others else 5], [upstream(name, *found) for name, found in names.items()])


def hosts() -> Iterator[Host]:
    yield host("plain.test", ("prefix", "/", to("u")))
    yield host("asked.test", ("prefix", "/", to("u")), policy=ASKED)
    yield host("canary.test", ("prefix", "/", to("u")), policy=Policy(canary=Canary("asked", header="X-C")))
    yield host("split.test", ("prefix", "/", to("u", "asked")))
    yield host("errors.test", ("prefix", "/", to("u")), policy=Policy(error_pages=ErrorPages((418, 503), "errors")))
    yield host("else.test", ("prefix", "/", to("u")), policy=Policy(fallback=Fallback("errors")))


def reached(running: Running, name: str = "plain.test") -> set[str | int]:
    """Who answers: the addresses, or a status."""
    replies = [running.get(name) for _ in range(ASKS)]
    return {reply.service or reply.status for reply in replies}


def answers(addresses: Sequence[str]) -> set[str | int]:
    """Who should."""
    return {*addresses} if addresses else {503}


def workers(running: Running) -> list[str]:
    return Path(f"/proc/{master(running)}/task/{master(running)}/children").read_text().split()


def test_endpoints_change_without_a_reload(running: Running, servers: Sequence[str]) -> None:
    one, two, three, _ = servers
    running.go(world(one))
    before = workers(running)
    for wanted in ((two,), (one, two), (one, two, three), (three,), (), (one,)):
        plan = running.go(world(*wanted))
        assert not plan.reload
        assert not plan.needs_test
        assert reached(running) == answers(wanted)
    assert workers(running) == before


def test_all_kinds_of_routes_see_them(running: Running, servers: Sequence[str]) -> None:
    one, two, three, four = servers
    running.go(world(one, asked=[two], copied=[three], errors=[four]))
    running.go(world(two, asked=[three], copied=[], errors=[one]))
    assert reached(running, "asked.test") == {two}
    assert running.send(Request("canary.test", headers=(("X-C", "always"),))).service == three
    assert reached(running, "split.test") == {two, three}
    assert running.send(Request("errors.test", headers=(("X-Echo-Status", "418"),))).service == one
    running.go(world(asked=[three], errors=[one]))
    assert reached(running, "errors.test") == {one}
    assert reached(running, "else.test") == {one}
    assert reached(running, "asked.test") == {503}  # before anybody is asked
    assert running.send(Request("canary.test", headers=(("X-C", "always"),))).status == 503
    running.go(world(one, errors=[one]))
    assert reached(running, "asked.test") == {500}
    assert running.send(Request("canary.test", headers=(("X-C", "always"),))).service == one


def test_the_next_endpoint_is_tried_and_weights_count(running: Running, servers: Sequence[str]) -> None:
    dead, (one, two, *_) = fresh_address(8080), servers
    running.go(world(dead))
    assert not running.go(world(dead, one)).reload
    assert reached(running) == {one}
    weighted = Upstream("u", (Endpoint(one, 8080, 3), Endpoint(two, 8080, 1)))
    given = world(one)
    plan = running.go(msgspec.structs.replace(given, upstreams={**given.upstreams, "u": weighted}), workers=1)
    assert plan.reload  # there is one worker now
    found = [running.get("plain.test").service for _ in range(16)]
    assert (found.count(one), found.count(two)) == (12, 4)


def test_idle_connections_are_kept(running: Running, servers: Sequence[str], echo: EchoNet) -> None:
    address = servers[0]
    running.go(world(address), workers=1)
    running.go(world(address, servers[1]), workers=1)
    running.go(world(address), workers=1)
    endpoint = echo.endpoints[address, 8080]
    for _ in range(5):
        running.get("plain.test")
        assert len(endpoint.connections) <= 1


def test_what_nginx_does_not_run_as_thought_is_reloaded(running: Running, servers: Sequence[str]) -> None:
    running.go(world(servers[0]))
    assert running.live
    socket = running.runtime / "nginx.sock"
    for words in (("0" * 16, "1" * 16), ("x", "y"), (running.live.digest, "")):
        assert not running.run(tell_endpoints(socket, *words, [], timeout=2))
    assert running.run(tell_endpoints(socket, running.live.digest, "f" * 16, [], timeout=2))
    before = workers(running)
    assert not running.go(world(servers[1])).reload  # as far as gen knows
    assert reached(running) == {servers[1]}
    eventually(lambda: workers(running) != before, "a reload")


def test_a_cookie_may_have_a_date_to_come(running: Running, servers: Sequence[str]) -> None:
    kept = host("kept.test", ("prefix", "/", to("u")), policy=Policy(affinity=Affinity(expires=3600)))
    running.go(config([kept], [upstream("u", servers[0])]))
    cookie = running.get("kept.test").value("set-cookie") or ""
    date = cookie.partition("Expires=")[2].partition(";")[0].replace("GMT", "+0000")
    assert abs(datetime.strptime(date, "%a, %d-%b-%y %H:%M:%S %z").timestamp() - time.time() - 3600) < 60
    assert "Max-Age" not in cookie
    assert not [*running.backend.lacks(kept.routes[0].policy)]


def test_what_lua_cannot_choose_stays_as_it_was() -> None:
    lua = Lua()
    many = tuple(Endpoint(f"10.0.{number // 250}.{number % 250 + 1}", 8080) for number in range(500))
    given = config(
        [
            host("many.test", ("prefix", "/", to("many"))),
            host("named.test", ("prefix", "/", to("named"))),
            host("kept.test", ("prefix", "/", to("kept")), policy=Policy(affinity=Affinity())),
            host("mixed.test", ("prefix", "/", to("kept", "named"))),
        ],
        [Upstream("many", many), Upstream("named", (), DnsName("name.test", 80)), upstream("kept", "10.0.0.1")],
    )
    given = msgspec.structs.replace(given, options=msgspec.structs.replace(given.options, resolvers=("127.0.0.53",)))
    files = render(given, (1, 26, 3), lua=lua).files
    assert b"10.0.1.250:8080 max_fails=0" in files["upstreams.conf"]
    assert files["endpoints.map"].count(b"\n") == 1
    assert files["upstreams.conf"].count(b"upstream ") == 2
    mixed = next(content for name, content in files.items() if name.startswith("hosts/mixed"))
    assert b"proxy_pass http://$gen_reached" in mixed


# ---------------------------------------------------------------- whatever happens


@pytest.mark.parametrize("seed", [1, 2])
def test_any_history_ends_where_a_cold_start_would(running: Running, servers: Sequence[str], seed: int) -> None:
    choice = random.Random(seed)
    wanted: tuple[str, ...] = (servers[0],)
    running.go(world(*wanted))

    def change() -> None:
        nonlocal wanted
        wanted = tuple(choice.sample(servers, choice.randint(0, 3)))
        running.go(world(*wanted))

    gone = []

    def restart_gen() -> None:
        gone.append(running.backend)
        running.backend = running.fresh_backend()
        running.live = running.run(running.backend.resume())
        assert running.live

    def kill_nginx() -> None:
        for pid in (str(master(running)), *workers(running)):
            os.kill(int(pid), signal.SIGKILL)
        eventually(lambda: not running.processes(), "the end of nginx")
        restart_gen()

    def reload() -> None:
        assert running.live
        running.live = None
        running.go(world(*wanted))

    steps: list[Callable[[], None]] = [change, change, change, change, restart_gen, kill_nginx, reload]
    for step in [choice.choice(steps) for _ in range(14)]:
        step()
        assert reached(running) == answers(wanted), step
    for backend in gone:
        running.run(backend.close())
