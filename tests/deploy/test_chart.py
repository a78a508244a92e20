"""The Helm chart makes what the overlays are, permits what gen asks for, and refuses what makes no sense."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml

from tests.cluster.authority import grants, least
from tests.deploy import schema
from tests.deploy.overlays import KUSTOMIZE, ROOT, environment, gen_of, overlay, pod_of, proxy_of
from tests.live.gen import GEN
from tests.live.manifests import Manifest

CHART = ROOT / "deploy" / "helm" / "ingress-gen"
OURS = {"ServiceMonitor", "PrometheusRule"}
VARIANTS: dict[str, dict[str, Any]] = {
    "nginx": {},
    "haproxy": {"proxy": "haproxy"},
    "envoy": {"proxy": "envoy"},
    "daemonset": {
        "kind": "DaemonSet",
        "hostNetwork": True,
        "ports": {"http": 80, "https": 443},
        "status": {"from": "nodes"},
        "service": {"enabled": False},
    },
    "namespaced": {"watchNamespaces": ["ingress-gen"], "ingressClassLookup": False},
}


def helm(*arguments: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm; skips where there is none."""
    program = shutil.which("helm")
    if not program:
        pytest.skip("helm is not installed: the chart was read, but not rendered")
    return subprocess.run(
        [program, *arguments], input=json.dumps(values or {}), capture_output=True, text=True, check=False, timeout=60
    )


@cache
def rendered(values: str = "{}") -> tuple[Manifest, ...]:
    """The objects of a release in the namespace of the overlays."""
    flags = ["--namespace", "ingress-gen", "--kube-version", "1.34.0", "-f", "-"]
    done = helm("template", "ingress-gen", str(CHART), *flags, values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return tuple(item for item in yaml.safe_load_all(done.stdout) if item)


def objects_of(values: dict[str, Any]) -> tuple[Manifest, ...]:
    """The same, for values that are not text."""
    return rendered(json.dumps(values))


def keys_of(schema_part: dict[str, Any], value: Any, where: str) -> list[str]:
    """Where the values and their schema do not name the same keys."""
    wanted = schema_part.get("properties")
    if "$ref" in schema_part or not isinstance(value, dict) or wanted is None:
        return []
    faults = [f"{where}.{key}" for key in value.keys() ^ (wanted.keys() - {"global"})]
    return faults + [
        fault for key in value.keys() & wanted for fault in keys_of(wanted[key], value[key], f"{where}.{key}")
    ]


def test_values_and_schema_name_the_same_keys() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert keys_of(json.loads((CHART / "values.schema.json").read_text()), values, "") == []


def test_templates_use_values_that_exist() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    used = set()
    for template in (CHART / "templates").iterdir():
        text = template.read_text()
        assert text.count("{{") == text.count("}}"), template.name
        used |= set(re.findall(r"\.Values((?:\.[a-zA-Z]+)+)", text))
    for path in used:
        found = values
        for key in path.strip(".").split("."):
            assert key in found, path
            found = found[key]
    assert values.keys() == {path.split(".")[1] for path in used}


@pytest.mark.parametrize("name", ["prometheus-rule.yaml", "dashboard.json"])
def test_what_is_monitored_is_the_same_everywhere(name: str) -> None:
    assert (CHART / "files" / name).read_bytes() == (KUSTOMIZE / "monitoring" / name).read_bytes()


def test_helm_finds_nothing_to_complain_about() -> None:
    done = helm("lint", "--strict", str(CHART), "--kube-version", "1.34.0")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", VARIANTS)
def test_a_release_is_what_the_overlay_is(name: str) -> None:
    release, same = objects_of(VARIANTS[name]), overlay(name)
    assert [fault for item in release for fault in schema.faults(item)] == []
    ours, theirs = pod_of(release), pod_of(same)
    for of in (gen_of, proxy_of):
        assert plain(of(ours)) == plain(of(theirs))
    assert ours["volumes"] == theirs["volumes"]
    assert ours.keys() == theirs.keys()
    assert environment(release) == environment(same)
    assert names(release) == names(same)


def names(objects: tuple[Manifest, ...]) -> set[tuple[str, str]]:
    """What there is, but for permissions, which have a test of their own."""
    return {
        (item["kind"], re.sub(r"-[0-9a-z]{10}$", "", item["metadata"]["name"]))
        for item in objects
        if not item["apiVersion"].startswith("rbac.authorization")
    }


def plain(container: Manifest) -> Manifest:
    """A container without what names differ in."""
    rest = {key: value for key, value in container.items() if key not in ("envFrom", "imagePullPolicy")}
    hook = rest.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
    if hook:
        rest["lifecycle"] = [" ".join(word.split()) for word in hook]
    return rest | ({"command": [" ".join(word.split()) for word in rest["command"]]} if "command" in rest else {})


@pytest.mark.parametrize(
    "values",
    [
        *VARIANTS.values(),
        {"secrets": "watch", "events": False, "status": {"from": "off"}},
        {"status": {"from": "addresses", "addresses": ["192.0.2.1", "lb.example"]}, "ingressClass": {"name": "edge"}},
        {"watchNamespaces": ["a", "b"]},
        {"watchNamespaces": ["a"], "secrets": "watch", "defaultCertificate": "x/c", "defaultBackendService": "x/s"},
        {"watchNamespaces": ["a"], "configMap": "x/c", "defaultCertificate": "a/c", "defaultBackendService": "a/s"},
        {"configMap": "x/c", "defaultCertificate": "a/c", "defaultBackendService": "a/s"},
    ],
    ids=str,
)
def test_a_release_permits_what_gen_rbac_prints(values: dict[str, Any]) -> None:
    release = objects_of(values)
    command = [GEN, "rbac", *gen_of(pod_of(release))["args"][1:]]
    done = subprocess.run(
        command, env={**os.environ, **environment(release)}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    printed = list(yaml.safe_load_all(done.stdout))
    assert least(grants(release)) == least(grants(printed))
    bindings = [[item for item in objects if "roleRef" in item] for objects in (release, printed)]
    ours, theirs = ({place(item): (item["roleRef"], item["subjects"]) for item in found} for found in bindings)
    assert ours == theirs


def place(item: Manifest) -> tuple[str, str, str]:
    """Kind, namespace and name."""
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def test_without_native_sidecars_the_proxy_waits_for_gen() -> None:
    pod = pod_of(objects_of({"nativeSidecar": False}))
    assert "initContainers" not in pod
    assert [container["name"] for container in pod["containers"]] == ["gen", "nginx"]
    assert "restartPolicy" not in gen_of(pod)
    assert proxy_of(pod)["command"][2].startswith("until test -e /var/lib/gen/current; do sleep 0.2; done; rm -f")


def test_everything_can_be_switched() -> None:
    off: dict[str, Any] = {name: {"enabled": False} for name in ("service", "podDisruptionBudget", "networkPolicy")}
    off |= {"status": {"from": "off"}, "events": False}
    less = objects_of({**off, "rbac": {"create": False}, "serviceAccount": {"create": False, "name": "other"},
                       "ingressClass": {"create": False}})  # fmt: skip
    assert {item["kind"] for item in less} == {"ConfigMap", "Service", "Deployment"}
    assert pod_of(less)["serviceAccountName"] == "other"
    more = objects_of({
        "monitoring": {"serviceMonitor": True, "prometheusRule": True, "dashboard": True, "labels": {"release": "p"}},
        "settings": {"log-level": "debug", "bind": ["10.0.0.1", "10.0.0.2"], "disable-catch-all": True},
        "podLabels": {"team": "edge"}, "podAnnotations": {"a": "b"}, "nodeSelector": {"c": "d"},
        "priorityClassName": "e", "tolerations": [{"operator": "Exists"}], "imagePullSecrets": [{"name": "f"}],
        "affinity": {"nodeAffinity": {}}, "image": {"digest": f"sha256:{'0' * 64}"},
        "ingressClass": {"default": True, "name": "edge", "controller": "x/y"},
    })  # fmt: skip
    assert [fault for item in more if item["kind"] not in OURS for fault in schema.faults(item)] == []
    assert {item["kind"] for item in more} >= OURS
    assert environment(more) == {
        "GEN_LOG_FORMAT": "json", "GEN_LOG_LEVEL": "debug", "GEN_BIND": "10.0.0.1,10.0.0.2", "GEN_SECRETS": "get",
        "GEN_DISABLE_CATCH_ALL": "true", "GEN_EVENTS": "true", "GEN_PUBLISH_SERVICE": "ingress-gen/ingress-gen",
        "GEN_INGRESS_CLASS": "edge", "GEN_CONTROLLER_CLASS": "x/y",
    }  # fmt: skip
    assert {container["image"] for container in (gen_of(pod_of(more)), proxy_of(pod_of(more)))} == {
        f"ingress-gen@sha256:{'0' * 64}"
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"proxy": "apache"}, "proxy"),
        ({"prxy": "nginx"}, "prxy"),
        ({"ports": {"http": 0}}, "http"),
        ({"configMap": "settings"}, "configMap"),
        ({"settings": {"secrets": "watch"}}, "secrets"),
        ({"image": {"digest": "sha256:1"}}, "digest"),
        ({"watchNamespaces": ["A"]}, "watchNamespaces"),
        ({"status": {"from": "addresses"}}, "addresses"),
        ({"service": {"enabled": False}}, "service.enabled"),
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any], said: str) -> None:
    done = helm("template", "x", str(CHART), "--kube-version", "1.34.0", "-f", "-", values=values)
    assert done.returncode != 0
    assert said in done.stderr
