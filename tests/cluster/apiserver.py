"""The API servers that the tests run against: the fake one, or the real one that KUBEBUILDER_ASSETS points at."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cluster.client import ApiError, Client
from tests.cluster.fake import FakeApi
from tests.cluster.fake.resources import RESOURCES
from tests.cluster.proxy import Upstream
from tests.live.gen import ENDS_WITH_THE_TESTS

TOKEN = "administrator"


class ApiServer(Protocol):
    """What a test may know of the server: where it is, and how to make it forget."""

    upstream: Upstream

    def expire(self) -> None:
        """Forget history: whoever was somewhere in it gets 410."""
        ...


class Fake:
    """The fake one."""

    def __init__(self, api: FakeApi) -> None:
        self.upstream = Upstream(api.url)
        self._api = api

    def expire(self) -> None:
        """Forget history."""
        self._api.storage.compact()


@contextmanager
def fake_server() -> Iterator[Fake]:
    """A fresh fake API server."""
    with FakeApi() as api:
        yield Fake(api)


def assets() -> Path | None:
    """The directory with the real servers, if there is one."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(named) if named and all((Path(named) / name).exists() for name in ("etcd", "kube-apiserver")) else None


class Real:
    """etcd and kube-apiserver, as processes; only the administrator's token is let in, and may do everything."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._binaries, self._directory = binaries, directory
        self._etcd_port, peer_port, self._port = free_ports(3)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self.upstream = Upstream(f"https://127.0.0.1:{self._port}", {"authorization": f"Bearer {TOKEN}"}, tls)
        self._start_etcd(peer_port)
        self._start_api()

    def expire(self) -> None:
        """Forget history: compact etcd, and restart the API server, which remembers some of it too."""
        etcd = Client(Upstream(f"http://127.0.0.1:{self._etcd_port}"))
        revision = etcd.call("POST", "/v3/kv/range", {"key": "Lw=="})["header"]["revision"]
        etcd.call("POST", "/v3/kv/compaction", {"revision": revision, "physical": True})
        self._stop("kube-apiserver")
        self._start_api()

    def clear(self) -> None:
        """Delete what tests leave behind; namespaces stay, for nobody here could end them."""
        client = Client(self.upstream)
        for resource in RESOURCES:
            if resource.kind == "Namespace":
                continue
            prefix = "/api/v1" if resource.api_version == "v1" else f"/apis/{resource.api_version}"
            for item in client.call("GET", f"{prefix}/{resource.plural}")["items"]:
                if item["metadata"].get("namespace") not in ("default", "kube-system"):
                    with suppress(ApiError):
                        client.delete({**item, "apiVersion": resource.api_version, "kind": resource.kind})

    def stop(self) -> None:
        """End both processes."""
        for name in list(self._processes):
            self._stop(name)

    def _start_etcd(self, peer_port: int) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, peer_port))
        self._start("etcd", [
            f"--data-dir={self._directory / 'etcd'}", f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        ])  # fmt: skip
        etcd = Client(Upstream(client))
        wait_for(lambda: bool(etcd.call("POST", "/v3/kv/range", {"key": "Lw=="})), "etcd")

    def _start_api(self) -> None:
        key, tokens = self._directory / "accounts.key", self._directory / "tokens.csv"
        if not key.exists():
            key.write_bytes(private_key())
            tokens.write_text(f"{TOKEN},administrator,administrator,system:masters\n")
        self._start("kube-apiserver", [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            f"--secure-port={self._port}", f"--cert-dir={self._directory / 'certificates'}",
            f"--token-auth-file={tokens}", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc", "--disable-admission-plugins=ServiceAccount",
        ])  # fmt: skip
        namespaces = Client(self.upstream)
        wait_for(lambda: bool(namespaces.call("GET", "/api/v1/namespaces/default")), "kube-apiserver")

    def _start(self, name: str, arguments: Sequence[str]) -> None:
        with (self._directory / f"{name}.log").open("ab") as log:
            command = [*ENDS_WITH_THE_TESTS, str(self._binaries / name), *arguments]
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._directory)

    def _stop(self, name: str) -> None:
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()


@contextmanager
def real_servers(binaries: Path, directory: Path) -> Iterator[Real]:
    """Both real servers, with nothing in them."""
    servers = Real(binaries, directory)
    try:
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(directory / "etcd", ignore_errors=True)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return tuple(each.getsockname()[1] for each in held)
    finally:
        for each in held:
            each.close()


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until a server answers as it should."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError, ApiError, ValueError):
            if ready():
                return
        assert time.monotonic() < deadline, f"{what} is not ready after {seconds:g} s"
        time.sleep(0.1)


def private_key() -> bytes:
    """A key that signs the tokens of service accounts."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
