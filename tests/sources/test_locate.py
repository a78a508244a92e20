"""From a field to its line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from gen.ir import Source
from gen.sources import locate
from gen.sources.entries import steps_of
from gen.sources.manifests import Manifests, read
from gen.sources.sections import Section, split
from tests.sources.samples import INGRESS, LIST, OBJECTS, SERVICE, read_text

ANNOTATED = INGRESS.replace("  labels: {tier: front}\n", "  annotations:\n    a.b/c: x\n    a.b/d: z\n")
TEXTS = {
    "one": ("a.yaml", ANNOTATED, 0),
    "second": ("a.yaml", f"{SERVICE}---\n# here\n{ANNOTATED}", 6),
    "windows": ("a.yaml", f"{SERVICE}---\n# here\n{ANNOTATED}".replace("\n", "\r\n"), 6),
    "twice the same text before": ("a.yaml", f"{SERVICE}---\n{SERVICE}---\n{ANNOTATED}---\n{SERVICE}", 10),
    "directive": ("a.yaml", f"%YAML 1.1\n---\n{SERVICE}---\n{ANNOTATED}", 7),
    "list": ("a.yaml", "items:\n- " + ANNOTATED.replace("\n", "\n  ") + "\nkind: List\napiVersion: v1\n", 1),
}
FIELDS = {
    "": 1,
    "metadata": 3,
    "metadata.name": 4,
    "metadata.namespace": 5,
    "metadata.annotations[a.b/c]": 7,
    "metadata.annotations[a.b/d]": 8,
    "spec": 9,
    "spec.rules[0].host": 11,
    "spec.rules[0].http.paths[0]": 14,
    "spec.rules[0].http.paths[0].pathType": 15,
    "spec.rules[0].http.paths[0].backend.service.port.number": 20,
    "spec.rules[0].http.paths[0].backend.service.port.name": 19,
    "spec.rules[0].http.paths[7].path": 13,
    "spec.tls[0].hosts[0]": 9,
    "nowhere": 1,
}


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field or "object")
@pytest.mark.parametrize("name", TEXTS)
def test_line(tmp_path: Path, name: str, field: str) -> None:
    file, text, before = TEXTS[name]
    found = read_text(tmp_path, text, file)
    where = found.locate(Source("Ingress", "shop", "web", field))
    assert where == (str(tmp_path / file), before + FIELDS[field])


JSON_TEXTS = {
    "object": json.dumps(OBJECTS[0], indent=1),
    "list": json.dumps({**LIST, "items": [*OBJECTS, {**OBJECTS[0], "metadata": {"name": "b"}}]}, indent=4),
    "array": "\n" + json.dumps(OBJECTS[::-1], indent=2),
    "lines": "".join(json.dumps(item, indent=1) + "\n" for item in OBJECTS[::-1]),
    "list in a list": json.dumps({**LIST, "items": [{**LIST, "items": OBJECTS[::-1]}]}, indent=1),
}


@pytest.mark.parametrize("name", JSON_TEXTS)
def test_line_in_json(tmp_path: Path, name: str) -> None:
    text = JSON_TEXTS[name]
    found = read_text(tmp_path, text, "a.json")
    for field, key in (("metadata.name", '"name": "web"'), ("spec.rules[0].host", '"host"'), ("spec", '"rules"')):
        where = found.locate(Source("Ingress", "shop", "web", field))
        assert where is not None
        line = text.splitlines()[where.line - 1 : where.line + 1]
        assert key in "".join(line)
        assert field == "spec" or key in line[0]


def test_standard_input() -> None:
    found = read(["-"], stdin=io.BytesIO(f"# c\n{INGRESS}".encode()))
    assert str(found.locate(Source("Ingress", "shop", "web", "spec.rules[0].host"))) == "<stdin>:10"


def test_unknown_object(tmp_path: Path) -> None:
    assert read_text(tmp_path, INGRESS).locate(Source("Ingress", "shop", "other", "spec")) is None


def test_a_source_with_a_place_keeps_it(tmp_path: Path) -> None:
    assert read_text(tmp_path, INGRESS).locate(Source("", "", "", file="x.yaml", line=7)) == ("x.yaml", 7)


def move_down(file: Path) -> None:
    file.write_text(f"# one\n# two\n{file.read_text()}")


def change(file: Path) -> None:
    file.write_text(file.read_text().replace("shop.example", "blog.example"))


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(("edit", "line"), [(move_down, 12), (change, 2), (remove, 2)])
def test_a_file_that_changed_since(tmp_path: Path, edit: object, line: int) -> None:
    found = read_text(tmp_path, f"---\n{INGRESS}")
    assert callable(edit)
    edit(tmp_path / "a.yaml")
    assert found.locate(Source("Ingress", "shop", "web", "spec.rules[0].host")) == (str(tmp_path / "a.yaml"), line)


def test_many_questions_read_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: Manifests = read_text(tmp_path, yaml.safe_dump({**LIST, "items": OBJECTS}))
    reads: list[str] = []

    def counted(name: str, data: bytes) -> list[Section]:
        reads.append(name)
        return split(name, data)

    monkeypatch.setattr(locate, "split", counted)
    for _ in range(50):
        assert found.locate(Source("Ingress", "shop", "web", "spec.rules[0].host"))
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("", ()),
        ("spec.rules[0].host", ("spec", "rules", 0, "host")),
        ("data[tls.crt]", ("data", "tls.crt")),
        ("metadata.annotations[a.b/c]", ("metadata", "annotations", "a.b/c")),
    ],
)
def test_path_of_a_field(field: str, path: tuple[str | int, ...]) -> None:
    assert steps_of(field) == path
