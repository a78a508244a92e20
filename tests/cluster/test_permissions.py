"""What `gen rbac` prints is what gen asks for: no request is refused by it, and nothing in it goes unused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gen.cli.cluster import scope_of
from gen.cli.flags import Flags
from gen.cli.rbac import COMMAND
from gen.cli.settings import options_of, settings_of
from gen.sources.cluster import ClusterSource
from gen.translate.references import references
from tests.cli.test_commands import gen
from tests.cluster import faults, objects
from tests.cluster.authority import Grant, asked_by, forbidden, grants, unused
from tests.cluster.client import Client
from tests.cluster.conftest import QUICK, connection_to
from tests.cluster.follower import Follower, until
from tests.cluster.objects import Json
from tests.cluster.proxy import FaultProxy, Request

NAMED = ("--configmap=shop/settings", "--default-backend-service=shop/web", "--default-ssl-certificate=shop/spare")


def printed(*flags: str | Path) -> list[Json]:
    """The objects that `gen rbac` prints."""
    done = gen("rbac", "--service-account=shop/gen", *flags)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def source(url: str, *arguments: str) -> ClusterSource:
    """The source of a `gen run` with these flags."""
    given = {name: value for name, value in COMMAND.make_context("rbac", list(arguments)).params.items() if value}
    flags = Flags(**given)
    settings = settings_of(flags, options_of(flags), own_namespace="shop")
    scope = scope_of(flags, settings)
    return ClusterSource(connection_to(url), scope, references=references(settings), timing=QUICK)


@pytest.fixture(autouse=True)
def _things(client: Client) -> Iterator[None]:
    """Objects in two namespaces; some refer to others, also beyond their own namespace."""
    near, far = objects.ingress("two", secret="other"), objects.ingress("three", secret="third", namespace="default")
    for item in (objects.ingress("one", secret="cert"), near, far):
        item["metadata"] |= {"labels": {"app": "web"}, "annotations": {
            "nginx.ingress.kubernetes.io/auth-secret": "shop/users",
            "nginx.ingress.kubernetes.io/custom-headers": "headers",
        }}  # fmt: skip
        client.create(item)
    client.create(objects.config_map("settings", **{"add-headers": "shop/more"}))
    ours = objects.ingress_class("gen")
    ours["spec"]["parameters"] = {"kind": "ConfigMap", "scope": "Namespace", "namespace": "shop", "name": "parameters"}
    client.create(ours)
    yield
    client.delete(far)
    client.delete(ours)


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--secrets=get",),
        ("--watch-namespace=shop",),
        ("--watch-namespace=default", "--secrets=get", "--disable-ingress-class-lookup"),
        ("--watch-namespace=shop,default", "--secrets=get"),
        ("--watch-namespace-selector=team=a", "-l", "app=web"),
        NAMED,
        (*NAMED, "--secrets=get"),
        (*NAMED, "--watch-namespace=default"),
        (*NAMED, "--watch-namespace=default", "--secrets=get"),
    ],
    ids=" ".join,
)
async def test_every_request_is_allowed_and_every_permission_is_used(flags: tuple[str, ...], proxy: FaultProxy) -> None:
    given = grants(printed(*flags))
    refused = proxy.fault(faults.refuse(403, "Forbidden"), when=lambda request: forbidden(request, given))
    async with Follower(source(proxy.url, *flags), []) as seen:
        first = await seen.first()
        await until(lambda: not unused(given, proxy.requests))
        assert not [issue for issue in first.issues if issue.code == "Forbidden"]
    assert [request for request in proxy.requests if forbidden(request, given)] == []
    assert refused.taken == 0


async def test_named_for_manifests_it_allows_what_those_refer_to(
    proxy: FaultProxy, client: Client, tmp_path: Path
) -> None:
    networking = "/apis/networking.k8s.io/v1"
    listed = [
        ("Ingress", client.call("GET", f"{networking}/ingresses")["items"]),
        ("IngressClass", client.call("GET", f"{networking}/ingressclasses")["items"]),
        ("ConfigMap", client.call("GET", "/api/v1/configmaps")["items"]),
    ]
    manifests = [
        {**item, "apiVersion": "v1" if kind == "ConfigMap" else "networking.k8s.io/v1", "kind": kind}
        for kind, items in listed
        for item in items
    ]
    file = tmp_path / "all.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
    given = grants(printed("--for", "-f", file, *NAMED))
    named = {(grant.resource, grant.namespace, grant.name) for grant in given if grant.verb == "get"}
    assert named == {
        *(("secrets", "shop", name) for name in ("cert", "other", "users", "spare")),
        ("secrets", "default", "third"),
        *(("configmaps", "shop", name) for name in ("headers", "more", "parameters")),
        ("configmaps", "default", "headers"),
    }
    refused = proxy.fault(faults.refuse(403, "Forbidden"), when=lambda request: forbidden(request, given))
    async with Follower(source(proxy.url, *NAMED, "--secrets=get"), []) as seen:
        await seen.first()
        await until(lambda: not unused(given, proxy.requests))
    assert refused.taken == 0
    flags = ("--watch-namespace=default", "--service-account=default/gen")
    narrow = grants(printed("--for", "-f", file, *flags))
    assert {grant.namespace for grant in narrow if grant.name} == {"default"}


async def test_what_is_referred_to_beyond_the_namespaces_is_not_asked_for(proxy: FaultProxy) -> None:
    async with Follower(source(proxy.url, "--watch-namespace=default", "--secrets=get"), []) as seen:
        await seen.first()
    paths = {request.path for request in proxy.requests}
    assert "/api/v1/namespaces/default/secrets/third" in paths
    assert {path for path in paths if "/shop/" in path} == {"/api/v1/namespaces/shop/configmaps/parameters"}


def test_the_judge_can_refuse() -> None:
    role = {"metadata": {"namespace": "shop"}, "rules": [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["cert"], "verbs": ["get"]},
    ]}  # fmt: skip
    given = grants([role])
    ask = "/api/v1/namespaces/{}/{}".format
    allowed = Request("GET", ask("shop", "secrets/cert"), {}, {})
    assert asked_by(allowed) == given == {Grant("shop", "", "secrets", "get", "cert")}
    assert not forbidden(allowed, given)
    assert unused(given, []) == given
    for method, path, query in (
        ("GET", ask("shop", "secrets/other"), {}),
        ("GET", ask("shop", "secrets"), {"fieldSelector": "metadata.name=cert"}),
        ("GET", ask("shop", "secrets"), {}),
        ("GET", "/api/v1/secrets", {}),
        ("GET", ask("default", "secrets/cert"), {}),
        ("GET", ask("shop", "configmaps/cert"), {}),
        ("GET", "/apis/networking.k8s.io/v1/namespaces/shop/secrets/cert", {}),
        ("PUT", ask("shop", "secrets/cert"), {}),
        ("GET", ask("shop", "secrets/cert/status"), {}),
    ):
        assert forbidden(Request(method, path, query, {}), given), path


def test_roles_are_bound_to_the_account_that_is_named() -> None:
    found = printed("--watch-namespace=shop", "--service-account=infra/proxy", "--name=edge")
    assert [(item["kind"], item["metadata"]) for item in found] == [
        ("ClusterRole", {"name": "edge"}),
        ("ClusterRoleBinding", {"name": "edge"}),
        *(
            (kind, {"name": "edge", "namespace": name})
            for name in ("infra", "shop")
            for kind in ("Role", "RoleBinding")
        ),
    ]
    bindings = [item for item in found if "roleRef" in item]
    account = [{"kind": "ServiceAccount", "namespace": "infra", "name": "proxy"}]
    assert all(item["subjects"] == account and item["roleRef"]["name"] == "edge" for item in bindings)


def test_nothing_beyond_reading_is_asked_for_without_a_reason() -> None:
    given = grants(printed())
    assert {grant.verb for grant in given} == {"get", "list", "watch"}
    assert {grant.resource for grant in given} == {
        "ingresses", "ingressclasses", "services", "endpointslices", "secrets", "configmaps",
    }  # fmt: skip


@pytest.mark.parametrize("flags", [("--for",), ("-f", "x")])
def test_manifests_and_for_go_together(flags: tuple[str, ...]) -> None:
    done = gen("rbac", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--for -f DIR" in done.stderr
