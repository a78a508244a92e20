"""One API server for all tests here: the real one where KUBEBUILDER_ASSETS names it, else the fake one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from gen.sources.cluster import ClusterSource
from gen.sources.kube.access import Access
from gen.sources.kube.connection import Connection
from gen.sources.kube.selection import Scope
from gen.sources.kube.timing import Timing
from tests.cluster import objects
from tests.cluster.apiserver import ApiServer, Real, assets, fake_server, real_servers
from tests.cluster.client import ApiError, Client
from tests.cluster.follower import Follower
from tests.cluster.proxy import FaultProxy

UNPROCESSABLE = 422
QUICK = Timing(
    first=0.01, limit=0.05, page=2.0, whole=2.0, watch=60.0, silence=5.0, shortest=0.05, quiet=0.01,
    patience=0.05, reread=0.2,
)  # fmt: skip
KINDS = ("Ingress", "IngressClass", "Service", "EndpointSlice", "Secret", "ConfigMap", "Namespace")


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real | None]:
    """The real servers, if there are any."""
    binaries = assets()
    if binaries is None:
        assert "KUBEBUILDER_ASSETS" not in os.environ, (
            "KUBEBUILDER_ASSETS names no directory with etcd and kube-apiserver"
        )
        yield None
        return
    with real_servers(binaries, tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture
def server(real: Real | None) -> Iterator[ApiServer]:
    """An API server with nothing in it but a namespace."""
    if real is None:
        with fake_server() as fake:
            Client(fake.upstream).create(objects.namespace())
            yield fake
    else:
        with suppress(ApiError):
            Client(real.upstream).create(objects.namespace())
        yield real
        real.clear()


@pytest.fixture
def client(server: ApiServer) -> Client:
    """The administrator."""
    return Client(server.upstream)


@pytest.fixture
def watch_lists(client: Client) -> None:
    """A test about watches that begin with everything: there are such from Kubernetes 1.32 on."""
    whole = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    (first,) = client.watch(objects.ingress(""), 1, **whole)
    if first.get("code") == UNPROCESSABLE:
        pytest.skip("this API server has no watch-lists")


@pytest.fixture
def proxy(server: ApiServer) -> Iterator[FaultProxy]:
    """What stands between gen and the API server."""
    with FaultProxy(server.upstream) as proxy:
        yield proxy


class Follow:
    """Makes followers of new sources behind a fault proxy."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(
        self,
        *kinds: str,
        scope: Scope | None = None,
        timing: Timing = QUICK,
        clock: Callable[[], float] = time.monotonic,
    ) -> Follower:
        """One that looks at some kinds in the namespace of the tests, unless a whole scope is given."""
        scope = scope or Scope(kinds=kinds or KINDS, namespaces=(objects.NAMESPACE,))
        failures: list[tuple[str, float]] = []

        def observe(said: str, delay: float) -> None:
            failures.append((said, delay))

        source = ClusterSource(connection_to(self._url), scope, timing=timing, clock=clock, observe=observe)
        return Follower(source, failures)


@pytest.fixture
def follow(proxy: FaultProxy) -> Follow:
    """Makes followers."""
    return Follow(proxy.url)


def connection_to(url: str) -> Connection:
    """A connection without credentials."""
    from kubernetes.client import Configuration

    return Connection(lambda: Access(Configuration(host=url)), answer_within=2.0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which API server the tests ran against."""
    which = "etcd and kube-apiserver" if assets() else "the fake API server (KUBEBUILDER_ASSETS is not set)"
    terminalreporter.write_line(f"tests/cluster ran against {which}")
