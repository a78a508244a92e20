"""`gen run` as a process: its signals, its log, its directories.  What the proxy serves is tested in tests/proof."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
import yaml

from gen.cli.state import runtime_directory
from tests.live.echo import EchoNet
from tests.live.gen import GEN, GenRun
from tests.live.manifests import Manifest, endpoint_slice, ingress, path, service, tls_secret
from tests.live.net import ADMIN_PORT, HTTP_PORT, HTTPS_PORT, fresh_address
from tests.live.proxies import need_proxy

HOST = "web.example"


@pytest.fixture
def run(tmp_path: Path, echo: EchoNet) -> Iterator[GenRun]:
    """A `gen run` with nginx; at its end the status must be 0, and nothing may be left."""
    need_proxy("nginx")
    with GenRun("nginx", tmp_path / "run", echo) as made:
        yield made


def web(address: str) -> list[Manifest]:
    """One host that leads to one address."""
    return [
        ingress("web", "shop", {HOST: [path("/", "web")]}),
        service("web", "shop"),
        endpoint_slice("web", "shop", [address]),
    ]


# ------------------------------------------------------------------ the end

MOMENTS: dict[str, Callable[[GenRun], bool]] = {
    "it owns its state": lambda run: (run.state / "lock").exists(),
    "it begins": lambda run: "gen starts" in run.log.read_text(),
    "it validates": lambda run: any(run.state.glob("gen-*")),
    "it publishes": lambda run: (run.state / "current").is_symlink(),
    "its proxy starts": lambda run: (run.state / "proxy.json").exists(),
    "it is ready": GenRun.is_ready,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_sigterm_at_any_moment_ends_it_cleanly(run: GenRun, moment: str) -> None:
    run.write(web("127.0.0.1"))
    run.start(ready=False)
    run.wait(moment, lambda: MOMENTS[moment](run), 20)
    begun = time.monotonic()
    run.stop()
    assert time.monotonic() - begun < 10


def test_ctrl_c_ends_it_as_well(run: GenRun) -> None:
    run.write(web("127.0.0.1"))
    run.start()
    process, run.process = run.process, None
    assert process
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert run.end_leftovers() == {}


def test_second_sigterm_does_not_wait_for_requests(run: GenRun) -> None:
    upstream = fresh_address(8080)
    with socket.create_server((upstream, 8080)) as silent:
        run.apply(web(upstream))
        with socket.create_connection((run.address, HTTP_PORT)) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            accepted, _ = silent.accept()
            process, run.process = run.process, None
            assert process
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert time.monotonic() - begun < 3
            accepted.close()
    assert run.end_leftovers() == {}


def test_a_hail_of_sigterms_does_not_change_the_status(run: GenRun) -> None:
    run.write(web("127.0.0.1"))
    run.start()
    process, run.process = run.process, None
    assert process
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    assert process.returncode == 0
    assert run.end_leftovers() == {}


# ------------------------------------------------------------------ the log and the secrets


def test_every_line_of_the_log_is_json_if_asked(tmp_path: Path, echo: EchoNet) -> None:
    need_proxy("nginx")
    with GenRun("nginx", tmp_path / "run", echo, "--log-format=json", "--log-level", "debug") as run:
        wrong = ingress("wrong", "shop", {"not_a_host!": [path("/", "web")]})
        run.apply([*web("127.0.0.1"), wrong])
    lines = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert {"time", "level", "message"} <= set.intersection(*(set(line) for line in lines))
    (applied,) = [line for line in lines if line["message"] == "the configuration is live"]
    assert (applied["effect"], applied["hosts"]) == ("reload", 3)
    told = [line["message"] for line in lines if "InvalidHost" in line["message"]]
    assert re.fullmatch(r"\S+/manifests\.json:\d+: error InvalidHost: .+ \(Ingress shop/wrong, .+\)", told[0])


def test_no_private_key_leaves_its_file(run: GenRun, echo: EchoNet) -> None:
    pair = trustme.CA().issue_cert(HOST)
    key = pair.private_key_pem.bytes()
    secret = tls_secret("web", "shop", pair.cert_chain_pems[0].bytes(), key)
    upstream = fresh_address(8080)
    echo.listen(upstream, 8080, "shop/web")
    objects = web(upstream)
    objects[0]["spec"]["tls"] = [{"hosts": [HOST], "secretName": "web"}]
    run.flags = ("--log-level", "debug")
    run.apply([*objects, secret])
    assert run.get(f"https://{HOST}/").status == 200
    page = run.admin("/metrics").body.decode()
    assert 'secret_name="web"' in page
    secret["data"]["tls.crt"] = "AAAA"
    run.apply([*objects, secret])
    words = {line for line in key.decode().splitlines() if "---" not in line and len(line) == 64}
    words |= set(re.findall(r".{64}", secret["data"]["tls.key"]))
    assert words
    private = [file for file in run.state.rglob("*") if file.is_file() and file.stat().st_mode & 0o077 == 0]
    public = [file for file in run.state.rglob("*") if file.is_file() and file not in private]
    texts = [page, run.admin("/metrics").body.decode(), run.log.read_text(), *(file.read_text() for file in public)]
    assert [word for word in words for text in texts if word in text] == []
    assert [file for file in public if "PRIVATE KEY" in file.read_text()] == []
    assert any("PRIVATE KEY" in file.read_text() for file in private)


# ------------------------------------------------------------------ directories, ports, settings


def test_sockets_move_out_of_a_state_directory_with_a_long_path(
    tmp_path: Path, echo: EchoNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_proxy("nginx")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with GenRun("nginx", tmp_path / ("long" * 25), echo) as run:
        run.apply(web("127.0.0.1"))
        runtime = runtime_directory("", run.state)
        assert runtime.parent == Path("/tmp")
        assert any(file.is_socket() for file in runtime.iterdir())
    assert not runtime.exists()


class Unflagged(GenRun):
    """A `gen run` that is told nothing on its command line."""

    @property
    def command(self) -> list[str]:
        """The bare command."""
        return [GEN, "run"]


def test_settings_come_from_environment_and_file_too(
    tmp_path: Path, echo: EchoNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_proxy("nginx")
    with Unflagged("nginx", tmp_path / "run", echo) as run:
        ports = {"http-port": HTTP_PORT, "https-port": HTTPS_PORT}
        settings = {"backend": "nginx", "filename": [str(run.manifests)], "bind": "0.0.0.0", **ports}
        (tmp_path / "gen.yaml").write_text(yaml.safe_dump(settings))
        monkeypatch.setenv("GEN_CONFIG", str(tmp_path / "gen.yaml"))
        monkeypatch.setenv("GEN_BIND", run.address)
        monkeypatch.setenv("GEN_ADMIN", f"{run.address}:{ADMIN_PORT}")
        monkeypatch.setenv("XDG_STATE_HOME", str(run.folder))
        run.state = run.folder / "gen"
        run.apply(web("127.0.0.1"))
        assert (run.state / "accepted").is_symlink()


def test_taken_admin_port_ends_it_before_anything_is_started(run: GenRun) -> None:
    with socket.create_server((run.address, ADMIN_PORT)):
        done = subprocess.run(run.command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    complaint = f"gen: --admin: cannot listen on {run.address}:{ADMIN_PORT}: Address already in use"
    assert done.stderr.splitlines()[-1] == complaint
    assert not (run.state / "proxy.json").exists()
