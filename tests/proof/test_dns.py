"""An ExternalName outside the cluster: the proxy resolves it, again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.client import Request
from tests.live.dns import PORT, NameServer
from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.manifests import ingress, manifest, path
from tests.live.net import fresh_address
from tests.live.proxies import BACKENDS, need_proxy

HOST, NAME = "outside.example", "upstream.elsewhere.example"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_name_is_resolved_at_run_time(backend: str, tmp_path: Path, echo: EchoNet) -> None:
    need_proxy(backend)
    first, second = fresh_address(8080), fresh_address(8080)
    echo.listen(first, 8080, "elsewhere/first")
    echo.listen(second, 8080, "elsewhere/second")
    spec = {"type": "ExternalName", "externalName": NAME, "ports": [{"name": "http", "port": 8080}]}
    outside = manifest("v1", "Service", "outside", "shop", spec=spec)
    with NameServer() as names:
        names.records[NAME] = [first]
        with GenRun(backend, tmp_path / "run", echo, f"--resolver={names.address}:{PORT}") as gen:
            gen.apply([ingress("web", "shop", {HOST: [path("/", "outside", 8080)]}), outside])
            gen.wait("reach the first address", lambda: gen.send(Request(HOST)).service == "elsewhere/first", 15)
            names.records[NAME] = [second]
            gen.wait("follow the name", lambda: gen.send(Request(HOST)).service == "elsewhere/second", 30)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_name_that_does_not_exist_harms_nobody(backend: str, tmp_path: Path, echo: EchoNet) -> None:
    need_proxy(backend)
    spec = {"type": "ExternalName", "externalName": "missing.elsewhere.example", "ports": [{"port": 8080}]}
    outside = manifest("v1", "Service", "outside", "shop", spec=spec)
    with NameServer() as names, GenRun(backend, tmp_path / "run", echo, f"--resolver={names.address}:{PORT}") as gen:
        gen.apply([ingress("web", "shop", {HOST: [path("/", "outside", 8080)]}), outside])
        assert gen.send(Request(HOST)).status in {502, 503}
