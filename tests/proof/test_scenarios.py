"""The 30 scenarios of the official ingress-controller-conformance suite, on every proxy, from files.

Source: github.com/kubernetes-sigs/ingress-controller-conformance, features/*.feature.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from msgspec import Struct

from tests.live.certificates import authority, secret
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.gen import GEN, GenRun
from tests.live.manifests import Manifest, backend, endpoint_slice, ingress, path, service
from tests.live.net import HTTPS_PORT
from tests.live.proxies import BACKENDS
from tests.live.stand_in import StandIns

NAMESPACE = "conformance"
SERVICES = (
    *("echo-service", "wildcard-foo-com", "foo-bar-com", "foo-exact", "foo-prefix", "foo-slash-exact"),
    *("aaa-slash-bbb-prefix", "aaa-prefix", "aaa-slash-bbb-slash-prefix"),
)
HOST_RULES = {"*.foo.com": [path("/", "wildcard-foo-com", 8080)], "foo.bar.com": [path("/", "foo-bar-com", "http")]}
PATH_RULES = {
    "exact-path-rules": [path("/foo", "foo-exact", 8080, kind="Exact")],
    "prefix-path-rules": [
        path("/foo", "foo-prefix", 8080),
        path("/aaa/bbb", "aaa-slash-bbb-prefix", 8080),
        path("/aaa", "aaa-prefix", 8080),
    ],
    "mixed-path-rules": [path("/foo", "foo-prefix", 8080), path("/foo", "foo-exact", 8080, kind="Exact")],
    "trailing-slash-path-rules": [
        path("/aaa/bbb/", "aaa-slash-bbb-slash-prefix", 8080),
        path("/foo/", "foo-slash-exact", 8080, kind="Exact"),
    ],
}
CLASS_RULES = {"class.example": [path("/", "echo-service", 8080)]}
TEN = [f"192.0.2.{number}" for number in range(101, 111)]
FEATURES: Mapping[str, list[Manifest]] = {
    "default backend": [ingress("default", NAMESPACE, {}, default=backend("echo-service", 8080))],
    "host rules": [ingress("hosts", NAMESPACE, HOST_RULES, tls={"conformance-tls": ["foo.bar.com"]})],
    "path rules": [ingress("paths", NAMESPACE, PATH_RULES)],
    "ingress class": [ingress("other", NAMESPACE, CLASS_RULES, class_name="some-invalid-class-name")],
    "load balancing": [
        ingress("load", NAMESPACE, {}, default=backend("load", 8080)),
        service("load", NAMESPACE, port=8080),
        endpoint_slice("load", NAMESPACE, TEN),
    ],
}


class Scenario(Struct, frozen=True):
    """A request and the Service that answers it; None means 404."""

    number: int
    feature: str
    method: str
    url: str
    service: str | None


SCENARIOS = (
    Scenario(1, "default backend", "GET", "http://my-host/", "echo-service"),
    Scenario(2, "default backend", "GET", "http://my-host/sub-path", "echo-service"),
    Scenario(3, "default backend", "POST", "http://some-host/", "echo-service"),
    Scenario(4, "default backend", "PUT", "http://192.0.2.1/resource", "echo-service"),
    Scenario(5, "default backend", "DELETE", "http://some-host/resource", "echo-service"),
    Scenario(6, "default backend", "PATCH", "http://my-host/resource", "echo-service"),
    Scenario(7, "host rules", "GET", "https://foo.bar.com/", "foo-bar-com"),
    Scenario(8, "host rules", "GET", "http://foo.bar.com/", "foo-bar-com"),
    Scenario(9, "host rules", "GET", "http://subdomain.bar.com/", None),
    Scenario(10, "host rules", "GET", "http://bar.foo.com/", "wildcard-foo-com"),
    Scenario(11, "host rules", "GET", "http://baz.bar.foo.com/", None),
    Scenario(12, "host rules", "GET", "http://foo.com/", None),
    Scenario(15, "path rules", "GET", "http://exact-path-rules/foo", "foo-exact"),
    Scenario(16, "path rules", "GET", "http://exact-path-rules/foo/", None),
    Scenario(17, "path rules", "GET", "http://exact-path-rules/FOO", None),
    Scenario(18, "path rules", "GET", "http://exact-path-rules/bar", None),
    Scenario(19, "path rules", "GET", "http://prefix-path-rules/foo", "foo-prefix"),
    Scenario(20, "path rules", "GET", "http://prefix-path-rules/foo/", "foo-prefix"),
    Scenario(21, "path rules", "GET", "http://prefix-path-rules/FOO", None),
    Scenario(22, "path rules", "GET", "http://prefix-path-rules/aaa/bbb", "aaa-slash-bbb-prefix"),
    Scenario(23, "path rules", "GET", "http://prefix-path-rules/aaa/bbb/ccc", "aaa-slash-bbb-prefix"),
    Scenario(24, "path rules", "GET", "http://prefix-path-rules/aaa/ccc", "aaa-prefix"),
    Scenario(25, "path rules", "GET", "http://prefix-path-rules/aaaccc", None),
    Scenario(26, "path rules", "GET", "http://prefix-path-rules/foo/", "foo-prefix"),
    Scenario(27, "path rules", "GET", "http://mixed-path-rules/foo", "foo-exact"),
    Scenario(28, "path rules", "GET", "http://trailing-slash-path-rules/aaa/bbb", "aaa-slash-bbb-slash-prefix"),
    Scenario(29, "path rules", "GET", "http://trailing-slash-path-rules/aaa/bbb/", "aaa-slash-bbb-slash-prefix"),
    Scenario(30, "path rules", "GET", "http://trailing-slash-path-rules/foo", None),
)

Live = Callable[[str, str], GenRun]


def upstreams() -> list[Manifest]:
    """All Services of the suite, each with one endpoint."""
    return [
        item
        for number, name in enumerate(SERVICES, 1)
        for item in (
            service(name, NAMESPACE, port=8080),
            endpoint_slice(name, NAMESPACE, [f"192.0.2.{number}"]),
        )
    ]


@pytest.fixture(scope="module")
def live(shared_gen: Callable[[str], GenRun], echo: EchoNet) -> Live:
    """A proxy on which a feature's Ingress is live."""
    current: dict[str, str] = {}
    stand_ins = StandIns(echo)
    objects = [secret("conformance-tls", NAMESPACE, "foo.bar.com"), *upstreams()]

    def of(backend: str, feature: str) -> GenRun:
        gen = shared_gen(backend)
        if current.get(backend) != feature:
            gen.apply(stand_ins.localise([*objects, *FEATURES[feature]]))
            current[backend] = feature
        return gen

    return of


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: f"{one.number}-{one.method}-{one.url}")
@pytest.mark.parametrize("backend", BACKENDS)
def test_scenario(backend: str, scenario: Scenario, live: Live) -> None:
    scheme, _, rest = scenario.url.partition("://")
    host, _, target = rest.partition("/")
    request = Request(host, f"/{target}", scenario.method, scheme)
    reply = live(backend, scenario.feature).send(request)
    assert reply.status == (404 if scenario.service is None else 200)
    if scenario.service is None:
        assert reply.seen is None
        return
    seen = reply.seen
    assert seen
    assert seen.service == f"{NAMESPACE}/{scenario.service}"
    assert (seen.method, seen.target, seen.version) == (scenario.method, f"/{target}", "HTTP/1.1")
    assert (seen.value("host"), seen.value("user-agent")) == (host, "gen-tests")
    assert reply.version == "HTTP/1.1"
    assert {"content-length", "content-type", "date", "server"} <= {name for name, _ in reply.headers}


@pytest.mark.parametrize("backend", BACKENDS)
def test_scenario_7_certificate_verifies(backend: str, live: Live) -> None:
    gen = live(backend, "host rules")
    context = ssl.create_default_context()
    authority().configure_trust(context)
    with socket.create_connection((gen.address, HTTPS_PORT), 10) as plain:
        context.wrap_socket(plain, server_hostname="foo.bar.com").close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_scenario_13_unknown_class(backend: str, live: Live, tmp_path: Path) -> None:
    """Without a status, as from files, the Ingress is not served and a check says why."""
    assert live(backend, "ingress class").get("http://class.example/").status == 404
    (tmp_path / "in.json").write_text(json.dumps(FEATURES["ingress class"][0]))
    checked = subprocess.run([GEN, "check", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
    assert "some-invalid-class-name" in checked.stdout


@pytest.mark.parametrize("backend", BACKENDS)
def test_scenario_14_load_balancing(backend: str, live: Live) -> None:
    """100 requests, all answered, reach all 10 endpoints."""
    gen = live(backend, "load balancing")
    replies = [gen.get("http://load-balancing/") for _ in range(100)]
    assert {reply.status for reply in replies} == {200}
    assert len({reply.seen.instance for reply in replies if reply.seen}) == len(TEN)
