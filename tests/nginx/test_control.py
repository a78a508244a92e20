"""Validation, reloads, failures and restarts of a real nginx."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.nginx import control
from gen.backend import Bundle
from gen.errors import ApplyError, NotConfirmed, Rejected, UsageError
from gen.ir import Certificate, Config, Host, Respond, Source
from tests.haproxy.configs import certificate, config, host, source, to, upstream
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.net import HTTP_PORT, fresh_address
from tests.nginx.running import Running

HOST = "control.test"


def answering(text: str, *others: Host) -> Config:
    """A configuration that answers with a text."""
    return config((host(HOST, ("prefix", "/", Respond(200, text))), *others))


def eventually(condition: Callable[[], bool], what: str, *, within: float = 15.0) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def master(running: Running) -> int:
    """The pid of the nginx master."""
    return int((running.runtime / "nginx.pid").read_text())


async def bounded(task: asyncio.Task[str]) -> str:
    """What a task that ends soon gives."""
    return await asyncio.wait_for(task, 10)


# ------------------------------------------------------------------ validation


def test_a_configuration_passes_without_a_warning(running: Running) -> None:
    running.go(answering("one"))
    assert running.log() == ""


@pytest.mark.parametrize(
    ("bad", "blamed"),
    [
        (host("bad.test", ("regex", "/a(", Respond(200))), source(0, "bad.test")),
        (host("bad.test", secret="bad"), Source("Secret", "tests", "bad")),
    ],
    ids=["pattern", "certificate"],
)
def test_a_refusal_names_the_object_and_changes_nothing(running: Running, bad: Host, blamed: Source) -> None:
    running.go(answering("good"))
    good = certificate("good")
    wrong = Certificate("bad", good.chain, certificate("default").key, source=Source("Secret", "tests", "bad"))
    bundle = running.bundle(config((bad, host("fine.test")), certificates=(good, wrong)))
    with pytest.raises(Rejected) as refusal:
        running.run(running.backend.validate(bundle))
    assert refusal.value.blame == (blamed,)
    assert str(running.state) not in refusal.value.output
    assert b"PRIVATE" not in refusal.value.output.encode()
    assert running.get(HOST).body == b"good"


def test_a_broken_key_is_not_printed(running: Running) -> None:
    good = certificate("good")
    broken = Certificate("good", good.key, good.key.replace(b"\n", b"\n\n"), source=good.source)
    with pytest.raises(Rejected) as refusal:
        running.run(running.backend.validate(running.bundle(config((host("a.test", secret="good"),), (), (broken,)))))
    assert not any(line in refusal.value.output for line in good.key.decode().splitlines())
    assert refusal.value.blame == (good.source,)


def test_what_nginx_would_ignore_is_refused(running: Running) -> None:
    bundle = running.bundle(answering("one"))
    twice = {**bundle.files, "hosts/zzz.conf": b'server { include listen.conf; server_name "control.test"; }'}
    with pytest.raises(Rejected, match="conflicting server name"):
        running.run(running.backend.validate(Bundle(twice, "twice")))


def test_a_test_needs_nothing_of_the_machine_where_nginx_will_run(running: Running) -> None:
    bundle = running.bundle(answering("one"), bind=("192.0.2.1", "2001:db8::1"), runtime_dir="/nowhere/at/all")
    running.run(running.backend.validate(bundle))
    assert sorted(path.name for path in running.state.iterdir()) == [f"gen-{bundle.digest}"]
    assert list(running.runtime.iterdir()) == []


# ------------------------------------------------------------------ reloads


def test_nothing_changed_costs_nothing(running: Running) -> None:
    running.go(answering("one"))
    pid = master(running)
    plan = running.go(answering("one"))
    assert (plan.is_nothing, master(running)) == (True, pid)


def test_a_change_is_live_for_new_connections_once_it_is_confirmed(running: Running) -> None:
    running.go(answering("0"))
    for number in range(1, 6):
        plan = running.go(answering(str(number)))
        assert (plan.reload, plan.reason) == (True, "hosts changed")
        assert {running.get(HOST).body for _ in range(20)} == {str(number).encode()}


def test_old_workers_end_after_the_drain_timeout(running: Running, echo: EchoNet) -> None:
    address = fresh_address(8080)
    echo.listen(address, 8080, "slow")
    upstreams = (upstream("slow", address),)
    running.go(config((host(HOST, ("prefix", "/", to("slow"))),), upstreams), drain_timeout=0.5)
    workers = len(running.processes())
    with running.connect() as connection:
        upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket"))
        assert connection.exchange(Request(HOST, headers=upgrade)).status == 101
        running.go(config((host(HOST, ("prefix", "/", to("slow"))), host("b.test")), upstreams), drain_timeout=0.5)
        with pytest.raises(ConnectionError):
            connection.read(1)
    eventually(lambda: len(running.processes()) == workers, "old workers stay")


def test_a_busy_port_keeps_the_old_configuration(running: Running) -> None:
    running.go(answering("old"))
    with socket.create_server((running.address, 0)) as taken:
        bundle = running.bundle(answering("new"), http_port=taken.getsockname()[1])
        running.run(running.backend.validate(bundle))
        running.run(running.backend.apply(running.backend.plan(running.live, bundle)))
        with pytest.raises(NotConfirmed, match=r"bind\(\) to .* failed \(98"):
            running.run(running.backend.confirm(running.backend.plan(running.live, bundle)))
    assert running.get(HOST).body == b"old"
    assert running.live
    running.apply(running.backend.plan(bundle, running.live))
    running.go(answering("newer"))
    assert running.get(HOST).body == b"newer"


def test_a_start_on_a_busy_port_says_so(running: Running) -> None:
    with socket.create_server((running.address, HTTP_PORT)):
        with pytest.raises(NotConfirmed, match=r"bind\(\) to .* failed \(98"):
            running.go(answering("one"))
        assert running.run(running.backend.exited()).endswith("with status 1")
    running.go(answering("one"))
    assert running.get(HOST).body == b"one"


def test_silence_is_no_confirmation(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "time_for", lambda _: 0.2)
    plan = running.backend.plan(None, running.bundle(answering("one")))
    with pytest.raises(NotConfirmed, match="does not answer"):
        running.run(running.backend.confirm(plan))


# ------------------------------------------------------------------ the life of a managed nginx


def test_without_a_past_there_is_nothing_to_resume(running: Running) -> None:
    assert running.run(running.backend.resume()) is None


def test_the_next_gen_adopts_a_running_nginx(running: Running) -> None:
    running.go(answering("one"))
    pid, first, second = master(running), running.backend, running.fresh_backend()
    adopted = running.run(second.resume())
    assert adopted
    assert running.live
    assert (adopted.digest, adopted.files) == (running.live.digest, running.live.files)
    running.backend, running.live = second, adopted
    assert running.backend.plan(adopted, running.bundle(answering("one"))).is_nothing
    running.go(answering("two"))
    assert (running.get(HOST).body, master(running)) == (b"two", pid)
    running.run(second.close())
    assert running.run(first.exited()).endswith("with status 0")


def test_a_hurried_close_leaves_nothing(running: Running, echo: EchoNet) -> None:
    """With a client that stays, a graceful end takes long; who cancels it gets the other one."""
    address = fresh_address(8080)
    echo.listen(address, 8080, "slow")
    running.go(config((host(HOST, ("prefix", "/", to("slow"))),), (upstream("slow", address),)))

    async def hurry() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(running.backend.close(), 0.3)

    with running.connect() as connection:
        upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket"))
        assert connection.exchange(Request(HOST, headers=upgrade)).status == 101
        ended = running.runner.get_loop().create_task(running.backend.exited())
        running.run(asyncio.sleep(0))  # it waits for the end from now on
        running.run(hurry())
        assert running.run(bounded(ended)).endswith("with status -9")
    eventually(lambda: running.processes() == [], "processes are left")
    assert list(running.runtime.iterdir()) == []


def test_the_last_accepted_generation_is_started_again(running: Running) -> None:
    running.go(answering("one"))
    running.run(running.backend.close())
    running.backend = running.fresh_backend()
    resumed = running.run(running.backend.resume())
    assert resumed
    assert running.live
    assert (resumed.digest, running.get(HOST).body) == (running.live.digest, b"one")


def test_a_crashed_master_and_its_workers_are_replaced(running: Running) -> None:
    running.go(answering("one"))
    pid = master(running)
    os.kill(pid, signal.SIGKILL)
    assert running.run(running.backend.exited()).endswith("with status -9")
    assert running.processes() != []
    assert running.run(running.backend.resume())
    assert running.get(HOST).body == b"one"
    assert master(running) != pid
    eventually(lambda: len(running.processes()) == 3, "workers of the crashed master stay")


def test_a_socket_of_the_dead_is_no_obstacle_and_one_of_the_living_is(running: Running) -> None:
    path = running.runtime / "nginx.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ApplyError, match="another process listens"):
            running.go(answering("one"))
    assert path.is_socket()
    running.go(answering("one"))
    assert running.get(HOST).body == b"one"


def test_a_runtime_directory_with_a_long_name_is_refused(binary: str, tmp_path: Path) -> None:
    with Running(binary, tmp_path / "state") as running:
        running.placement = type(running.placement)("managed", running.state, running.runtime / ("x" * 100), binary)
        running.backend = running.fresh_backend()
        with pytest.raises(UsageError, match="too long"):
            running.go(answering("one"))


# ------------------------------------------------------------------ an nginx that somebody else runs


class Sidecar:
    """An nginx beside gen, started by hand."""

    def __init__(self, running: Running, binary: str) -> None:
        argv = [binary, "-e", "stderr", "-p", str(running.runtime), "-c", str(running.state / "current" / "nginx.conf")]
        self.process = subprocess.Popen([*argv, "-g", "daemon off;"], cwd=running.runtime, stderr=subprocess.DEVNULL)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def external(binary: str, tmp_path: Path) -> Iterator[Running]:
    """A gen with a pid file, and nothing running yet."""
    with Running(binary, tmp_path / "state", mode="external") as one:
        one.placement = type(one.placement)(
            "external", one.state, one.runtime, binary, pid_file=one.runtime / "nginx.pid"
        )
        one.backend = one.fresh_backend()
        yield one
        for path in one.runtime.glob("*_temp"):
            path.rmdir()


def test_an_external_nginx_takes_a_signal(external: Running, binary: str) -> None:
    plan = external.backend.plan(None, external.bundle(answering("one")))
    with pytest.raises(ApplyError, match="names no process"):
        external.run(external.backend.apply(plan))
    sidecar = Sidecar(external, binary)
    try:
        external.run(external.backend.confirm(plan))
        external.live = plan.new
        external.go(answering("two"))
        assert external.get(HOST).body == b"two"
        resumed = external.run(external.fresh_backend().resume())
        assert resumed
        assert resumed.digest == external.live.digest
        external.run(external.backend.close())
        assert external.get(HOST).body == b"two"
    finally:
        sidecar.end()
    assert external.run(external.fresh_backend().resume()) is None


def test_only_an_nginx_master_is_signalled(external: Running) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        (external.runtime / "nginx.pid").write_text(str(other.pid))
        with pytest.raises(ApplyError, match="no nginx master"):
            external.run(external.backend.apply(external.backend.plan(None, external.bundle(answering("one")))))
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
        (external.runtime / "nginx.pid").unlink()


def test_an_external_nginx_takes_a_command(binary: str, tmp_path: Path) -> None:
    with Running(binary, tmp_path / "state") as running:
        running.go(answering("one"))
        command = ("/bin/sh", "-c", f"kill -HUP $(cat {running.runtime}/nginx.pid)")
        managed, placement = running.backend, running.placement
        running.backend = type(managed)(
            type(placement)("external", running.state, running.runtime, binary, reload_command=command)
        )
        running.go(answering("two"))
        assert running.get(HOST).body == b"two"
        failing = type(managed)(
            type(placement)("external", running.state, running.runtime, binary, reload_command=("false",))
        )
        with pytest.raises(ApplyError, match="false ended with status 1"):
            running.run(failing.apply(failing.plan(None, running.bundle(answering("three")))))
        running.backend = managed


def test_an_external_nginx_that_cannot_be_told_is_a_mistake(binary: str, tmp_path: Path) -> None:
    with Running(binary, tmp_path / "state", mode="external") as running, pytest.raises(UsageError, match="pid file"):
        running.run(running.backend.apply(running.backend.plan(None, running.bundle(answering("one")))))
