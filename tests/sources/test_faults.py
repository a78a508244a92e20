"""Faults in manifests: each is told with its file and line, and none hides anybody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gen.k8s import Ingress, Ref
from gen.sources import lines, manifests
from gen.sources.lines import lines_of
from gen.sources.manifests import Manifests, read
from tests.sources.samples import INGRESS, LIST, OBJECTS, SERVICE, WEB, read_text


def faults(found: Manifests) -> list[tuple[str, int]]:
    """The codes of the issues and the lines that they name."""
    return [(issue.code, issue.source.line) for issue in found.issues]


FAULTS: dict[str, tuple[str, list[tuple[str, int]]]] = {
    "syntax": (f"{INGRESS}---\na: 'b\n---\n{SERVICE}", [("YamlInvalid", 21)]),
    "tabs": (f"---\n\ta: b\n---\n{INGRESS}", [("YamlInvalid", 2)]),
    "not UTF-8": (f"---\n{INGRESS}---\n# one\na: \udcff\n", [("YamlInvalid", 22)]),
    "no kind": ("---\nfoo: bar\n", [("BadType", 2)]),
    "no apiVersion": ("# c\nkind: Service\nmetadata: {name: a}\n", [("BadType", 2)]),
    "kind of a wrong type": ("apiVersion: v1\nkind: [Service]\n", [("BadType", 2)]),
    "a scalar": ("---\nhello\n", [("BadType", 2)]),
    "a list": ("- a\n- b\n", [("BadType", 1)]),
    "type": (INGRESS.replace("number: 80", "number: '80'"), [("BadType", 18)]),
    "path type": (INGRESS.replace("Prefix", "5"), [("InvalidPathType", 13)]),
    "name": (INGRESS.replace("name: web\n  name", "name: ../web\n  name"), [("BadName", 4)]),
    "namespace": (INGRESS.replace("namespace: shop", "namespace: a.b"), [("BadName", 5)]),
    "no name": (INGRESS.replace("  name: web\n  n", "  n"), [("BadName", 3)]),
    "annotation": (INGRESS.replace("labels: {tier: front}", "annotations:\n    a/b: x\n    a/c: 8"), [("BadType", 8)]),
    "missing field": (INGRESS.partition("spec:")[0], [("BadType", 1)]),
    "duplicate": (f"{INGRESS}---\n{INGRESS.replace('Prefix', 'Exact')}", [("DuplicateObject", 20)]),
    "duplicate key": (INGRESS.replace("  name: web\n", "  name: web\n  name: web\n", 1), [("DuplicateKey", 5)]),
    "old Ingress": (INGRESS.replace("networking.k8s.io/v1", "extensions/v1beta1"), [("UnsupportedKind", 1)]),
    "beta Ingress": (INGRESS.replace("io/v1", "io/v1beta1"), [("UnsupportedKind", 1)]),
    "misspelt kind": (INGRESS.replace("kind: Ingress", "kind: Ingres"), [("UnsupportedKind", 1)]),
    "misplaced kind": (INGRESS.replace("networking.k8s.io/v1", "v1"), [("UnsupportedKind", 1)]),
    "being deleted": (INGRESS.replace("labels: {tier: front}", "deletionTimestamp: 2026-01-01"), [("Deleted", 6)]),
    "in a list": (
        yaml.safe_dump({**LIST, "items": [OBJECTS[1], {**OBJECTS[0], "spec": {"rules": [None]}}]}, sort_keys=False),
        [("BadType", 23)],
    ),
    "duplicate in a list": (
        yaml.safe_dump({**LIST, "items": [*OBJECTS, {**OBJECTS[1], "spec": {}}]}, sort_keys=False),
        [("DuplicateObject", 33)],
    ),
    "null in a list": ("apiVersion: v1\nkind: List\nitems:\n-\n", [("BadType", 4)]),
    "JSON syntax": ('{"a": 1}\n{"b": }\n{"c": 1}\n', [("BadType", 1), ("JsonInvalid", 2), ("BadType", 3)]),
    "NaN": ('{"apiVersion": "v1",\n"kind": NaN}', [("JsonInvalid", 2)]),
    "JSON duplicate key": (
        '{"apiVersion": "v1", "kind": "Secret", "data": {"a": "",\n"a": ""}}',
        [("DuplicateKey", 1)],
    ),
    "JSON field": (json.dumps({**OBJECTS[0], "spec": {"tls": [{"hosts": "a"}]}}, indent=1), [("BadType", 14)]),
    "JSON field in a list": (
        json.dumps({**LIST, "items": [OBJECTS[1], {**OBJECTS[0], "spec": []}]}, indent=1),
        [("BadType", 33)],
    ),
    "JSON old kind": ('[\n{"apiVersion": "extensions/v1beta1",\n"kind": "Ingress"}]', [("UnsupportedKind", 2)]),
    "lone surrogate": ('{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "\\ud800"}}', [("JsonInvalid", 1)]),
    "endless number": ('{"apiVersion": "v1", "kind": "Secret", "x": ' + "1" * 9999 + "}", [("JsonInvalid", 1)]),
    "JSON that is not UTF-8": ('{"apiVersion": "v1",\n"kind": "\udcff"}', [("JsonInvalid", 2)]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(tmp_path: Path, name: str) -> None:
    text, expected = FAULTS[name]
    is_json = text.startswith(("{", "["))
    found = read_text(tmp_path, text.encode("utf-8", "surrogateescape"), "a.json" if is_json else "a.yaml")
    assert faults(found) == expected
    assert {issue.source.file for issue in found.issues} == {str(tmp_path / ("a.json" if is_json else "a.yaml"))}
    for issue in found.issues:
        assert found.locate(issue.source) == (issue.source.file, issue.source.line)
        assert len(issue.message) < 300


QUIET = [
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n",
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
    "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n",
    "apiVersion: v1\nkind: PodList\nitems: []\n",
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n",
    "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\n",
    "apiVersion: config.openshift.io/v1\nkind: Ingress\nmetadata: {name: a}\n",
    "apiVersion: traefik.io/v1alpha1\nkind: IngressRoute\nmetadata: {name: a}\nspec: {deep: [[[1]]]}\n",
    "apiVersion: example.com/v1\nkind: AccessList\nmetadata: {name: a}\nspec: {}\n",
]


@pytest.mark.parametrize("text", QUIET, ids=lambda text: " ".join(text.split()[1:4:2]))
def test_other_kinds_are_passed_over(tmp_path: Path, text: str) -> None:
    for name, form in (("a.yaml", text), ("a.json", json.dumps(yaml.safe_load(text)))):
        found = read_text(tmp_path, form, name)
        assert (found.objects, found.issues) == ({}, ())


def test_old_versions_are_told_what_is_expected(tmp_path: Path) -> None:
    (issue,) = read_text(tmp_path, FAULTS["old Ingress"][0]).issues
    assert "expected apiVersion networking.k8s.io/v1" in issue.message
    assert issue.source.name == "web"


def test_both_places_of_a_duplicate_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"# first\n{INGRESS}")
    (tmp_path / "b.yaml").write_text(f"{SERVICE}---\n{INGRESS.replace('Prefix', 'Exact')}")
    found = read([str(tmp_path)])
    (issue,) = found.issues
    assert (issue.code, issue.severity) == ("DuplicateObject", "error")
    assert (issue.source.file, issue.source.line) == (str(tmp_path / "b.yaml"), 6)
    assert f"{tmp_path / 'a.yaml'}:2" in issue.message
    item = found.objects[WEB]
    assert isinstance(item, Ingress)
    assert "Prefix" in repr(item), "the first one counts"


def test_a_mere_copy_is_a_warning(tmp_path: Path) -> None:
    (issue,) = read_text(tmp_path, f"{INGRESS}---\n# again\n{INGRESS}").issues
    assert (issue.code, issue.severity) == ("DuplicateObject", "warning")


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("a", INGRESS), ("b", INGRESS + "# " + "x" * 2000), ("c", SERVICE)):
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.setattr(manifests, "MAX_FILE", 1000)
    found = read([str(tmp_path)])
    assert [(issue.code, Path(issue.source.file).name) for issue in found.issues] == [("TooLarge", "b.yaml")]
    assert len(found.objects) == 2
    monkeypatch.setattr(manifests, "MAX_TOTAL", len(INGRESS) + 10)
    found = read([str(tmp_path)])
    assert [issue.code for issue in found.issues] == ["TooLarge", "TooLarge"]
    assert set(found.objects) == {WEB}


@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_nesting_bomb_hides_nobody(tmp_path: Path, name: str) -> None:
    (tmp_path / "b.yaml").write_text(f"{INGRESS}---\n{'[' * 100_000}\n---\n{SERVICE}")
    bomb = '{"apiVersion": "v1", "kind": "List", "items": [' * 50_000
    (tmp_path / name).write_text(bomb + "]}" * 50_000)
    found = read([str(tmp_path)])
    assert set(found.objects) == {WEB, Ref("Service", "shop", "web")}
    assert {issue.code for issue in found.issues} == {"TooDeep"}


def test_lists_in_lists_end_somewhere(tmp_path: Path) -> None:
    text = '{"apiVersion": "v1", "kind": "List", "items": [' * 300 + json.dumps(OBJECTS[0]) + "]}" * 300
    found = read_text(tmp_path, text, "a.json")
    assert WEB in found.objects or {issue.code for issue in found.issues} == {"TooDeep"}


def test_faults_of_other_namespaces_are_not_told(tmp_path: Path) -> None:
    text = INGRESS.replace("number: 80", "number: many")
    assert faults(read_text(tmp_path, text, namespace="blog")) == []
    assert faults(read_text(tmp_path, text, namespace="shop")) == [("BadType", 18)]


def test_many_faults_in_one_text_are_located_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []

    def counted(text: str) -> dict[int, lines.Lines]:
        passes.append(text)
        return lines_of(text)

    monkeypatch.setattr(lines, "lines_of", counted)
    bad = INGRESS.replace("number: 80", "number: many")
    found = read_text(tmp_path, "%YAML 1.1\n" + "".join(f"---\n{bad.replace('web', f'w{n}')}" for n in range(50)))
    assert faults(found) == [("BadType", 20 + 19 * number) for number in range(50)]
    assert len(passes) == 1
