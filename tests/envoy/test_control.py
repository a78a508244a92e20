"""The life of Envoy: started, led, refused, lost, found again, and gone without a trace."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backends.envoy import admin, control, create
from backends.envoy.validate import Excerpt
from gen.backend import Bundle, Placement
from gen.errors import ApplyError, NotConfirmed, Rejected, UsageError
from gen.ir import Config, Respond
from tests.envoy.configs import certificate, config, host, saying, source, to, upstream
from tests.envoy.running import Running, wait
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.net import HTTP_PORT, fresh_address


def said(text: str, *more: str) -> Config:
    """A configuration in which a.test says something, and perhaps other hosts do."""
    return config([saying(name, text) for name in ("a.test", *more)])


def processes(running: Running) -> list[int]:
    """The Envoys that were started for this state directory."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX" and any(word.startswith(f"{running.state}/".encode()) for word in words):
            found.append(int(folder.name))
    return found


def restarted(running: Running) -> Bundle | None:
    """What a new gen resumes with."""
    running.forget()
    running.live = running.run(running.backend.resume())
    return running.live


# ------------------------------------------------------------------ start, change, stop


def test_start_change_stop(running: Running) -> None:
    first = running.go(said("one"))
    assert first.reload
    assert running.says("a.test") == "one"
    pid = running.pid
    second = running.go(said("two", "b.test"))
    assert not second.reload
    assert second.commands == ("push hosts: 2 new or changed, 1 gone or replaced",)
    assert (running.says("a.test"), running.says("b.test")) == ("two", "two")
    assert (running.pid, processes(running)) == (pid, [pid])
    generations = running.backend._control.generations
    assert generations.current() == generations.accepted() == second.new.digest
    assert running.backend.plan(second.new, running.bundle(said("two", "b.test"))).is_nothing
    running.run(running.backend.close())
    assert processes(running) == []
    with pytest.raises(OSError, match="refused"):
        running.connect()


def test_sockets_are_for_this_user_alone(running: Running) -> None:
    running.go(said("one"))
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in running.runtime.iterdir()} == {
        "xds.sock": "0o600",
        "envoy-admin.sock": "0o600",
    }


def test_certificates_come_and_change(running: Running) -> None:
    def served() -> list[str]:
        return running.get("a.test", scheme="https").certificate_names

    running.go(said("one"))
    assert served() == ["default.test"]
    with running.connect("https", "b.test") as held:
        assert held.exchange(Request("b.test")).status == 404
        running.go(config([saying("a.test", "two", "tests/a")], certificates=[certificate("tests/a", "a.test")]))
        assert served() == ["a.test"]
        renewed = certificate("tests/a", "a.test", "b.test")
        plan = running.go(config([saying("a.test", "two", "tests/a")], certificates=[renewed]))
        assert plan.commands == ("push certificates: 2 new or changed, 2 gone or replaced",)
        assert served() == ["a.test", "b.test"]
        assert held.exchange(Request("a.test")).body == b"two"


def test_the_catch_all_may_have_a_certificate_and_some_may_be_nobodys(running: Running) -> None:
    certificates = [certificate("tests/any", "any.test"), certificate("tests/unused", "unused.test")]
    running.go(config([saying("", "any", "tests/any"), saying("a.test", "a")], certificates=certificates))
    for name, shown in (("", "any.test"), ("other.test", "any.test"), ("a.test", "default.test")):
        assert running.get("a.test", scheme="https", sni=name).certificate_names == [shown]


def test_requests_under_way_end_before_envoy_does(running: Running, echo: EchoNet) -> None:
    place = fresh_address(8080)
    echo.listen(place, 8080, "slow")
    running.go(config([host("a.test", ("prefix", "/", to("slow")))], [upstream("slow", place)]))
    with running.connect() as connection:
        connection.write(Request("a.test", headers=(("X-Echo-Delay", "1"),)).encode())
        wait("forward", lambda: echo.endpoints[place, 8080].requests)
        running.run(running.backend.close())
        assert connection.read_reply().status == 200
    assert processes(running) == []


def test_another_number_of_workers_is_a_new_start(running: Running) -> None:
    running.go(said("one"))
    before = running.pid
    plan = running.go(said("two"), workers=1)
    assert (plan.reload, plan.reason) == (True, "workers or drain time changed")
    assert running.says("a.test") == "two"
    assert processes(running) == [running.pid] != [before]


# ------------------------------------------------------------------ refusals


def test_what_envoy_refuses_is_blamed_and_the_old_state_stays(running: Running) -> None:
    good = running.go(said("good")).new
    rules = [(f"/{number}", "(" if number == 3 else "x") for number in range(6)]
    bad = host("bad.test", *(("regex", pattern, Respond(200)) for _, pattern in rules))
    bundle = running.bundle(config([saying("a.test", "bad"), saying("main", "x"), bad]))
    with pytest.raises(Rejected) as refusal:
        running.run(running.backend.validate(bundle))
    assert refusal.value.blame == (source("bad.test", 3),)
    assert "missing )" in refusal.value.output
    with pytest.raises(Rejected, match=r"missing \)"):
        running.apply(bundle)
    assert running.says("a.test") == "good"
    assert running.backend._control.generations.accepted() == good.digest
    running.apply(good)
    assert running.says("a.test") == "good"
    running.go(said("better"))
    assert running.says("a.test") == "better"


def test_only_what_is_new_is_tested_again(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, bootstrap = [], Excerpt.bootstrap

    def measured(excerpt: Excerpt) -> bytes:
        content = bootstrap(excerpt)
        sizes.append(len(content))
        return content

    monkeypatch.setattr(Excerpt, "bootstrap", measured)
    hosts = [saying(f"{number}.test", "x") for number in range(50)]
    for number in range(3):
        bundle = running.bundle(config([*hosts, saying("more.test", f"{number}")]))
        running.run(running.backend.validate(bundle))
    assert max(sizes[1:]) < 10_000 < sizes[0]
    broken = running.bundle(config([*hosts, host("more.test", ("regex", "(", Respond(200)))]))
    with pytest.raises(Rejected):
        running.run(running.backend.validate(broken))


def test_a_port_that_is_taken(running: Running) -> None:
    bundle = running.bundle(said("one"))
    with socket.socket() as squatter:
        squatter.bind((running.address, HTTP_PORT))
        squatter.listen()
        with pytest.raises(NotConfirmed, match="cannot bind"):
            running.apply(bundle)
        with pytest.raises(NotConfirmed, match="cannot bind"):
            running.apply(bundle)
    running.apply(bundle)
    assert running.says("a.test") == "one"


def test_no_secret_leaves_the_files_of_keys(running: Running) -> None:
    default = certificate("default")
    canary = default.key.splitlines()[2]
    plan = running.go(config([host("bad.test", ("regex", "/x", Respond(200)))]))
    with pytest.raises(Rejected) as refusal:
        running.go(config([host("bad.test", ("regex", "/(", Respond(200)))]))
    running.apply(plan.new)
    holders = {path for path in running.state.rglob("*") if path.is_file() and canary in path.read_bytes()}
    assert {path.suffix for path in holders} == {".key"}
    assert {path.stat().st_mode & 0o777 for path in holders} == {0o600}
    assert canary.decode() not in refusal.value.output
    assert plan.new.secrets == {path for path in plan.new.files if path.endswith(".key")}


# ------------------------------------------------------------------ gen comes and goes


def test_a_killed_gen_leaves_envoy_serving_and_the_next_one_takes_over(running: Running) -> None:
    digest = running.go(said("one")).new.digest
    pid = running.pid
    bundle = restarted(running)
    assert bundle
    assert (bundle.digest, running.pid, running.says("a.test")) == (digest, pid, "one")
    plan = running.go(said("two"))
    assert not plan.reload
    assert (running.pid, running.says("a.test")) == (pid, "two")


def test_envoy_serves_while_no_gen_is_there(running: Running) -> None:
    running.go(said("one"))
    server, _ = running.run(running.backend._control._server())
    running.run(server.stop())
    assert {running.says("a.test") for _ in range(20)} == {"one"}


def test_a_change_that_was_under_way_is_taken_back(running: Running) -> None:
    accepted = running.go(said("accepted")).new
    other = running.bundle(said("under way"))
    own = running.backend._control
    own.generations.write(other)
    own.generations.publish(other.digest)
    running.run(own._serve(other))
    wait("be pushed", lambda: running.says("a.test") == "under way")
    bundle = restarted(running)
    assert bundle
    assert (bundle.digest, running.says("a.test")) == (accepted.digest, "accepted")
    assert running.backend._control.generations.current() == accepted.digest


def test_envoy_is_started_with_what_it_accepted_last(running: Running) -> None:
    running.go(said("one"))
    assert running.pid
    os.kill(running.pid, signal.SIGKILL)
    assert running.run(running.backend.exited()) == f"Envoy has gone with status {-signal.SIGKILL}"
    bundle = restarted(running)
    assert bundle
    assert running.says("a.test") == "one"
    assert len(processes(running)) == 1


def test_an_end_is_noticed_by_an_adopting_gen_too(running: Running) -> None:
    running.go(said("one"))
    restarted(running)
    assert running.pid
    os.kill(running.pid, signal.SIGKILL)
    assert running.run(running.backend.exited()) == "Envoy has gone"


def test_an_envoy_that_stays_silent_is_replaced(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ADOPTION", 3.0)
    monkeypatch.setattr(admin, "TIMEOUT", 0.5)
    running.go(said("one"))
    silent = running.pid
    assert silent
    os.kill(silent, signal.SIGSTOP)
    assert restarted(running)
    assert processes(running) == [running.pid] != [silent]
    assert running.says("a.test") == "one"


def test_an_envoy_that_was_started_otherwise_is_replaced(running: Running) -> None:
    running.go(said("one"))
    before = running.pid
    (running.state / "bootstrap.json").write_text("{}")
    assert restarted(running)
    assert processes(running) == [running.pid] != [before]
    assert running.says("a.test") == "one"


def test_there_is_nothing_to_resume_in_the_beginning(running: Running) -> None:
    assert running.run(running.backend.resume()) is None
    assert processes(running) == []
    running.go(said("one"))
    assert running.says("a.test") == "one"


def test_an_envoy_that_was_never_confirmed_is_adopted(running: Running) -> None:
    bundle = running.bundle(said("one"))
    running.run(running.backend.apply(running.backend.plan(None, bundle)))
    pid = running.pid
    assert restarted(running) is None
    assert running.pid == pid
    running.go(said("two"))
    assert (running.pid, running.says("a.test")) == (pid, "two")


def test_an_envoy_that_cannot_start_is_told(running: Running, tmp_path: Path) -> None:
    broken = tmp_path / "envoy"
    broken.write_text("#!/bin/sh\necho it is broken >&2; exit 3\n")
    broken.chmod(0o755)
    backend = create(Placement("managed", tmp_path / "other", running.runtime, binary=str(broken)))
    bundle = running.bundle(said("one"))
    running.run(backend.apply(backend.plan(None, bundle)))
    with pytest.raises(NotConfirmed, match="it is broken"):
        running.run(backend.confirm(backend.plan(None, bundle)))
    running.run(backend.close())


# ------------------------------------------------------------------ beside gen


@pytest.mark.parametrize("variant", ["DELTA_GRPC", "GRPC"])
def test_an_external_envoy_comes_and_goes(binary: str, tmp_path: Path, variant: str) -> None:
    """The operator's own bootstrap may ask for the state of the world instead of changes."""
    with Running(binary, tmp_path / "state", "external") as running:
        bundle = running.bundle(said("one"))
        plan = running.backend.plan(None, bundle)
        running.run(running.backend.apply(plan))
        bootstrap = running.state / "of-the-operator.json"
        bootstrap.write_text((running.state / "bootstrap.json").read_text().replace("DELTA_GRPC", variant))
        command = [binary, "-c", str(bootstrap), "--disable-hot-restart", "-l", "error"]
        with subprocess.Popen([*command, "--concurrency", "1"]) as envoy:
            running.run(running.backend.confirm(plan))
            running.live = bundle
            assert running.says("a.test") == "one"
            running.go(said("two"))
            resumed = restarted(running)
            assert resumed
            running.go(said("three"))
            assert running.says("a.test") == "three"
            assert processes(running) == [envoy.pid]
            exited = running.run(first_of(running.backend.exited(), 0.1))
            assert exited is None
            running.run(running.backend.close())
            assert running.says("a.test") == "three"
            envoy.terminate()
        (running.runtime / "envoy-admin.sock").unlink(missing_ok=True)


async def first_of(work: Any, seconds: float) -> Any:
    """What some work gives within a time, else None."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return None


def test_external_over_tcp_is_loopback_only(tmp_path: Path) -> None:
    backend = create(Placement("external", tmp_path / "state", tmp_path, socket="tcp:192.0.2.1:80"))
    with pytest.raises(UsageError, match="loopback"):
        asyncio.run(backend.resume())


# ------------------------------------------------------------------ files that are not gen's


def test_a_bundle_of_something_else_is_refused(running: Running) -> None:
    bundle = running.bundle(said("one"))
    for files in (
        {},
        {"envoy.json": b"{}", "routes.json": b"{}"},
        {**bundle.files, "routes.json": b'{"resources": []}'},
    ):
        other = msgspec.structs.replace(bundle, files=files, digest="0" * 16)
        with pytest.raises(ApplyError, match="not what gen writes"):
            running.run(running.backend.validate(other))


def test_routes_can_be_read_back(running: Running) -> None:
    bundle = running.bundle(config([host("a.test")]))
    generations = running.backend._control.generations
    generations.write(bundle)
    again = generations.load(bundle.digest)
    assert (again.files, again.secrets, again.digest) == (bundle.files, bundle.secrets, bundle.digest)
    assert running.backend.plan(bundle, again).is_nothing
