"""A real API server takes the overlays, where KUBEBUILDER_ASSETS names one; else the schema has to do."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.apiserver import TOKEN, assets, real_servers
from tests.cluster.client import Client
from tests.cluster.running import kubeconfig
from tests.deploy.overlays import OVERLAYS, overlay, pod_of
from tests.live.manifests import Manifest, manifest

NAMESPACE = "ingress-gen"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
Apply = Callable[[list[Manifest]], str]


@pytest.fixture(scope="module")
def apply(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apply]:
    """Lets the API server judge objects without keeping them; gives what is wrong."""
    binaries = assets()
    if not binaries:
        pytest.skip("KUBEBUILDER_ASSETS is not set: the overlays were held against the schema alone")
    folder = tmp_path_factory.mktemp("servers")
    with real_servers(binaries, folder) as servers:
        namespace = manifest("v1", "Namespace", NAMESPACE)
        namespace["metadata"]["labels"] = RESTRICTED
        Client(servers.upstream).create(namespace)
        config = kubeconfig(servers.upstream.url)
        config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
        config["users"][0]["user"]["token"] = TOKEN
        file = folder / "kubeconfig"
        file.write_text(json.dumps(config))

        def judge(objects: list[Manifest]) -> str:
            command = ["kubectl", "--kubeconfig", str(file), "apply", "--dry-run=server", "-f", "-"]
            listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
            done = subprocess.run(command, input=listed, capture_output=True, text=True, check=False, timeout=120)
            return done.stderr if done.returncode else ""

        yield judge


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_api_server_takes_an_overlay(name: str, apply: Apply) -> None:
    assert apply(list(overlay(name))) == ""


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_may_be_where_only_restricted_ones_may(name: str, apply: Apply) -> None:
    said = apply([manifest("v1", "Pod", "one", NAMESPACE, spec=pod_of(overlay(name)))])
    if pod_of(overlay(name)).get("hostNetwork"):
        assert re.search(r'"restricted:latest": host namespaces \(hostNetwork=true\), hostPort \([^()]*\)\s*$', said)
    else:
        assert said == ""


def test_the_api_server_can_refuse(apply: Apply) -> None:
    (broken,) = (item for item in overlay("nginx") if item["kind"] == "Deployment")
    assert "replica" in apply([{**broken, "spec": {**broken["spec"], "replica": 1}}])
