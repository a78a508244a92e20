"""`gen config print`: every key with its value and where that comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gen.cli import main
from gen.dialects.ingress_nginx.configmap import BY_NAME

CONFIGMAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: gen, namespace: infra}
data: {hsts: "false", proxy-body-size: 8m}
"""


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, str]]:
    assert main(["config", "print", "-o", "json", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    return {row["key"]: row for row in document["settings"]}


def test_a_profile_and_a_configmap(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "cm.yaml").write_text(CONFIGMAP)
    where = ("--profile", "ingress-nginx", "--configmap", "infra/gen", "-f", str(tmp_path))
    rows = printed(capsys, *where)
    assert rows.keys() == BY_NAME.keys()
    assert (rows["hsts"]["value"], rows["hsts"]["origin"]) == ("false", "ConfigMap infra/gen")
    assert (rows["ssl-redirect"]["value"], rows["ssl-redirect"]["origin"]) == ("true", "profile ingress-nginx")
    assert (rows["gzip-level"]["value"], rows["gzip-level"]["origin"]) == ("1", "default")


def test_without_input_there_are_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys)["ssl-redirect"]["value"] == "false"
    assert main(["config", "print"]) == 0
    assert capsys.readouterr().out.startswith("KEY")


def test_a_wrong_name_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "print", "--configmap", "gen"]) == 2
    assert "NAMESPACE/NAME" in capsys.readouterr().err
