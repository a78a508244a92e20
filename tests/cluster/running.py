"""`gen run` on a cluster: the command, a kubeconfig, a real proxy, and names that lead to the echo servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

from tests.cluster.objects import Json
from tests.live.dns import PORT, NameServer
from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.manifests import manifest
from tests.live.net import fresh_address


class ClusterRun(GenRun):
    """One `gen run` on the API server at a URL.

    Shape: endpoints at loopback addresses are refused when they come from a cluster, so its Services are names
    outside, which the name server leads to echo servers.
    """

    def __init__(self, backend: str, folder: Path, echo: EchoNet, url: str, *flags: str) -> None:
        self.names = NameServer()
        resolver = f"--resolver={self.names.address}:{PORT}"
        super().__init__(backend, folder, echo, resolver, "--disable-svc-external-name=false", *flags)
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(kubeconfig(url)))
        self._echo = echo

    def __enter__(self) -> Self:
        self.names.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self.names.__exit__()

    @property
    def source(self) -> list[str]:
        """The cluster."""
        return ["--kubeconfig", str(self.kubeconfig)]

    def outside(self, name: str, namespace: str = "shop") -> Json:
        """A Service that leads to an echo server which answers as `namespace/name`."""
        address, host = fresh_address(8080), f"{name}.{namespace}.outside.example"
        self._echo.listen(address, 8080, f"{namespace}/{name}")
        self.names.records[host] = [address]
        spec = {"type": "ExternalName", "externalName": host, "ports": [{"name": "http", "port": 8080}]}
        return manifest("v1", "Service", name, namespace, spec=spec)

    def generations(self) -> set[str]:
        """The configurations in its state."""
        return {entry.name for entry in self.state.glob("gen-*")}

    def serves(self, host: str, service: str, seconds: float = 15.0) -> None:
        """Wait until a host is answered by a Service."""
        self.wait(f"serve {host}", lambda: self.get(f"http://{host}/").service == service, seconds)

    def refuses(self, host: str) -> None:
        """Wait until a host is answered by the proxy itself, with 404."""
        self.wait(f"serve {host} no more", lambda: self.get(f"http://{host}/").status == 404, 15.0)


def kubeconfig(url: str) -> Json:
    """Without credentials."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {}}],
    }
