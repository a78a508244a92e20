"""Manifests as people have them: the forms, the paths, the choice among the objects."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
import yaml

from gen.errors import InputError, UsageError
from gen.k8s import ConfigMap, Ingress, Metadata, Ref, Secret
from gen.sources.manifests import read
from tests.sources.samples import INGRESS, LIST, OBJECTS, SERVICE, WEB, read_text

# ------------------------------------------------------------------ forms


HELM = f"""\
---
# Source: shop/templates/serviceaccount.yaml
---
# Source: shop/templates/web.yaml
{SERVICE}---
# Source: shop/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
---
# Source: shop/templates/ingress.yaml
{INGRESS}"""
LACONIC = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressList",
    "items": [{key: value for key, value in OBJECTS[0].items() if key not in ("kind", "apiVersion")}],
}
FORMS: dict[str, str | bytes] = {
    "documents": f"{INGRESS}---\n{SERVICE}",
    "documents without a last line end": f"{INGRESS}---\n{SERVICE}".rstrip(),
    "documents with ends": f"---\n{INGRESS}...\n---\n{SERVICE}...\n",
    "documents with comments at the markers": f"--- # one\n{INGRESS}--- # two\n{SERVICE}",
    "directive": f"%YAML 1.1\n---\n{INGRESS}---\n{SERVICE}",
    "helm template": HELM,
    "windows": HELM.replace("\n", "\r\n"),
    "byte order mark": b"\xef\xbb\xbf" + HELM.encode(),
    "UTF-16": HELM.encode("utf-16"),
    "old macintosh": HELM.replace("\n", "\r"),
    "kubectl get -o yaml": yaml.safe_dump(LIST),
    "yaml in flow": yaml.safe_dump_all(OBJECTS, default_flow_style=True),
    "kubectl get -o json": json.dumps(LIST, indent=4),
    "list of one line": json.dumps(LIST),
    "list in a list": json.dumps({"apiVersion": "v1", "kind": "List", "items": [LIST]}),
    "list in a list, yaml": yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [LIST]}),
    "typed list without kinds": json.dumps(LACONIC) + "\n" + json.dumps(OBJECTS[1]),
    "typed list without kinds, yaml": yaml.safe_dump_all([LACONIC, OBJECTS[1]]),
    "array": json.dumps(OBJECTS),
    "JSON lines": "".join(json.dumps(item) + "\n" for item in OBJECTS),
    "JSON after JSON": "".join(json.dumps(item, indent=2) + "\n" for item in OBJECTS),
    "JSON with space around": "\n\n  " + json.dumps(OBJECTS[0]) + "\n\n" + json.dumps(OBJECTS[1]) + " \n",
    "JSON as YAML documents": "---\n" + "---\n".join(json.dumps(item, indent=2) + "\n" for item in OBJECTS),
    "JSON, then YAML": json.dumps(OBJECTS[0]) + "\n---\n" + SERVICE,
    "YAML list, then YAML": yaml.safe_dump({**LIST, "items": OBJECTS[:1]}) + "---\n" + SERVICE,
    "empty list": json.dumps({**LIST, "items": None}) + "\n" + json.dumps(LIST),
}


JSON_FORMS = {
    "kubectl get -o json",
    "list of one line",
    "list in a list",
    "typed list without kinds",
    "array",
    "JSON lines",
    "JSON after JSON",
    "JSON with space around",
    "empty list",
}


@pytest.mark.parametrize(
    ("form", "name"),
    [(form, name) for form in FORMS for name in ("a.yaml", "a.json", "-") if name != "a.json" or form in JSON_FORMS],
)
def test_form(tmp_path: Path, form: str, name: str) -> None:
    text = FORMS[form]
    data = text if isinstance(text, bytes) else text.encode()
    found = read(["-"], stdin=io.BytesIO(data)) if name == "-" else read_text(tmp_path, data, name)
    assert found.issues == ()
    assert set(found.objects) == {WEB, Ref("Service", "shop", "web")}
    item = found.objects[WEB]
    assert isinstance(item, Ingress)
    assert item.spec.rules
    assert item.spec.rules[0].host == "shop.example"


def test_kubectl_leaves_no_copy_of_the_object(tmp_path: Path) -> None:
    copy = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}
    objects = [{**item, "metadata": {**item["metadata"], "annotations": dict(copy)}} for item in OBJECTS]
    for name, text in (("a.json", json.dumps(objects)), ("a.yaml", yaml.safe_dump_all(objects))):
        found = read_text(tmp_path, text, name)
        assert [item.metadata.annotations for item in found.objects.values()] == [{"a": "b"}] * 2


def test_what_a_secret_may_hold(tmp_path: Path) -> None:
    text = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: YQ==}\nstringData:\n  b: |\n    two\n    lines\n"
    )
    item = read_text(tmp_path, text).objects[Ref("Secret", "default", "s")]
    assert isinstance(item, Secret)
    assert (item.data, item.string_data) == ({"a": "YQ=="}, {"b": "two\nlines\n"})
    assert "lines" not in repr(item)


def test_null_in_a_config_map_is_empty(tmp_path: Path) -> None:
    item = read_text(tmp_path, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: , b: x}\n").objects
    meta = Metadata("c", "default", labels={})
    assert item[Ref("ConfigMap", "default", "c")] == ConfigMap(meta, {"a": "", "b": "x"})


# ------------------------------------------------------------------ paths


def test_directory_is_flat_unless_asked(tmp_path: Path) -> None:
    def config(name: str) -> str:
        return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"

    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.yaml", "a.yml", "c.json", "deep/d.yaml", "deep/er/e.yaml"):
        text = config(Path(name).stem)
        (tmp_path / name).write_text(json.dumps(yaml.safe_load(text)) if name.endswith("json") else text)
    for litter in (".x.yaml", "x.yaml~", "x.yaml.swp", ".x.yaml.swp", "#x.yaml#", "4913", "x.txt", "x.yaml.tmp"):
        (tmp_path / litter).write_text(config("litter"))
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [ref.name for ref in read([str(tmp_path)]).objects] == ["a", "b", "c"]
    assert [ref.name for ref in read([str(tmp_path)], recursive=True).objects] == ["a", "b", "c", "d", "e"]


def test_any_name_is_read_when_it_is_given(tmp_path: Path) -> None:
    assert WEB in read_text(tmp_path, INGRESS, "manifest.txt").objects


def test_a_path_twice_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(INGRESS)
    assert read([str(tmp_path / "a.yaml")] * 2).issues == ()


@pytest.mark.parametrize("what", ["missing.yaml", "missing/", "no-manifests", "dangling.yaml", "closed"])
def test_what_cannot_be_read_is_named(tmp_path: Path, what: str) -> None:
    (tmp_path / "no-manifests").mkdir()
    (tmp_path / "no-manifests" / "x.txt").write_text(INGRESS)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "dangling.yaml").symlink_to("nowhere")
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    with pytest.raises(InputError, match=str(tmp_path / what).rstrip("/")):
        read([str(tmp_path / what)])


@pytest.mark.parametrize("data", [b"", b" \n\t\n"])
def test_nothing_on_standard_input(data: bytes) -> None:
    with pytest.raises(InputError, match="nothing on standard input"):
        read(["-"], stdin=io.BytesIO(data))


def test_only_comments_are_no_fault(tmp_path: Path) -> None:
    found = read_text(tmp_path, "# nothing\n---\n# here\n---\n~\n--- null\n")
    assert (found.objects, found.issues) == ({}, ())


# ------------------------------------------------------------------ choice


NAMESPACES = "---\n".join(
    [
        INGRESS,
        INGRESS.replace("shop", "blog"),
        INGRESS.replace("  namespace: shop\n", "").replace("front", "back"),
        SERVICE.replace(", namespace: shop", ""),
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: gen}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: global, namespace: infra}\n",
    ]
)
CHOICES: dict[str, tuple[dict[str, str], set[str]]] = {
    "everything": ({}, {"shop", "blog", "default"}),
    "a namespace": ({"namespace": "blog"}, {"blog"}),
    "equal": ({"selector": "tier=front"}, {"shop", "blog"}),
    "both": ({"selector": "tier==front", "namespace": "shop"}, {"shop"}),
    "not equal": ({"selector": "tier!=front"}, {"default"}),
    "in": ({"selector": "tier in (back, other)"}, {"default"}),
    "notin": ({"selector": "tier notin (back),tier"}, {"shop", "blog"}),
    "absent": ({"selector": "!tier"}, set()),
    "absent something": ({"selector": "! legacy , tier"}, {"shop", "blog", "default"}),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choice(tmp_path: Path, name: str) -> None:
    options, expected = CHOICES[name]
    found = read_text(tmp_path, NAMESPACES, **options)
    ingresses = {ref.namespace for ref in found.objects if ref.kind == "Ingress"}
    assert ingresses == expected
    assert {"IngressClass", "ConfigMap", "Service"} <= {ref.kind for ref in found.objects}


def test_namespace_is_the_default_for_objects_without_one(tmp_path: Path) -> None:
    found = read_text(tmp_path, INGRESS.replace("  namespace: shop\n", ""), namespace="blog")
    item = found.objects[Ref("Ingress", "blog", "web")]
    assert item.metadata.namespace == "blog"
    found = read_text(tmp_path, "apiVersion: v1\nkind: Namespace\nmetadata: {name: blog}\n", namespace="blog")
    assert set(found.objects) == {Ref("Namespace", "", "blog")}


@pytest.mark.parametrize("text", ["a=b=c", "a in b", "=a", "a,,b", "a in (b", "a in (b!)", "a b", "!", "-a"])
def test_bad_selector(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="label selector"):
        read_text(tmp_path, INGRESS, selector=text)
