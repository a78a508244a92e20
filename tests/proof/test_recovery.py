"""What goes wrong in the world costs nobody the answers that were there before."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.manifests import Manifest, endpoint_slice, ingress, path, service
from tests.live.net import ADMIN_PORT, HTTP_PORT, HTTPS_PORT
from tests.live.proxies import BACKENDS, binary_of, need_proxy
from tests.live.stand_in import StandIns

HOST = "stays.example"
Objects = Callable[..., list[Manifest]]


@pytest.fixture(params=BACKENDS)
def gen(request: pytest.FixtureRequest, tmp_path: Path, echo: EchoNet) -> Iterator[GenRun]:
    """A `gen run` of its own, with nothing applied yet; at its end nothing may be left behind."""
    need_proxy(request.param)
    with GenRun(request.param, tmp_path / "run", echo) as run:
        yield run


@pytest.fixture
def objects(echo: EchoNet) -> Objects:
    """The manifests of hosts that all lead to one Service."""
    stand_ins = StandIns(echo)

    def of(*hosts: str) -> list[Manifest]:
        rules = {host: [path("/", "web")] for host in hosts}
        upstream = [service("web", "shop"), endpoint_slice("web", "shop", ["192.0.2.1"])]
        return [ingress("web", "shop", rules), *stand_ins.localise(upstream)]

    return of


def serves(gen: GenRun, host: str) -> bool:
    """Whether a host is served."""
    return gen.send(Request(host)).service == "shop/web"


def proxies_of(gen: GenRun) -> dict[int, str]:
    """The processes of the proxy."""
    return {pid: command for pid, command in gen.processes().items() if not (gen.process and pid == gen.process.pid)}


def test_a_killed_gen_leaves_the_proxy_serving_and_the_next_one_takes_over(gen: GenRun, objects: Objects) -> None:
    gen.apply(objects(HOST))
    before = set(proxies_of(gen))
    gen.kill()
    assert before <= set(gen.processes())
    assert serves(gen, HOST)
    gen.start()
    assert before <= set(gen.processes()), "the proxy was started anew instead of being taken over"
    gen.apply(objects(HOST, "new.example"))
    assert serves(gen, "new.example")
    assert serves(gen, HOST)


def test_sigterm_leaves_nothing(gen: GenRun, objects: Objects) -> None:
    gen.apply(objects(HOST))
    assert len(gen.processes()) >= 2
    gen.stop()
    assert gen.processes() == {}
    for port in (HTTP_PORT, HTTPS_PORT, ADMIN_PORT):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((gen.address, port), 5)
    assert list(gen.state.rglob("*.sock")) == []


def test_a_second_start_after_sigterm_serves_again(gen: GenRun, objects: Objects) -> None:
    gen.apply(objects(HOST))
    gen.stop()
    gen.start()
    assert serves(gen, HOST)


def test_the_last_accepted_generation_serves_before_any_input_is_read(gen: GenRun, objects: Objects) -> None:
    gen.apply(objects(HOST))
    gen.stop()
    gen.manifests.rename(gen.folder / "elsewhere")
    gen.start(ready=False)
    gen.wait("serve what it served before", lambda: serves(gen, HOST), 20)
    (gen.folder / "elsewhere").rename(gen.manifests)
    gen.wait("be ready", gen.is_ready, 20)


def test_an_unreadable_manifest_keeps_what_is_live(gen: GenRun, objects: Objects) -> None:
    gen.apply(objects(HOST))
    (gen.manifests / "manifests.json").write_text('{"apiVersion": "v1", "kind": "List", "items": [{')
    host, marked = gen.marked([])
    gen.write(marked, "other.json")
    gen.wait_live(host)
    assert serves(gen, HOST)


def test_a_manifest_that_becomes_readable_again_counts(gen: GenRun, objects: Objects) -> None:
    gen.apply(objects(HOST))
    gen.manifests.joinpath("manifests.json").write_text("}")
    gen.apply(objects("other.example"))
    assert serves(gen, "other.example")
    assert not serves(gen, HOST)


def test_a_refused_configuration_keeps_what_is_live(gen: GenRun, objects: Objects, tmp_path: Path) -> None:
    """The proxy's own test says no: the old configuration stays, and the next good one goes live."""
    refuses = tmp_path / "refuse"
    gen.flags = (*gen.flags, "--proxy-binary", str(fussy_binary(gen.backend, tmp_path, refuses)))
    gen.apply(objects(HOST))
    refuses.touch()
    host, marked = gen.marked(objects(HOST, "refused.example"))
    gen.write(marked)
    gen.wait("say that the proxy refused", lambda: "not today" in gen.tail(100_000), 20)
    assert serves(gen, HOST)
    assert gen.send(Request("refused.example")).status == 404
    refuses.unlink()
    gen.apply(objects(HOST, "later.example"))
    assert serves(gen, "later.example")
    assert gen.send(Request(host)).status == 404


def fussy_binary(backend: str, folder: Path, refuses: Path) -> Path:
    """The proxy, which refuses to accept any configuration for as long as a file is there."""
    tests_only = {"nginx": "-t", "haproxy": "-c", "envoy": "validate"}[backend]
    script = folder / backend
    script.write_text(
        f'#!/bin/sh\nfor word in "$@"; do\n  if [ "$word" = {tests_only} ] && [ -e {refuses} ]; then\n'
        f'    echo not today >&2; exit 1\n  fi\ndone\nexec {binary_of(backend)} "$@"\n'
    )
    script.chmod(0o755)
    return script


def test_a_taken_port_is_told_and_served_once_it_is_free(gen: GenRun, objects: Objects) -> None:
    host, marked = gen.marked(objects(HOST))
    gen.write(marked)
    with socket.create_server((gen.address, HTTP_PORT)):
        gen.start(ready=False)
        gen.wait("listen", lambda: gen.admin("/healthz").status in {200, 503}, 20)
        gen.wait("complain", lambda: str(HTTP_PORT) in gen.tail(100_000) or "bind" in gen.tail(100_000), 20)
        assert gen.admin("/readyz").status == 503
    gen.wait_live(host)
    assert serves(gen, HOST)
    gen.wait("be ready", gen.is_ready, 20)


def test_a_proxy_that_dies_is_started_again(gen: GenRun, objects: Objects) -> None:
    gen.apply(objects(HOST))
    for pid in proxies_of(gen):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    gen.wait("serve again", lambda: serves(gen, HOST), 20)
    gen.apply(objects(HOST, "new.example"))
    assert serves(gen, "new.example")


def test_row_22_what_somebody_else_wrote_into_a_generation_does_not_stay(gen: GenRun, objects: Objects) -> None:
    gen.apply(objects(HOST))
    gen.stop()
    for file in (gen.state / "accepted").resolve().rglob("*"):
        if file.is_file() and HOST.encode() in file.read_bytes():
            file.write_bytes(file.read_bytes().replace(HOST.encode(), b"evil1.example"))
    gen.start()
    gen.wait("serve what it should", lambda: serves(gen, HOST), 20)
    assert not serves(gen, "evil1.example")


def test_an_empty_directory_never_empties_the_proxy(gen: GenRun, objects: Objects) -> None:
    hosts = [f"host-{number}.example" for number in range(12)]
    gen.apply(objects(*hosts))
    gen.stop()
    (gen.manifests / "manifests.json").unlink()
    gen.start(ready=False)
    gen.wait("serve what it served before", lambda: serves(gen, hosts[0]), 20)
    gen.wait("listen", lambda: gen.admin("/healthz").status == 200, 20)
    gen.wait("say that it holds", lambda: "hold" in gen.tail(100_000).lower(), 20)
    assert all(serves(gen, host) for host in hosts)


def test_a_second_gen_may_not_use_the_same_state(gen: GenRun, objects: Objects) -> None:
    gen.apply(objects(HOST))
    second = subprocess.run(gen.command, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 2
    assert "state" in second.stderr
    assert serves(gen, HOST)
