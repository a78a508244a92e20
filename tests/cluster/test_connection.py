"""How gen gets to the API server: credentials and CAs that change, contexts, plugins, proxies."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from gen.errors import InputError
from gen.sources.cluster import ClusterSource
from gen.sources.kube.access import Access, Load, load_access
from gen.sources.kube.connection import Connection
from gen.sources.kube.errors import Refused, Unreachable
from gen.sources.kube.selection import Scope
from tests.cluster import faults, objects
from tests.cluster.apiserver import ApiServer
from tests.cluster.client import Client
from tests.cluster.conftest import QUICK
from tests.cluster.follower import Follower
from tests.cluster.proxy import Exchange, FaultProxy, Request, forward

INGRESSES = "/apis/networking.k8s.io/v1/ingresses"


class Pod:
    """The files that a kubelet mounts into a pod, swapped as it swaps them: by a symlink to a new directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._versions = 0
        for name in ("token", "ca.crt"):
            (directory / name).symlink_to(f"..data/{name}")

    def mount(self, token: str, ca: trustme.CA) -> None:
        """Put new contents in place of the old."""
        self._versions += 1
        version = self._directory / f"..version-{self._versions}"
        version.mkdir()
        (version / "token").write_text(token)
        ca.cert_pem.write_to_path(version / "ca.crt")
        (self._directory / "..data_tmp").symlink_to(version.name)
        (self._directory / "..data_tmp").rename(self._directory / "..data")

    def access(self, url: str) -> Access:
        """As gen gets it inside of a pod."""
        from kubernetes.client import Configuration
        from kubernetes.config.incluster_config import InClusterConfigLoader

        host, _, port = url.removeprefix("https://").rpartition(":")
        configuration = Configuration()
        make: Callable[..., Any] = InClusterConfigLoader
        loader = make(
            token_filename=self._directory / "token",
            cert_filename=self._directory / "ca.crt",
            environ={"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
        )
        loader.load_and_set(configuration)
        return Access(configuration)


def serving(ca: trustme.CA) -> ssl.SSLContext:
    """A server that this CA vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context


def only(token: str) -> Callable[[Request], bool]:
    """Requests that come without a token."""
    return lambda request: request.headers.get("authorization", "").lower() != f"bearer {token}"


@asynccontextmanager
async def opened(load: Load) -> AsyncIterator[Connection]:
    """A connection, closed in the end."""
    connection = Connection(load)
    try:
        yield connection
    finally:
        await connection.close()


def follower(connection: Connection) -> Follower:
    """A follower of Ingresses."""
    failures: list[tuple[str, float]] = []
    scope = Scope(kinds=("Ingress",), namespaces=(objects.NAMESPACE,))
    source = ClusterSource(connection, scope, timing=QUICK, observe=lambda *failure: failures.append(failure))
    return Follower(source, failures)


async def test_row_33_the_token_is_rotated(server: ApiServer, client: Client, tmp_path: Path) -> None:
    ca, pod = trustme.CA(), Pod(tmp_path)
    pod.mount("first", ca)
    with FaultProxy(server.upstream, serving(ca)) as proxy:
        proxy.fault(faults.refuse(401, "Unauthorized"), when=only("first"))
        async with follower(Connection(lambda: pod.access(proxy.url))) as seen:
            await seen.first()
            proxy.down()
            proxy.heal()
            refusal = proxy.fault(faults.refuse(401, "Unauthorized"), when=only("second"))
            pod.mount("second", ca)
            client.create(objects.ingress("one"))
            proxy.up()
            await seen.knows("one")
            assert refusal.taken == 1


async def test_row_33_the_ca_is_rotated(server: ApiServer, client: Client, tmp_path: Path) -> None:
    old, new, pod = trustme.CA(), trustme.CA(), Pod(tmp_path)
    pod.mount("token", old)
    with FaultProxy(server.upstream, serving(old)) as proxy:
        async with follower(Connection(lambda: pod.access(proxy.url))) as seen:
            await seen.first()
            proxy.down()
            proxy.tls = serving(new)
            proxy.up()
            await seen.fails(3)
            pod.mount("token", new)
            client.create(objects.ingress("one"))
            await seen.knows("one")


async def test_a_wrong_token_is_tried_with_patience(proxy: FaultProxy, server: ApiServer) -> None:
    from kubernetes.client import Configuration

    loads = []

    def load() -> Access:
        loads.append(1)
        return Access(Configuration(host=proxy.url, api_key={"BearerToken": "Bearer wrong"}))

    proxy.fault(faults.refuse(401, "Unauthorized"))
    async with opened(load) as connection:
        with pytest.raises(Refused, match="401"):
            await connection.get(INGRESSES, {}, deadline=2)
    assert len(loads) == 2
    assert len(proxy.requests) == 2


# ------------------------------------------------------------------ kubeconfigs


def kubeconfig(directory: Path, server: str, user: dict[str, Any], **cluster: Any) -> Path:
    """A kubeconfig with two contexts, of which `used` is not the current one."""
    path = directory / "config"
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "other",
        "clusters": [{"name": "here", "cluster": {"server": server, **cluster}},
                     {"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "used", "context": {"cluster": "here", "user": "me"}},
                     {"name": "other", "context": {"cluster": "nowhere", "user": "me"}}],
    }))  # fmt: skip
    return path


async def listed(access: Access) -> list[Any]:
    """The Ingresses that somebody with this access sees."""
    async with opened(lambda: access) as connection:
        return list(json.loads(await connection.get(INGRESSES, {}, deadline=5))["items"])


async def test_contexts_and_tokens(proxy: FaultProxy, client: Client, tmp_path: Path) -> None:
    client.create(objects.ingress("one"))
    config = kubeconfig(tmp_path, proxy.url, {"token": "mine"})
    assert len(await listed(load_access(str(config), "used"))) == 1
    assert proxy.requests[0].headers["authorization"] == "Bearer mine"
    with pytest.raises(Unreachable):
        await listed(load_access(str(config)))


async def test_client_certificates(server: ApiServer, client: Client, tmp_path: Path) -> None:
    client.create(objects.ingress("one"))
    ca = trustme.CA()
    mine = ca.issue_cert("me@gen.test")
    mine.private_key_pem.write_to_path(tmp_path / "key")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert")
    ca.cert_pem.write_to_path(tmp_path / "ca")
    context = serving(ca)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with FaultProxy(server.upstream, context) as proxy:
        user = {"client-certificate": "cert", "client-key": "key"}
        config = kubeconfig(tmp_path, proxy.url, user, **{"certificate-authority": "ca"})
        assert len(await listed(load_access(str(config), "used"))) == 1
        stranger = kubeconfig(tmp_path, proxy.url, {}, **{"certificate-authority": "ca"})
        with pytest.raises(Unreachable):
            await listed(load_access(str(stranger), "used"))


async def test_plugins_are_run_again_when_their_token_is_refused(
    proxy: FaultProxy, client: Client, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\n"
        f"echo x >> {tmp_path}/runs\n"
        f"token=$(wc -l < {tmp_path}/runs)\n"
        'echo "{\\"apiVersion\\": \\"client.authentication.k8s.io/v1\\", \\"kind\\": \\"ExecCredential\\",'
        ' \\"status\\": {\\"token\\": \\"run-$token\\"}}"\n'
    )
    plugin.chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    user = {"exec": {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}}
    config = kubeconfig(tmp_path, proxy.url, user)
    proxy.fault(faults.refuse(401, "Unauthorized"), when=only("run-2"))
    async with opened(lambda: load_access(str(config), "used")) as connection:
        for _ in range(3):
            await connection.get(INGRESSES, {}, deadline=5)
    assert (tmp_path / "runs").read_text() == "x\n" * 2


async def test_a_proxy_on_the_way(proxy: FaultProxy, client: Client, tmp_path: Path) -> None:
    client.create(objects.ingress("one"))
    config = kubeconfig(tmp_path, "http://api.test:6443", {}, **{"proxy-url": proxy.url})
    assert len(await listed(load_access(str(config), "used"))) == 1


@pytest.mark.parametrize("text", ["", "{", "a: [", "clusters: 7", "current-context: x", "- 1"])
def test_kubeconfigs_that_are_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(InputError, match="no access to a cluster"):
        load_access(str(path))


def test_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no access to a cluster"):
        load_access(str(tmp_path / "none"))


# ------------------------------------------------------------------ transport


async def test_large_lists_travel_packed(proxy: FaultProxy, client: Client) -> None:
    packed: list[str | None] = []

    def noted(exchange: Exchange) -> None:
        with exchange.asked(**{"accept-encoding": exchange.request.headers["accept-encoding"]}) as response:
            packed.append(response.getheader("Content-Encoding"))
        forward(exchange)

    client.create(objects.config_map("large", text="x" * 200_000))
    proxy.fault(noted)
    from kubernetes.client import Configuration

    async with opened(lambda: Access(Configuration(host=proxy.url))) as connection:
        body = json.loads(await connection.get("/api/v1/configmaps", {}, deadline=5))
    assert packed == ["gzip"]
    assert any(len((item.get("data") or {}).get("text", "")) == 200_000 for item in body["items"])


def test_kubernetes_is_imported_only_for_an_access() -> None:
    code = "import sys, gen.sources.cluster; print('kubernetes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
