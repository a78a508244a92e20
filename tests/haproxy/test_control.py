"""The life of the proxy: started, reloaded, refused, lost, found again, and gone without a trace."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from backends.haproxy import check, control, create, runtime
from gen.backend import Placement, Plan
from gen.errors import ApplyError, NotConfirmed, Rejected, UsageError
from gen.ir import Action, Certificate, Config, MatchKind, Policy, Respond, Source
from tests.haproxy.configs import certificate, config, host, to, upstream
from tests.haproxy.running import Running
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.load import Load
from tests.live.net import HTTP_PORT, fresh_address

RELOADS = 30
WEBSOCKET = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))


def saying(text: str, *more: str) -> Config:
    """A configuration in which a.test says something, and perhaps other hosts do."""
    return config([host(name, ("prefix", "/", Respond(200, text))) for name in ("a.test", *more)])


def says(running: Running, name: str = "a.test") -> str:
    """What a host says."""
    return running.get(name).body.decode()


def processes(running: Running) -> dict[int, str]:
    """The processes that were started for this state directory: pid and role."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX" and any(word.startswith(f"{running.state}/".encode()) for word in words):
            found[int(folder.name)] = "worker" if b"-sf" in words else "master"
    return found


def wait(what: str, is_so: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"it did not {what}"
        time.sleep(0.02)


# ------------------------------------------------------------------ start, change, stop


def test_start_change_stop(running: Running) -> None:
    first = running.go(saying("one"))
    assert first.reload
    assert says(running) == "one"
    master = min(processes(running))
    second = running.go(saying("two", "b.test"))
    assert (second.reason, says(running), says(running, "b.test")) == ("backends changed", "two", "two")
    assert min(processes(running)) == master
    assert running.bundle(saying("two", "b.test")).digest == second.new.digest
    generations = running.backend._control.generations
    assert generations.current() == generations.accepted() == second.new.digest
    running.run(running.backend.close())
    assert processes(running) == {}
    assert list(running.runtime.iterdir()) == []


def test_sockets_are_ours_alone(running: Running) -> None:
    running.go(saying("one"))
    running.go(saying("two"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in running.runtime.iterdir()}
    assert modes == {"admin.sock": 0o600, "master.sock": 0o600}


def test_requests_end_before_the_proxy_does(running: Running, echo: EchoNet) -> None:
    address = fresh_address(8080)
    echo.listen(address, 8080, "web")
    running.go(config([host("a.test", ("prefix", "/", to("web")))], [upstream("web", address)]))
    with running.connect() as connection:
        connection.write(Request("a.test", headers=(("X-Echo-Delay", "1"),)).encode())
        endpoint = echo.endpoints[address, 8080]
        wait("send the request on", lambda: endpoint.requests == 1)
        begun = time.monotonic()
        running.run(running.backend.close())
        assert time.monotonic() - begun < 5
        assert connection.read_reply().status == 200
    assert processes(running) == {}


# ------------------------------------------------------------------ nothing is lost


@pytest.mark.slow
@pytest.mark.parametrize("reloads", [True, False])
def test_changes_under_load(running: Running, echo: EchoNet, reloads: bool) -> None:
    addresses = [fresh_address(8080) for _ in range(4)]
    for address in addresses:
        echo.listen(address, 8080, "web")

    def state(number: int) -> Config:
        body = str(number) if reloads else ""
        served = [host("load.test", ("prefix", "/", to("web")), secret="load")]
        served += [
            host(f"h{number % 5 + extra}.test", ("exact", f"/{number}", Respond(200, body))) for extra in range(3)
        ]
        web = upstream("web", *addresses[number % 3 : number % 3 + 2])
        return config(served, [web], [certificate("load", f"n{number % 2}.test")])

    def request(scheme: str, method: str = "GET", delay: str = "0") -> Request:
        headers = (("X-Echo-Delay", delay),)
        return Request(
            "load.test", method=method, scheme=scheme, headers=headers, body=b"x" if method == "POST" else b""
        )

    running.go(state(0))
    load = Load(cast("GenRun", running), lambda reply: reply.status == 200 and reply.service == "web")
    load.kept_alive(request("http"), 3).kept_alive(request("http", "POST"), 2).kept_alive(request("https"), 2)
    load.new_connections(request("http"), 2).new_connections(request("https", "POST"), 1)
    load.kept_alive(request("http", delay="0.5"), 2)
    with load, running.connect() as tunnel:
        assert tunnel.exchange(Request("load.test", headers=WEBSOCKET)).status == 101
        for number in range(1, RELOADS + 1):
            assert running.go(state(number)).reload == reloads
            tunnel.write(b"ping")
            assert tunnel.read(4) == b"ping"
    print(f"{load.requests} requests, {load.retried} sent again")
    assert load.failures == []
    assert load.retried == 0
    assert load.requests > 20 * RELOADS
    wait("let the old workers go", lambda: len(processes(running)) == 2)


def test_long_requests_outlive_a_reload(running: Running, echo: EchoNet) -> None:
    address = fresh_address(8080)
    echo.listen(address, 8080, "web")
    whole = config([host("a.test", ("prefix", "/", to("web")))], [upstream("web", address)])
    running.go(whole)
    with running.connect() as connection:
        connection.write(Request("a.test", headers=(("X-Echo-Delay", "1.5"),)).encode())
        wait("send the request on", lambda: echo.endpoints[address, 8080].requests == 1)
        running.go(whole, tries=2)
        assert connection.read_reply().status == 200


# ------------------------------------------------------------------ refusals


def test_a_refused_bundle_blames_and_changes_nothing(running: Running) -> None:
    running.go(saying("one"))
    good = certificate("good", "a.test")
    other = certificate("other", "b.test")
    crossed = Certificate("crossed", good.chain, other.key, source=Source("Secret", "tests", "crossed"))
    whole = config([host("a.test", secret="good"), host("b.test", secret="crossed")], certificates=[good, crossed])
    with pytest.raises(Rejected) as refusal:
        running.run(running.backend.validate(running.bundle(whole)))
    assert refusal.value.blame == (crossed.source,)
    assert "certs/crossed-" in refusal.value.output
    assert str(running.state) not in refusal.value.output
    assert "PRIVATE" not in refusal.value.output
    assert says(running) == "one"
    running.go(saying("two"))
    assert says(running) == "two"


@pytest.mark.parametrize(
    ("path", "find", "replace", "kind"),
    [
        (
            "haproxy.cfg",
            b"    server 10.0.0.1:80 10.0.0.1:80",
            b"    server 10.0.0.1:80 10.0.0.1:80 nonsense",
            "Service",
        ),
        ("haproxy.cfg", b"set-header Host 'x'", b"set-header Host %[nonsense]", "Ingress"),
        ("haproxy.cfg", b"    server 10.0.0.1:80 10.0.0.1:80", b"    server 10.0.0.1:80", "Service"),
        ("maps/regexes.map", b"(?i:/x)", b"(?i:/x", "Ingress"),
        ("crt.list", b" a.test", b" [nonsense] a.test", "Secret"),
        ("haproxy.cfg", b"server 10.0.0.1:80 10.0.0.1:80", b"server 10.0.0.1:80 10.0.0.1:80 weight 300", "Service"),
        ("haproxy.cfg", b"string 'body'", b"string '" + b"x" * 17000 + b"'", "Ingress"),
        ("haproxy.cfg", b"global", b"globall", None),
        ("haproxy.cfg", b"frontend web", b"frontend web\n    nonsense", None),
    ],
)
def test_words_of_the_proxy_find_the_object(
    running: Running, path: str, find: bytes, replace: bytes, kind: str | None
) -> None:
    rules: list[tuple[MatchKind, str, Action]] = [
        ("exact", "/y", Respond(200, "body")),
        ("regex", "/x", to("web")),
        ("prefix", "/", to("web")),
    ]
    whole = config(
        [host("a.test", *rules, policy=Policy(upstream_host=("x",)), secret="one")],
        [upstream("web", "10.0.0.1", port=80)],
        [certificate("one")],
    )
    bundle = running.bundle(whole)
    assert find in bundle.files[path]
    files = {**bundle.files, path: bundle.files[path].replace(find, replace, 1)}
    with pytest.raises(Rejected) as refusal:
        running.run(running.backend.validate(msgspec.structs.replace(bundle, files=files)))
    assert [source.kind for source in refusal.value.blame] == ([kind] if kind else [])
    assert str(running.state) not in refusal.value.output


def test_a_port_that_is_taken(running: Running) -> None:
    running.go(saying("one"))
    running.go(saying("two"))
    before = running.backend._control.generations.current()
    other = fresh_address(HTTP_PORT)
    with socket.create_server((other, HTTP_PORT)):
        bundle = running.bundle(saying("three"), bind=(running.address, other))
        running.run(running.backend.validate(bundle))
        with pytest.raises(ApplyError, match=f"{other}:{HTTP_PORT}"):
            running.run(running.backend.apply(running.backend.plan(running.live, bundle)))
        assert says(running) == "two"
        assert running.backend._control.generations.current() == before
        running.go(saying("four"))
        assert says(running) == "four"
    running.go(saying("five"), bind=(running.address, other))
    assert says(running) == "five"


def test_a_port_that_is_taken_at_the_start(running: Running) -> None:
    bundle = running.bundle(saying("one"))
    with socket.create_server((running.address, HTTP_PORT)), pytest.raises(ApplyError, match=str(HTTP_PORT)):
        running.run(running.backend.apply(Plan(None, bundle, reload=True)))
    assert processes(running) == {}
    running.apply(Plan(None, bundle, reload=True))
    assert says(running) == "one"


def test_going_back_after_a_failure(running: Running) -> None:
    running.go(saying("one"))
    old = running.live
    assert old
    new = running.bundle(saying("two"))
    running.apply(running.backend.plan(old, new))
    running.apply(running.backend.plan(new, old))
    assert says(running) == "one"


def test_what_is_not_live_is_not_confirmed(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    running.go(saying("one"))
    monkeypatch.setattr(check, "time_limit", lambda _: 0.3)
    other = running.bundle(saying("two"))
    with pytest.raises(NotConfirmed, match=rf"reports gen-\w+ instead of gen-{other.digest}"):
        running.run(running.backend.confirm(Plan(running.live, other, reload=True)))


# ------------------------------------------------------------------ lost and found


def left_behind(running: Running) -> set[int]:
    """Forget the backend, as a killed gen does; gives the processes that it leaves behind."""
    running.forget()
    return set(processes(running))


def test_a_new_gen_adopts_the_proxy(running: Running) -> None:
    running.go(saying("one"))
    live = running.live
    assert live
    before = left_behind(running)
    found = running.run(running.backend.resume())
    assert found
    assert (found.digest, dict(found.files), found.secrets) == (live.digest, dict(live.files), live.secrets)
    assert running.backend.plan(found, live).is_nothing
    assert set(processes(running)) == before
    running.live = found
    assert running.go(saying("two")).reload
    assert says(running) == "two"
    assert min(processes(running)) == min(before)


def test_a_proxy_that_is_a_step_behind_is_adopted_as_it_is(running: Running) -> None:
    """After a kill between publishing a generation and reloading."""
    running.go(saying("one"))
    live = running.live
    assert live
    generations = running.backend._control.generations
    generations.write(unborn := running.bundle(saying("two")))
    generations.publish(unborn.digest)
    left_behind(running)
    found = running.run(running.backend.resume())
    assert found
    assert found.digest == live.digest == generations.current()


def test_a_start_from_the_last_accepted_generation(running: Running) -> None:
    running.go(saying("one"))
    running.run(running.backend.close())
    left_behind(running)
    found = running.run(running.backend.resume())
    assert found
    assert says(running) == "one"


def test_nothing_to_resume(running: Running) -> None:
    assert running.run(running.backend.resume()) is None
    assert processes(running) == {}


@pytest.mark.slow
def test_a_proxy_that_hangs_is_replaced(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    running.go(saying("one"))
    before = left_behind(running)
    monkeypatch.setattr(control, "ADOPTION", 0.5)
    monkeypatch.setattr(control, "FAREWELL", 0.5)
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    assert running.run(running.backend.resume())
    assert says(running) == "one"
    assert not before & set(processes(running))


def test_the_end_of_a_worker_is_told(running: Running) -> None:
    running.go(saying("one"))

    async def kill_and_wait() -> str:
        exited = asyncio.create_task(running.backend.exited())
        await asyncio.sleep(0)
        assert not exited.done()
        os.kill(max(processes(running)), signal.SIGKILL)
        return await asyncio.wait_for(exited, 15)

    assert running.run(kill_and_wait()).startswith("HAProxy has gone")
    wait("end", lambda: not processes(running))
    assert running.run(running.backend.resume())
    assert says(running) == "one"


def test_a_dead_proxy_is_started_by_the_next_change(running: Running) -> None:
    running.go(saying("one"))
    for pid in processes(running):
        os.kill(pid, signal.SIGKILL)
    wait("end", lambda: not processes(running))
    running.go(saying("two"))
    assert says(running) == "two"


def test_changes_at_once_come_one_after_the_other(running: Running) -> None:
    running.go(saying("zero"))
    bundles = [running.bundle(saying(f"text {number}")) for number in range(5)]

    async def all_at_once() -> None:
        await asyncio.gather(*(running.backend.apply(Plan(running.live, bundle, reload=True)) for bundle in bundles))

    running.run(all_at_once())
    running.run(running.backend.confirm(Plan(None, bundles[-1])))
    assert says(running) == "text 4"


# ------------------------------------------------------------------ beside gen


@pytest.fixture
def beside(running: Running) -> Iterator[Running]:
    """A HAProxy that somebody else started, with the generation that gen published first."""
    bundle = running.bundle(saying("one"))
    generations = running.backend._control.generations
    generations.write(bundle)
    generations.publish(bundle.digest)
    argv = [running.binary, "-W", "-db", "-S", f"{running.runtime}/outer.sock,mode,600", "-f",
            f"{running.state}/current", "-p", f"{running.state}/outer.pid"]  # fmt: skip
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as outer:
        try:
            wait("start", lambda: running.run(runtime.live_digest(running.runtime / "admin.sock")) == bundle.digest)
            yield running
            assert outer.poll() is None, "gen must leave it alone"
        finally:
            outer.terminate()
            outer.wait(10)
            for path in running.runtime.iterdir():
                path.unlink()


@pytest.mark.parametrize("way", ["socket", "pid_file", "command"])
def test_an_external_proxy(beside: Running, way: str) -> None:
    place = Placement("external", beside.state, beside.runtime, binary=beside.binary)
    ways: dict[str, dict[str, Any]] = {
        "socket": {"socket": str(beside.runtime / "outer.sock")},
        "pid_file": {"pid_file": beside.state / "outer.pid"},
        "command": {"reload_command": ("/bin/sh", "-c", f"kill -USR2 $(cat {beside.state}/outer.pid)")},
    }
    beside.backend = create(msgspec.structs.replace(place, **ways[way]))
    beside.live = beside.run(beside.backend.resume())
    assert beside.live
    assert says(beside) == "one"
    beside.go(saying("two"))
    assert says(beside) == "two"
    beside.run(beside.backend.close())
    assert says(beside) == "two"


def test_an_external_proxy_that_is_not_there(running: Running) -> None:
    backend = create(Placement("external", running.state, running.runtime, binary=running.binary))
    assert running.run(backend.resume()) is None
    with pytest.raises(ApplyError, match=r"master\.sock"):
        running.run(backend.apply(Plan(None, running.bundle(saying("one")), reload=True)))
    troubles: list[dict[str, Any]] = [{"pid_file": running.state / "none"}, {"reload_command": ("/bin/false",)}]
    for trouble in troubles:
        other = create(msgspec.structs.replace(backend.placement, **trouble))
        with pytest.raises(ApplyError):
            running.run(other.apply(Plan(None, running.bundle(saying("one")), reload=True)))


async def test_an_external_proxy_never_ends(tmp_path: Path) -> None:
    backend = create(Placement("external", tmp_path, tmp_path))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(backend.exited(), 0.05)


# ------------------------------------------------------------------ binaries


def fake(folder: Path, script: str) -> str:
    """A program that is not HAProxy."""
    program = folder / "fake"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("echo HAProxy version 2.4.22-f8e3218 2023/02/14", UsageError, "HAProxy 2.4; gen needs 2.6"),
        ("echo HA-Proxy version 1.8.30 2021/04/12", UsageError, "HAProxy 1.8"),
        ("echo nginx", ApplyError, "does not say its version"),
    ],
)
async def test_versions(tmp_path: Path, script: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await check.check_version(fake(tmp_path, script))


async def test_good_versions(tmp_path: Path) -> None:
    assert await check.check_version(fake(tmp_path, "echo HAProxy version 3.0.11-1 2025/06/03")) == "3.0"
    assert await check.check_version("/nowhere", "2.8.5") == "2.8"
    with pytest.raises(ApplyError, match="cannot run /nowhere"):
        await check.check_version("/nowhere")


def test_a_validator_that_hangs(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "time_limit", lambda _: 0.3)
    bundle = running.bundle(saying("one"))
    binary = fake(tmp_path, "[ $1 = -v ] && echo version 2.6 || sleep 60")
    backend = create(Placement("managed", running.state, running.runtime, binary=binary))
    with pytest.raises(Rejected, match=r"no answer within 0\.3 s"):
        running.run(backend.validate(bundle))


def test_output_is_scrubbed() -> None:
    text = "/s/gen-1/haproxy.cfg:1 \x1b[31m /s/gen-1\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\nend"
    assert check.scrubbed(text, Path("/s/gen-1")) == "haproxy.cfg:1 ?[31m .\n[a key or a certificate]\nend"
    assert len(check.scrubbed("x" * 10_000, Path("/s"))) < 4200


def test_a_long_log_is_emptied(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "LOG_LIMIT", 1000)
    running.go(saying("one"))
    for number in range(6):
        running.go(saying(f"text {number}"))
    assert (running.state / "proxy.log").stat().st_size < 3000
