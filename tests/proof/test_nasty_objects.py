"""Hostile objects: each gets the verdict that the corpus says, and none of them changes anything for a bystander."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from msgspec import Struct

from gen.cli import main
from tests.live.manifests import Manifest, endpoint_slice, ingress, manifest, path, service
from tests.live.proxies import BACKENDS, need_proxy
from tests.proof.golden import render, run_gen

CORPUS = Path(__file__).parent.parent / "data" / "nasty-objects.jsonl"
RULES = {"bystander.example": [path("/bystander", "bystander")]}
BYSTANDER = [
    ingress("bystander", "bystander", RULES, class_name="bystander"),
    manifest("networking.k8s.io/v1", "IngressClass", "bystander", spec={"controller": "ingress-gen/controller"}),
    service("bystander", "bystander"),
    endpoint_slice("bystander", "bystander", ["192.0.2.77"]),
]
LATER = {
    "gateway-": "the Gateway API is not read",
    "ingressclass-params-cycle": "the parameters of a class are not read yet",
    "shape-list": "the object that it is about is not in the corpus",
}
"""Cases whose feature does not exist: their verdict is not judged, a bystander must be safe from them all the same."""
FILES = {
    "endpoint-addr-127.0.0.1": "files come from the administrator, whose proxy may stand beside its upstreams",
    "ann-auth-url-http://127.0.0.": "the same",
    "endpoint-addr-::1": "the same",
    "endpoint-addr-::ffff:127.0.0.1": "the same",
    "externalname-": "an ExternalName is allowed in files",
    "meta-no-namespace": "a manifest without a namespace is in `default`, as kubectl has it",
}
"""Cases that files are allowed to have, or the API server would never give out."""
NO_OBJECTS = {"shape-null", "shape-empty", "shape-unknown-kind"}
"""Cases that are not even objects: offline nobody shall take the rest of such an input for the whole."""


class Nasty(Struct, frozen=True):
    """A case of the corpus."""

    name: str
    verdict: str
    reason: str
    objects: list[Manifest]

    @property
    def is_judged(self) -> bool:
        """Whether gen has what the case is about."""
        return not any(self.name.startswith(prefix) for prefix in (*LATER, *FILES))


def corpus() -> Iterator[Nasty]:
    """All cases."""
    for line in CORPUS.read_text().splitlines():
        entry = json.loads(line)
        yield Nasty(entry["id"], entry["expect"]["verdict"], entry["expect"]["reason"], entry["objects"])


CASES = list(corpus())


def identifier(nasty: Nasty) -> str:
    """A name for pytest."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", nasty.name)


def write(folder: Path, *objects: Manifest) -> Path:
    """A manifest file with these objects."""
    file = folder / "in.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return file


@pytest.mark.parametrize("nasty", [case for case in CASES if case.is_judged], ids=identifier)
def test_verdict(nasty: Nasty, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["check", "--format", "json", "-f", str(write(tmp_path, *nasty.objects))])
    issues = json.loads(capsys.readouterr().out)["issues"]
    codes = {issue["code"] for issue in issues}
    errors = {issue["code"] for issue in issues if issue["severity"] == "error"}
    assert status == (1 if errors else 0)
    if nasty.reason:
        assert nasty.reason in codes
    if nasty.verdict == "accept":
        assert errors <= {nasty.reason}
    elif nasty.verdict in {"reject", "partial"}:
        assert nasty.reason in errors


@pytest.fixture(scope="module", params=BACKENDS)
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, set[str]]:
    """A backend, and what it writes for the bystander alone."""
    rendered = render(request.param, write(tmp_path_factory.mktemp("alone"), *BYSTANDER))
    return request.param, bystander_lines(rendered)


def bystander_lines(files: Mapping[str, bytes]) -> set[str]:
    """Whatever speaks of the bystander: lines that name it, and files that are its own."""
    lines = {
        f"{path}: {line}"
        for path, content in files.items()
        for line in own_lines(path, content.decode("utf-8", "replace"))
    }
    assert lines, "the bystander is not there"
    return lines


def own_lines(path: str, text: str) -> list[str]:
    """The parts of a file that speak of the bystander: JSON objects, lines, or all of it."""
    if "bystander" in path:
        return text.splitlines()
    if path.endswith(".json"):
        return [json.dumps(part, sort_keys=True) for part in own_parts(json.loads(text))]
    return [line.strip() for line in text.splitlines() if "bystander" in line]


def own_parts(value: object) -> Iterator[object]:
    """The innermost JSON objects that name the bystander themselves, each as a whole."""
    if isinstance(value, dict):
        texts = [text for item in value.values() for text in (item if isinstance(item, list) else [item])]
        if any(isinstance(text, str) and "bystander" in text for text in texts):
            yield value
            return
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from own_parts(item)


@pytest.mark.parametrize("nasty", [case for case in CASES if case.name not in NO_OBJECTS], ids=identifier)
def test_a_bystander_is_safe(nasty: Nasty, alone: tuple[str, set[str]], tmp_path: Path) -> None:
    backend, lines = alone
    assert bystander_lines(render(backend, write(tmp_path, *BYSTANDER, *nasty.objects))) == lines


@pytest.mark.parametrize("nasty", [case for case in CASES if case.name in NO_OBJECTS], ids=identifier)
def test_what_is_no_object_renders_nothing(nasty: Nasty, tmp_path: Path) -> None:
    source = write(tmp_path, *BYSTANDER, *nasty.objects)
    assert main(["render", "-b", "haproxy", "-f", str(source), "-o", str(tmp_path / "out")]) == 3
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_real_proxy_takes_them_all(backend: str, tmp_path: Path) -> None:
    """All cases in one configuration, each in namespaces and on hosts of its own."""
    need_proxy(backend)
    cases = [nasty for nasty in CASES if nasty.name not in NO_OBJECTS]
    crowd = [item for number, nasty in enumerate(cases) for item in moved(nasty.objects, number)]
    source, target = write(tmp_path, *BYSTANDER, *crowd), tmp_path / "out"
    run_gen("render", "-b", backend, "-f", str(source), "-o", str(target))
    run_gen("validate", "-b", backend, str(target))


def moved(objects: list[Manifest], number: int) -> list[Manifest]:
    """The objects with other namespaces and hosts."""
    text = re.sub(r'("namespace": "|")(t[123])(["/])', rf"\g<1>\g<2>-{number}\g<3>", json.dumps(objects))
    moved: list[Manifest] = json.loads(re.sub(r"\b([a-z0-9]+)\.example\b", rf"\1-{number}.example", text))
    return moved
