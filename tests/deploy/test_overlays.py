"""Every overlay builds, is what an API server understands, and keeps the rules for containers."""

from __future__ import annotations

import os
import subprocess
from copy import deepcopy
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from gen.cli.options import SHARED
from gen.cli.run import COMMAND
from tests.cluster.authority import grants, least
from tests.deploy import schema
from tests.deploy.overlays import OVERLAYS, VARIABLES, containers, environment, gen_of, overlay, pod_of, proxy_of, the
from tests.live.gen import GEN

each_overlay = pytest.mark.parametrize("name", OVERLAYS)


def test_the_overlays_are_those_of_the_documentation() -> None:
    assert OVERLAYS == ["daemonset", "envoy", "haproxy", "namespaced", "nginx"]


@each_overlay
def test_the_api_server_would_understand_all_of_it(name: str) -> None:
    objects = overlay(name)
    assert [fault for item in objects for fault in schema.faults(item)] == []
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert len(names) == len(set(names))


def test_the_schema_finds_what_is_wrong() -> None:
    deployment = the("Deployment", overlay("nginx"))
    for path, value, said in (
        (("spec", "replica"), 2, "replica"),
        (("spec", "replicas"), "2", "replicas"),
        (("spec", "template", "spec", "initContainers", 0, "startup_probe"), {}, "startup_probe"),
        (("spec", "template", "spec", "initContainers", 0, "args", 0), 8080, "args"),
        (("metadata", "labels", "app"), 1, "labels"),
        (("spec", "selector"), None, "selector"),
    ):
        broken = deepcopy(deployment)
        inner: Any = broken
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        assert any(said in fault for fault in schema.faults(broken)), path


@each_overlay
def test_gen_knows_its_arguments_and_variables(name: str) -> None:
    command, *arguments = gen_of(pod_of(overlay(name)))["args"]
    assert command == "run"
    context = COMMAND.make_context("run", list(arguments))
    assert context.params["backend"] in ("nginx", "haproxy", "envoy")
    assert context.params["proxy"] == "external"
    known = {flag.envvar for flag in SHARED.values()}
    assert [variable for variable in environment(overlay(name)) if variable not in known] == []
    assert {entry["name"] for entry in gen_of(pod_of(overlay(name)))["env"]} <= VARIABLES


@each_overlay
def test_both_containers_see_the_same_paths(name: str) -> None:
    pod = pod_of(overlay(name))
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {
        container["name"]: {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        for container in containers(pod)
    }
    ours, theirs = mounts[gen_of(pod)["name"]], mounts[proxy_of(pod)["name"]]
    assert {path: ours[path] for path in theirs} == theirs, "what the proxy sees is where gen writes it"
    assert set(ours.values()) | set(theirs.values()) == set(volumes), "each volume is mounted, each mount has a volume"
    assert all("emptyDir" in volumes[volume] for volume in theirs.values())
    params = COMMAND.make_context("run", gen_of(pod)["args"][1:]).params
    words = [*gen_of(pod)["args"], *gen_of(pod)["startupProbe"]["exec"]["command"], *proxy_of(pod)["command"]]
    used = [PurePosixPath(part) for word in words for part in paths_in(word)]
    assert PurePosixPath(params["state_dir"]) in used
    assert [path for path in used if not any(path.is_relative_to(mount) for mount in theirs)] == []


def paths_in(word: str) -> list[str]:
    """The absolute paths in an argument."""
    ends = str.maketrans(dict.fromkeys(" ;,=:'\"()", "\n"))
    return [part for part in word.translate(ends).splitlines() if part.startswith("/")]


@each_overlay
def test_ports_agree(name: str) -> None:
    objects = overlay(name)
    pod = pod_of(objects)
    params = COMMAND.make_context("run", gen_of(pod)["args"][1:]).params
    ports = {port["name"]: port["containerPort"] for container in containers(pod) for port in container["ports"]}
    admin = int(params["admin"].rpartition(":")[2])
    assert ports == {"http": params["http_port"], "https": params["https_port"], "admin": admin}
    assert proxy_of(pod)["readinessProbe"]["tcpSocket"]["port"] == params["http_port"]
    assert {gen_of(pod)[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {admin}
    # Numbers for what is in a sidecar: not every version finds the named ports of one.
    targets = [port["targetPort"] for item in objects if item["kind"] == "Service" for port in item["spec"]["ports"]]
    assert set(targets) <= {"http", "https", admin}
    policy = the("NetworkPolicy", objects)["spec"]["ingress"]
    assert [port["port"] for rule in policy for port in rule["ports"]] == ["http", "https", admin]


@each_overlay
def test_containers_have_no_power(name: str) -> None:
    pod = pod_of(overlay(name))
    together = pod["securityContext"]
    assert together["runAsNonRoot"]
    assert together["runAsUser"] == together["runAsGroup"] == together["fsGroup"] == 65532
    assert together["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
    assert not {"hostPID", "hostIPC"} & pod.keys()
    assert not any("hostPath" in volume for volume in pod["volumes"])


@each_overlay
def test_only_gen_has_a_token(name: str) -> None:
    objects = overlay(name)
    pod = pod_of(objects)
    assert pod["automountServiceAccountToken"] is False
    assert the("ServiceAccount", objects)["automountServiceAccountToken"] is False
    (token,) = (volume["name"] for volume in pod["volumes"] if "projected" in volume)
    holders = [item["name"] for item in containers(pod) for mount in item["volumeMounts"] if mount["name"] == token]
    assert holders == ["gen"]


@each_overlay
def test_the_proxy_cannot_write_configuration(name: str) -> None:
    pod = pod_of(overlay(name))
    state = COMMAND.make_context("run", gen_of(pod)["args"][1:]).params["state_dir"]
    (mount,) = (mount for mount in proxy_of(pod)["volumeMounts"] if mount["mountPath"] == state)
    assert mount["readOnly"]
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == mount["name"])
    assert volume["emptyDir"]["medium"] == "Memory", "keys are not written to a disk"


@each_overlay
def test_the_roles_are_what_gen_rbac_prints(name: str) -> None:
    objects = overlay(name)
    command = [GEN, "rbac", *gen_of(pod_of(objects))["args"][1:]]
    done = subprocess.run(
        command, env={**os.environ, **environment(objects)}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    roles = [item for item in objects if item["apiVersion"].startswith("rbac.authorization")]
    assert least(grants(roles)) == least(grants(yaml.safe_load_all(done.stdout)))
    account = [{"kind": "ServiceAccount", "namespace": "ingress-gen", "name": "ingress-gen"}]
    for role in (item for item in roles if "rules" in item):
        (binding,) = (
            item for item in roles if item["kind"] == f"{role['kind']}Binding" and item["metadata"] == role["metadata"]
        )
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == (role["kind"], role["metadata"]["name"])
        assert binding["subjects"] == account


def test_only_where_it_is_said_the_host_is_seen() -> None:
    assert [name for name in OVERLAYS if pod_of(overlay(name)).get("hostNetwork")] == ["daemonset"]
    sharing = [name for name in OVERLAYS if pod_of(overlay(name)).get("shareProcessNamespace")]
    assert sharing == ["daemonset", "namespaced", "nginx"], "a signal needs it, a socket does not"
