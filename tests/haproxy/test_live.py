"""Changes of a running HAProxy without a reload; its state, read back, is that of a cold start."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from backends.haproxy import commands
from backends.haproxy.runtime import ask, live_digest, reload
from gen.errors import ApplyError
from gen.ir import Config, Endpoint, Forward, Host, Match, Policy, Respond, Route, Upstream, Weighted
from gen.policy import Affinity, BasicAuth, UpstreamTls
from tests.haproxy.configs import certificate, config, host, source, to
from tests.haproxy.running import Running
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.net import fresh_address

POLICIES = {
    "plain.test": Policy(),
    "least.test": Policy(balance="least_connections"),
    "hashed.test": Policy(balance="source_hash"),
    "by-header.test": Policy(hash_by=("x",)),
    "cookie.test": Policy(affinity=Affinity(persistent=True)),
    "hashed-cookie.test": Policy(affinity=Affinity()),
    "tls.test": Policy(protocol="https", upstream_tls=UpstreamTls()),
    "guarded.test": Policy(auth_basic=BasicAuth("r", ())),
}


@pytest.fixture(scope="module")
def addresses(echo: EchoNet) -> tuple[str, ...]:
    found = tuple(fresh_address(8080) for _ in range(6))
    for each in found:
        echo.listen(each, 8080, "web")
    return found


@pytest.fixture
def steps(running: Running) -> Steps:
    return Steps(running)


class Steps:
    """Changes of one HAProxy, and what it says of itself after each."""

    def __init__(self, running: Running) -> None:
        self.running = running

    def go(self, *endpoints: Endpoint, **others: Any) -> bool:
        """Make these endpoints those of all hosts; whether that took a reload."""
        return self.run(world(*endpoints, **others))

    def run(self, whole: Config) -> bool:
        before = self.pid()
        plan = self.running.go(whole)
        assert self.drift() == ""
        assert (self.pid() != before) == plan.reload, self.running.backend._control.reload_reason
        return plan.reload

    def reload(self) -> None:
        """As an administrator might do it, at any time."""
        before = self.pid()
        assert not self.running.run(reload(self.running.backend._control.master, 20))
        deadline = time.monotonic() + 20
        while self.pid() in {before, ""}:
            assert time.monotonic() < deadline

    def drift(self) -> str:
        assert self.running.live
        return self.running.run(commands.drift(self.running.backend._control.admin, self.running.live))

    def pid(self) -> str:
        """The worker's."""
        try:
            info = self.running.run(ask(self.running.backend._control.admin, "show info"))
        except ApplyError:
            return ""
        return next(line for line in info.splitlines() if line.startswith("Pid:"))


def world(*endpoints: Endpoint, paths: tuple[str, ...] = ("/",), secret: str = "", **secrets: str) -> Config:
    """Each policy at a host of its own, all for the same Service."""
    hosts = []
    for name, policy in POLICIES.items():
        routes = [Route(Match("prefix", path), to("web"), source(0, name), policy) for path in paths]
        if "/" not in paths:
            routes.append(Route(Match("prefix", "/"), Respond(404), source(0, name)))
        hosts.append(Host(name, tuple(routes), secret if name == "plain.test" else "", (source(0, name),)))
    known = [certificate(name, names) for name, names in secrets.items()]
    return config(hosts, [Upstream("web", tuple(sorted(endpoints)))], known)


def at(*addresses: str, **others: object) -> list[Endpoint]:
    return [Endpoint(address, 8080, **others) for address in addresses]  # type: ignore[arg-type]


def test_servers_come_and_go(steps: Steps, addresses: tuple[str, ...]) -> None:
    one, two, three, *_ = addresses
    running = steps.running
    assert steps.go(*at(one))
    assert not steps.go(*at(one, two))
    assert instances(running, "plain.test") == {one, two}
    assert not steps.go(*at(two, three, weight=3))
    assert instances(running, "plain.test") == {two, three}
    assert not steps.go(*at(three), *at(two, draining=True))
    assert instances(running, "plain.test") == {three}
    assert not steps.go()
    assert {running.get(name).status for name in POLICIES} == {503}
    assert not steps.go(*at(one))
    assert {name: running.get(name).status for name in POLICIES} == {
        **dict.fromkeys(POLICIES, 200), "guarded.test": 401, "tls.test": 503,
    }  # fmt: skip


def instances(running: Running, name: str) -> set[str]:
    """The endpoints that answer."""
    seen = {running.get(name).seen for _ in range(12)}
    return {each.instance for each in seen if each}


def test_a_server_with_requests_under_way_ends_them(steps: Steps, addresses: tuple[str, ...], echo: EchoNet) -> None:
    one, two, *_ = addresses
    steps.go(*at(one))
    with steps.running.connect() as slow:
        slow.write(Request("plain.test", headers=(("X-Echo-Delay", "2"),)).encode())
        while not echo.endpoints[one, 8080].connections:
            pass
        assert not steps.go(*at(two))
        assert instances(steps.running, "plain.test") == {two}
        assert not steps.go(*at(one, two))  # back, though it could not be removed
        assert instances(steps.running, "plain.test") == {one, two}
        assert slow.read_reply().status == 200
    assert not steps.go(*at(two))
    assert not steps.go(*at(two, weight=2))
    assert len(steps.running.run(commands.servers(steps.running.backend._control.admin))) > 0


@pytest.mark.parametrize("name", ["hashed-cookie.test", "cookie.test"])
def test_a_client_stays_where_its_cookie_says(steps: Steps, addresses: tuple[str, ...], name: str) -> None:
    """Whether a server was added or read from a file does not move anybody."""
    steps.go(*at(*addresses[:2]))
    assert not steps.go(*at(*addresses))
    cookies = {}
    for _ in range(40):
        reply = steps.running.get(name)
        assert reply.seen
        cookies[(reply.value("set-cookie") or "").partition(";")[0]] = reply.seen.instance
    assert set(cookies.values()) >= set(addresses[2:4])
    for state in ("live", "reloaded"):
        for cookie, instance in cookies.items():
            reply = steps.running.get(name, "/", ("Cookie", cookie))
            assert reply.seen
            assert (state, reply.seen.instance) == (state, instance)
        steps.reload()


def test_routes_among_backends_that_exist(steps: Steps, addresses: tuple[str, ...]) -> None:
    steps.go(*at(addresses[0]), paths=("/a",))
    assert steps.running.get("plain.test", "/b").status == 404
    assert not steps.go(*at(addresses[0]), paths=("/b",))
    assert steps.running.get("plain.test", "/b").status == 200
    assert steps.running.get("plain.test", "/a").status == 404
    assert not steps.go(*at(addresses[0]), paths=("/c|d %", "/é;x"))
    assert steps.running.get("plain.test", "/c%7Cd%20%25").status == 200
    assert steps.running.get("plain.test", "/%C3%A9;x/y").status == 200


def test_a_name_for_a_route_that_exists(steps: Steps, addresses: tuple[str, ...]) -> None:
    known = [Upstream("web", tuple(at(addresses[0])))]
    steps.run(config([host("a.test", ("prefix", "/", to("web")))], known))
    more = [host("a.test", ("prefix", "/", to("web"))), host("*.b.test", ("prefix", "/x", to("web")))]
    assert not steps.run(config(more, known))
    assert steps.running.get("z.b.test", "/x").status == 200
    assert steps.running.get("z.b.test", "/").status == 404
    assert not steps.run(config(more[1:], known))
    assert steps.running.get("a.test").status == 404


def test_weights_of_a_split(steps: Steps, addresses: tuple[str, ...]) -> None:
    known = [Upstream("one", tuple(at(addresses[0]))), Upstream("two", tuple(at(addresses[1])))]

    def split(first: int, second: int) -> Config:
        action = Forward((Weighted("one", first), Weighted("two", second)))
        return config([host("a.test", ("prefix", "/", action))], known)

    steps.run(split(1, 1))
    assert not steps.run(split(999_999, 1))
    assert instances(steps.running, "a.test") == {addresses[0]}


def test_certificates(steps: Steps, addresses: tuple[str, ...]) -> None:
    steps.go(*at(addresses[0]), secret="one", one="plain.test")
    assert shown(steps.running) == ["plain.test"]
    certificate.cache_clear()
    before = steps.running.send(Request("plain.test", scheme="https")).certificate
    assert not steps.go(*at(addresses[0]), secret="one", one="plain.test")
    assert steps.running.send(Request("plain.test", scheme="https")).certificate != before
    assert not steps.go(*at(addresses[0]), secret="one", one="plain.test", two="guarded.test")
    assert steps.go(*at(addresses[0]))
    assert not steps.go(*at(addresses[0]), secret="two", two="plain.test")
    assert shown(steps.running) == ["plain.test"]


def shown(running: Running) -> list[str]:
    return running.send(Request("plain.test", scheme="https")).certificate_names


def test_a_surprise_is_answered_with_a_reload(steps: Steps, addresses: tuple[str, ...]) -> None:
    one, two, three, *_ = addresses
    steps.go(*at(one, two))
    admin = steps.running.backend._control.admin
    name = next(iter(steps.running.run(commands.servers(admin))))
    assert steps.running.run(ask(admin, f"set server {name}/{two}:8080 state maint")).strip() == ""
    assert steps.drift()
    before = steps.pid()
    plan = steps.running.go(world(*at(one, two, three)))
    assert not plan.reload
    assert steps.pid() != before
    assert steps.drift() == ""


def test_a_half_done_change_is_not_adopted(steps: Steps, addresses: tuple[str, ...]) -> None:
    """A gen that was killed between two commands leaves a worker that is neither old nor new."""
    one, two, *_ = addresses
    steps.go(*at(one))
    bundle = steps.running.bundle(world(*at(one, two)))
    plan = steps.running.backend.plan(steps.running.live, bundle)
    control = steps.running.backend._control
    steps.running.run(commands.send(control.admin, plan.commands[:2]))
    steps.running.forget()
    assert steps.running.run(steps.running.backend.resume()) is None
    steps.running.live = None
    assert steps.go(*at(one, two))


def test_a_gen_that_is_killed_between_two_commands(
    steps: Steps, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three, *_ = addresses
    steps.go(*at(one))
    bundle = steps.running.bundle(world(*at(one, two)))
    plan = steps.running.backend.plan(steps.running.live, bundle)

    class Killed(BaseException):
        pass

    async def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(commands, "touched", lambda _: [])
        patched.setattr(commands, "name", die)
        with pytest.raises(Killed):
            steps.running.run(steps.running.backend.apply(plan))
    assert asyncio.run(live_digest(steps.running.backend._control.admin)) == "0"
    steps.running.forget()
    assert steps.running.run(steps.running.backend.resume()) is None
    steps.running.live = None
    assert steps.go(*at(three))


def test_any_history_ends_like_a_cold_start(steps: Steps, addresses: tuple[str, ...]) -> None:
    chance = random.Random(7)
    whole = world()
    for number in range(25):
        endpoints = [
            Endpoint(address, 8080, weight=chance.choice((1, 1, 5)), draining=chance.random() < 0.2)
            for address in chance.sample(addresses, chance.randint(0, len(addresses)))
        ]
        paths = tuple(chance.sample(("/a", "/b", "/a/b", "/c d"), chance.randint(1, 4)))
        whole = world(*endpoints, paths=paths)
        is_reload = steps.run(whole)
        assert not is_reload or number == 0
        if chance.random() < 0.2:
            steps.running.forget()
            assert steps.running.run(steps.running.backend.resume()).digest == steps.running.live.digest  # type: ignore[union-attr]
    live = steps.running.run(commands.servers(steps.running.backend._control.admin))
    steps.reload()
    cold = steps.running.run(commands.servers(steps.running.backend._control.admin))
    assert serving(live) == serving(cold)


def serving(seen: dict[str, dict[str, commands.Seen]]) -> dict[str, dict[str, tuple[str, int, int]]]:
    return {
        backend: {name: (each.address, each.weight, each.number) for name, each in there.items() if not each.is_out}
        for backend, there in seen.items()
    }


def test_many_changes_at_once(steps: Steps, addresses: tuple[str, ...]) -> None:
    """More commands than go in one line."""
    many = [Endpoint(f"127.9.{number // 250}.{number % 250 + 1}", 8080) for number in range(500)]
    steps.go(*at(addresses[0]))
    assert not steps.go(*at(addresses[0]), *many)
    assert not steps.go(*at(addresses[0]))
    assert instances(steps.running, "plain.test") == {addresses[0]}
    assert asyncio.run(live_digest(steps.running.backend._control.admin)) == steps.running.live.digest  # type: ignore[union-attr]
