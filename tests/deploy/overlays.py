"""The overlays below deploy/kustomize, built as a user builds them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from tests.live.manifests import Manifest
from tests.live.proxies import missing

ROOT = Path(__file__).parents[2]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
OVERLAYS = sorted(path.name for path in (KUSTOMIZE / "overlays").iterdir())
WORKLOADS = ("Deployment", "DaemonSet")
VARIABLES = {"POD_NAME", "POD_NAMESPACE"}


@cache
def build(folder: Path) -> tuple[Manifest, ...]:
    """The objects that `kubectl kustomize` makes of a folder."""
    if not shutil.which("kubectl"):
        missing("kubectl is not installed: the overlays were not built")
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def overlay(name: str) -> tuple[Manifest, ...]:
    """The objects of an overlay."""
    return build(KUSTOMIZE / "overlays" / name)


def the(kind: str, objects: tuple[Manifest, ...]) -> Manifest:
    """The only object of a kind."""
    (found,) = (item for item in objects if item["kind"] == kind)
    return found


def pod_of(objects: tuple[Manifest, ...]) -> Manifest:
    """The spec of the pods of the only workload."""
    (found,) = (item for item in objects if item["kind"] in WORKLOADS)
    spec: Manifest = found["spec"]["template"]["spec"]
    return spec


def containers(pod: Manifest) -> Iterator[Manifest]:
    """All containers of a pod, sidecars among them."""
    yield from pod.get("initContainers", ())
    yield from pod["containers"]


def gen_of(pod: Manifest) -> Manifest:
    """The container in which gen runs."""
    (found,) = (container for container in containers(pod) if container["name"] == "gen")
    return found


def proxy_of(pod: Manifest) -> Manifest:
    """The container in which the proxy runs."""
    (found,) = (container for container in containers(pod) if container["name"] != "gen")
    return found


def environment(objects: tuple[Manifest, ...]) -> dict[str, str]:
    """The variables that gen gets from its ConfigMap."""
    name = gen_of(pod_of(objects))["envFrom"][0]["configMapRef"]["name"]
    (found,) = (item for item in objects if (item["kind"], item["metadata"]["name"]) == ("ConfigMap", name))
    data: dict[str, str] = found["data"]
    return data
