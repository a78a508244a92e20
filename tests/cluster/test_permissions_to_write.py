"""The same as test_permissions.py for what gen writes: with the real command, for as long as each permission needs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster import faults, objects
from tests.cluster.authority import forbidden, grants, unused
from tests.cluster.client import Client
from tests.cluster.proxy import FaultProxy
from tests.cluster.running import ClusterRun
from tests.cluster.test_permissions import printed
from tests.cluster.test_run import told
from tests.live.echo import EchoNet
from tests.live.gen import NotLiveError
from tests.live.manifests import manifest
from tests.live.proxies import need_proxy


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The namespace of this gen's pod."""
    monkeypatch.setenv("POD_NAMESPACE", "shop")


def addressed(client: Client) -> list[objects.Json]:
    """A Service and a node at which clients could reach a proxy; only the namespaced one goes with the test."""
    front, node = objects.service("front"), manifest("v1", "Node", "one")
    front["spec"]["type"] = "LoadBalancer"
    node["metadata"]["labels"] = {"a": "b"}
    node_status = {
        "addresses": [{"type": "ExternalIP", "address": "192.0.2.3"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    client.create(front)
    client.merge(front, {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}}}, "status")
    client.create(node)
    client.merge(node, {"status": node_status}, "status")
    return [node]


@pytest.mark.parametrize(
    "flags",
    [
        ("--publish-status-address=192.0.2.1", "--events"),
        ("--publish-service=shop/front", "--watch-namespace=shop", "--disable-ingress-class-lookup", "--secrets=get"),
        ("--publish-service=shop/front", "--watch-namespace=default", "--disable-leader-election"),
        ("--publish-node-selector=a=b", "--disable-leader-election"),
        ("--publish-status-address=192.0.2.1", "--status=observe"),
        ("--events", "--watch-namespace=shop", "--election-id=mine"),
    ],
    ids=" ".join,
)
def test_what_is_written_is_allowed_and_every_permission_is_used(
    flags: tuple[str, ...], proxy: FaultProxy, client: Client, tmp_path: Path, echo: EchoNet
) -> None:
    need_proxy("nginx")
    given = grants(printed(*flags))
    refused = proxy.fault(faults.refuse(403, "Forbidden"), when=lambda request: forbidden(request, given))
    ours = [objects.ingress_class("gen"), *addressed(client)]
    parameters = {"kind": "ConfigMap", "scope": "Namespace", "namespace": "shop", "name": "parameters"}
    client.create(ours[0] | {"spec": ours[0]["spec"] | {"parameters": parameters}})
    client.create(objects.service("web"))
    for namespace in ("shop", "default"):
        item = objects.ingress("one", host=f"{namespace}.test", secret="cert", namespace=namespace)
        item["metadata"]["annotations"] = {"nginx.ingress.kubernetes.io/custom-headers": "headers"}
        client.create(item)
    try:
        with ClusterRun("nginx", tmp_path / "run", echo, proxy.url, *flags) as run:
            run.start()
            if "--events" in flags:
                tell_twice(run, client)
            with suppress(NotLiveError):
                run.wait("use every permission", lambda: not unused(given, proxy.requests), 30)
            assert unused(given, proxy.requests) == set(), run.tail()
    finally:
        for item in (*ours, objects.ingress("one", namespace="default")):
            client.delete(item)
    assert [request for request in proxy.requests if forbidden(request, given)] == []
    assert refused.taken == 0


def tell_twice(run: ClusterRun, client: Client) -> None:
    """Let a verdict come again, which makes a series of its Event."""
    wrong, right = objects.ingress("two", service="nobody"), objects.ingress("two")
    client.create(wrong)
    run.wait("refuse it", lambda: ("two", "Rejected") in told(client), 20)
    client.replace(right)
    run.wait("take it", lambda: ("two", "Accepted") in told(client), 20)
    client.replace(wrong)
