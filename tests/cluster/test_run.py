"""`gen run` on an API server with a real proxy: what the cluster says is what a client gets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.cluster import faults, objects
from tests.cluster.client import Client
from tests.cluster.proxy import FaultProxy
from tests.cluster.running import ClusterRun
from tests.live.echo import EchoNet
from tests.live.manifests import tls_secret
from tests.live.proxies import BACKENDS, need_proxy

Start = Callable[..., ClusterRun]


@pytest.fixture
def gen(tmp_path: Path, echo: EchoNet, proxy: FaultProxy, client: Client) -> Iterator[Start]:
    """Makes a `gen run` on a cluster with a class and a Service; at its end nothing may be left."""
    runs: list[ClusterRun] = []

    def make(backend: str, *flags: str) -> ClusterRun:
        need_proxy(backend)
        run = ClusterRun(backend, tmp_path / ("run" if not runs else f"run-{len(runs)}"), echo, proxy.url, *flags)
        run.__enter__()
        if not runs:
            client.create(objects.ingress_class("gen"))
            client.create(run.outside("web"))
        runs.append(run)
        return run

    yield make
    for run in runs:
        run.__exit__()


@pytest.mark.parametrize("backend", BACKENDS)
def test_row_02_an_outage_changes_nothing_and_what_came_meanwhile_comes_after_it(
    backend: str, gen: Start, proxy: FaultProxy, client: Client
) -> None:
    run = gen(backend)
    client.create(objects.ingress("one", port=8080))
    run.start()
    run.serves("one.test", "shop/web")
    live = run.generations()
    proxy.down()
    client.create(objects.ingress("two", port=8080))
    client.delete(objects.ingress("one"))
    run.wait("notice it", lambda: "the source failed" in run.log.read_text(), 10)
    assert run.is_ready()
    assert run.get("http://one.test/").service == "shop/web"
    assert run.generations() == live
    assert metric(run, 'gen_source_staleness_seconds{kind="Ingress"}') > 0
    proxy.up()
    run.serves("two.test", "shop/web")
    run.refuses("one.test")


def test_row_01_without_an_api_server_the_last_configuration_serves(
    gen: Start, proxy: FaultProxy, client: Client
) -> None:
    run = gen("nginx")
    client.create(objects.ingress("one", port=8080))
    run.start()
    run.serves("one.test", "shop/web")
    run.stop()
    live = run.generations()
    proxy.down()
    run.start(ready=False)
    run.serves("one.test", "shop/web")
    run.wait("notice it", lambda: "the source failed" in run.log.read_text(), 10)
    assert run.admin("/readyz").status == 503
    assert run.generations() == live
    proxy.up()
    run.wait("be ready", run.is_ready, 15)
    assert run.generations() == live


def test_row_10_a_cluster_that_is_suddenly_empty_at_the_start_is_not_believed_at_once(
    gen: Start, client: Client
) -> None:
    run = gen("nginx")
    client.create(objects.ingress("one", port=8080))
    run.start()
    run.serves("one.test", "shop/web")
    run.stop()
    client.delete(objects.ingress("one"))
    run.start(ready=False)
    run.wait("hold", lambda: "no host is left" in run.log.read_text(), 20)
    assert run.get("http://one.test/").service == "shop/web"
    client.create(objects.ingress("two", port=8080))
    run.serves("two.test", "shop/web")
    run.refuses("one.test")


def test_row_09_nothing_is_rendered_before_every_kind_is_known(gen: Start, proxy: FaultProxy, client: Client) -> None:
    run = gen("nginx")
    client.create(objects.ingress("one", port=8080))
    released = threading.Event()
    held = proxy.fault(faults.hold(released), "endpointslices")
    run.start(ready=False)
    run.wait("ask for all kinds", lambda: held.taken > 0 and asked(proxy) >= {"ingresses", "services", "secrets"}, 20)
    assert run.admin("/readyz").status == 503
    assert not run.generations()
    released.set()
    run.serves("one.test", "shop/web")


def test_only_what_the_flags_need_is_asked_for(gen: Start, proxy: FaultProxy, client: Client) -> None:
    run = gen("nginx", "--watch-namespace", "shop", "--secrets", "get", "--disable-ingress-class-lookup")
    client.create(objects.ingress("one", port=8080, secret="cert"))
    client.create(objects.ingress("other", port=8080, namespace="default"))
    run.start()
    run.serves("one.test", "shop/web")
    run.refuses("other.test")
    inside = "/namespaces/shop/"
    assert {request.path.partition(inside)[2] or request.path for request in proxy.requests} == {
        "ingresses", "services", "endpointslices", "secrets/cert",
    }  # fmt: skip


def test_the_parameters_of_the_class_are_read_by_their_names(gen: Start, client: Client) -> None:
    run = gen("nginx")
    points_at = {"kind": "ConfigMap", "name": "class", "scope": "Namespace", "namespace": "shop"}
    client.merge(objects.ingress_class("gen"), {"spec": {"parameters": points_at}})
    client.create(objects.config_map("class", **{"add-headers": "headers"}))
    client.create(objects.config_map("headers", **{"X-Class": "gen"}))
    client.create(objects.ingress("one", port=8080))
    run.start()
    run.serves("one.test", "shop/web")
    assert run.get("http://one.test/").value("x-class") == "gen"


def test_row_30_replicas_render_the_same_bytes(gen: Start, client: Client, tmp_path: Path) -> None:
    (tmp_path / "sockets").mkdir(mode=0o700)
    run = gen("nginx", "--default-ssl-certificate", "shop/tls", "--runtime-dir", str(tmp_path / "sockets"))
    pair = trustme.CA().issue_cert("one.test")
    client.create(tls_secret("tls", "shop", pair.cert_chain_pems[0].bytes(), pair.private_key_pem.bytes()))
    client.create(objects.ingress("one", port=8080, secret="tls"))
    digests = []
    for state in ("first", "second"):
        run.state = tmp_path / "run" / state
        run.start()
        run.serves("one.test", "shop/web")
        run.stop()
        digests.append((run.state / "accepted").readlink())
    assert digests[0] == digests[1]


def test_of_several_replicas_one_writes(
    gen: Start, client: Client, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "shop")
    flags = ("--publish-status-address", "192.0.2.1", "--events")
    first, second = gen("nginx", *flags), gen("nginx", *flags)
    second.names.records = first.names.records
    client.create(objects.ingress("one", port=8080))
    wrong = objects.ingress("wrong", port=8080)
    wrong["metadata"]["annotations"] = {"nginx.ingress.kubernetes.io/proxy-read-timeout": "soon"}
    client.create(wrong)
    theirs = objects.ingress("theirs", port=8080)
    theirs["spec"]["ingressClassName"] = "other"
    client.create(theirs)
    for run in (first, second):
        run.start()
    first.wait("write the status", lambda: addresses(client, "one") == ["192.0.2.1"], 20)
    (leader,) = [run for run in (first, second) if metric(run, "gen_leader_election_status")]
    client.create(objects.ingress("two", port=8080))
    leader.wait("tell of it", lambda: ("two", "Accepted") in told(client), 20)
    leader.wait("write the status", lambda: addresses(client, "two") == ["192.0.2.1"], 20)
    assert [(addresses(client, name)) for name in ("wrong", "theirs")] == [[], []]
    assert told(client) == {("two", "Accepted"), ("wrong", "Rejected")}
    other = second if leader is first else first
    leader.stop()
    other.wait("take over", lambda: metric(other, "gen_leader_election_status") == 1, 10)
    assert addresses(client, "one") == ["192.0.2.1"]
    assert {request.resource for request in proxy.requests if request.method != "GET"} == {
        "leases", "ingresses", "events",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "status", "words"),
    [("", 3, "kubeconfig: "), ("{}", 3, "kubeconfig: "), ("a: [", 3, "kubeconfig: ")],
)
def test_a_wrong_kubeconfig_ends_it_with_a_clear_message(
    gen: Start, tmp_path: Path, config: str, status: int, words: str
) -> None:
    run = gen("nginx")
    run.kubeconfig.unlink()
    if config:
        run.kubeconfig.write_text(config)
    run.start(ready=False)
    process, run.process = run.process, None
    assert process
    assert process.wait(20) == status
    last = run.log.read_text().splitlines()[-1]
    assert last.startswith("gen: ")
    assert words in last


def asked(proxy: FaultProxy) -> set[str]:
    """The resources that were asked for."""
    return {request.resource for request in proxy.requests}


def addresses(client: Client, name: str) -> list[str]:
    """The addresses in the status of an Ingress."""
    found = client.get(objects.ingress(name)).get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return [each["ip"] for each in found]


def told(client: Client) -> set[tuple[str, str]]:
    """The Events, each as the Ingress and the reason."""
    listed = client.listing({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"namespace": "shop"}})
    return {(item["regarding"]["name"], item["reason"]) for item in listed["items"]}


def metric(run: ClusterRun, name: str) -> float:
    """The value of a metric."""
    lines = run.admin("/metrics").body.decode().splitlines()
    (value,) = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")]
    return float(value)
