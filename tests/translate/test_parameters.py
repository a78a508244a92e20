"""The parameters of our class: a ConfigMap over the global one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gen.cli import main
from gen.k8s import Ref
from gen.translate.references import references
from tests.live.manifests import Manifest, ingress, manifest, path
from tests.translate.translating import FILES, codes, objects, translate

SETTINGS = msgspec.structs.replace(FILES, configmap="infra/global", own_namespace="infra")
OURS = "ingress-gen/controller"
NAMESPACED = {"kind": "ConfigMap", "name": "class", "scope": "Namespace", "namespace": "team"}
CLUSTER = {"kind": "ConfigMap", "name": "class", "scope": "Cluster"}


def ingress_class(parameters: dict[str, Any], *, name: str = "gen", controller: str = OURS) -> Manifest:
    spec = {"controller": controller, "parameters": parameters}
    return manifest("networking.k8s.io/v1", "IngressClass", name, spec=spec)


def config_map(namespace: str, name: str, **data: str) -> Manifest:
    return manifest(
        "v1", "ConfigMap", name, namespace, data={key.replace("_", "-"): text for key, text in data.items()}
    )


WEB = ingress("web", "shop", {"a.example": [path("/", "s")]})
GLOBAL = config_map("infra", "global", gzip_level="2", gzip_min_length="20", use_gzip="true")


@pytest.mark.parametrize(("parameters", "namespace"), [(NAMESPACED, "team"), (CLUSTER, "infra")], ids=["team", "own"])
def test_they_count_before_the_global_configmap(parameters: dict[str, Any], namespace: str) -> None:
    mine = config_map(namespace, "class", gzip_level="3")
    found = translate([WEB, GLOBAL, ingress_class(parameters), mine], SETTINGS)
    assert found.config.options.gzip
    assert (found.config.options.gzip.level, found.config.options.gzip.min_length) == (3, 20)
    assert not codes(found) & {"ParametersUnsupported", "ConfigMapNotFound"}


def test_they_name_other_configmaps_in_their_own_namespace() -> None:
    mine = config_map("team", "class", add_headers="headers")
    headers = manifest("v1", "ConfigMap", "headers", "team", data={"X-Team": "a"})
    found = translate([WEB, GLOBAL, ingress_class(NAMESPACED), mine, headers], SETTINGS)
    assert found.config.options.response_headers == (("X-Team", "a"),)


IGNORED = {
    "another kind": (ingress_class({"kind": "Thing", "name": "x"}), "ParametersUnsupported"),
    "another group": (ingress_class({**CLUSTER, "apiGroup": "example.com"}), "ParametersUnsupported"),
    "no namespace": (ingress_class({**NAMESPACED, "namespace": ""}), "ParametersUnsupported"),
    "itself": (ingress_class({"kind": "IngressClass", "name": "gen"}), "RefCycle"),
    "a missing one": (ingress_class({**CLUSTER, "name": "missing"}), "ConfigMapNotFound"),
}


@pytest.mark.parametrize(("item", "code"), IGNORED.values(), ids=list(IGNORED))
def test_what_cannot_be_used_is_told_and_ignored(item: Manifest, code: str) -> None:
    found = translate([WEB, GLOBAL, item, config_map("infra", "class", gzip_level="3")], SETTINGS)
    assert code in codes(found)
    assert found.config.options.gzip
    assert found.config.options.gzip.level == 2


def test_another_class_of_ours_has_no_say() -> None:
    web = ingress("web", "shop", {"a.example": [path("/", "s")]}, class_name="other")
    found = translate(
        [web, GLOBAL, ingress_class(CLUSTER, name="other"), config_map("infra", "class", x="y")], SETTINGS
    )
    assert "ParametersUnsupported" in codes(found, "warning")
    assert "ConfigUnsupported" not in codes(found)


def test_a_class_of_somebody_else_is_not_looked_at() -> None:
    theirs = ingress_class({"kind": "Thing", "name": "x"}, controller="example.com/other")
    assert "ParametersUnsupported" not in codes(translate([WEB, theirs], SETTINGS))


def test_what_they_refer_to_is_known_to_a_source_that_reads_single_objects() -> None:
    of = references(SETTINGS)
    (item, mine, other) = objects(
        [ingress_class(NAMESPACED), config_map("team", "class", add_headers="x/headers"), config_map("team", "other")]
    )
    assert list(of(mine)) == []
    assert list(of(item)) == [Ref("ConfigMap", "team", "class")]
    assert list(of(mine)) == [Ref("ConfigMap", "x", "headers")]
    assert list(of(other)) == []


def test_rbac_names_what_they_refer_to_wherever_the_class_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = config_map("team", "class", add_headers="headers")
    for number, item in enumerate([mine, ingress_class(NAMESPACED)]):
        (tmp_path / f"{number}.json").write_text(json.dumps(item))
    assert main(["rbac", "--for", "-f", str(tmp_path)]) == 0
    assert "resourceNames: [class, headers]" in capsys.readouterr().out
