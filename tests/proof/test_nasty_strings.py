"""Hostile strings through every field: refused with a reason, or harmless, and then they arrive as written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

import pytest
from msgspec import Struct

from gen.cli.flags import Flags
from gen.cli.load import load_config
from tests.live.certificates import secret
from tests.live.client import Reply, Request
from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.manifests import Manifest, endpoint_slice, ingress, path, service
from tests.live.proxies import BACKENDS
from tests.live.stand_in import StandIns
from tests.proof import skeleton
from tests.proof.golden import run_gen

Field = Literal["host", "path", "service", "port", "secret", "permanent-redirect", "upstream-vhost"]
FIELDS: tuple[Field, ...] = get_args(Field)
CORPUS = Path(__file__).parent.parent / "data" / "nasty-strings.jsonl"
NAMESPACE = "strings"
PREFIX = "nginx.ingress.kubernetes.io/"
VERDICTS: Mapping[Field, str] = {"host": "host", "path": "path", "service": "k8s_name", "secret": "k8s_name"}
"""The fields for which the corpus itself says what is acceptable."""


class Nasty(Struct, frozen=True):
    """A string of the corpus in a field; `number` makes its objects different from all others."""

    number: int
    field: Field
    text: str
    verdict: str

    @property
    def name(self) -> str:
        """The name of its Ingress."""
        return f"{self.field}-{self.number}"

    @property
    def host(self) -> str:
        """Its host."""
        return self.text if self.field == "host" else f"{self.name}.strings.example"


def corpus(field: Field) -> list[Nasty]:
    """All strings in a field; those too long for the corpus are left to the cases."""
    entries = (json.loads(line) for line in CORPUS.read_text().splitlines())
    return [
        Nasty(number, field, entry["s"], entry["as"].get(VERDICTS.get(field, ""), ""))
        for number, entry in enumerate(entries)
        if entry["s"] is not None
    ]


def benign(nasty: Nasty) -> Nasty:
    """The same with a value that nobody could object to."""
    values: Mapping[Field, str] = {
        "host": ("*." if nasty.text.startswith("*.") else "") + f"benign{nasty.number}.example",
        "path": f"/benign{nasty.number}" if nasty.text.strip("/") else nasty.text,
        "service": f"benign-{nasty.number}",
        "port": f"benign-{nasty.number}",
        "secret": f"benign-{nasty.number}",
        "permanent-redirect": "https://benign.example/path",
        "upstream-vhost": "benign.example",
    }
    return Nasty(nasty.number, nasty.field, values[nasty.field], "ok")


def objects(nasty: Nasty) -> list[Manifest]:
    """The Ingress with the string, and whatever it leads to."""
    field, text = nasty.field, nasty.text
    upstream = text if field == "service" else "web"
    port: str | int = text if field == "port" else 80
    if field == "port":
        upstream = f"port-{nasty.number}"
    own = path(text if field == "path" else "/", upstream, port)
    annotations = {PREFIX + field: text} if field in {"permanent-redirect", "upstream-vhost"} else {}
    tls = {text: [nasty.host]} if field == "secret" else {}
    items = [ingress(nasty.name, NAMESPACE, {nasty.host: [own]}, annotations=annotations, tls=tls)]
    if field in {"service", "port"}:
        port_name = text if field == "port" else "http"
        items += [
            service(upstream, NAMESPACE, port_name=port_name),
            endpoint_slice(upstream, NAMESPACE, ["192.0.2.2"], port_name=port_name),
        ]
    if field == "secret":
        items.append(secret(text, NAMESPACE, nasty.host))
    return items


def everything(strings: Iterable[Nasty]) -> list[Manifest]:
    """The objects of many strings, and of what they share."""
    shared = [service("web", NAMESPACE), endpoint_slice("web", NAMESPACE, ["192.0.2.1"])]
    return [*shared, *(item for nasty in strings for item in objects(nasty))]


def write(folder: Path, items: Iterable[Manifest]) -> Path:
    """One file an object, so that a string that no reader can take spoils nothing but itself."""
    folder.mkdir()
    for number, item in enumerate(items):
        (folder / f"{number}.json").write_text(json.dumps(item))
    return folder


@pytest.fixture(scope="session")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Field, list[Nasty]]:
    """The strings that translation accepts, by field."""
    return {field: sorted_out(field, tmp_path_factory.mktemp(field))[0] for field in FIELDS}


def sorted_out(field: Field, folder: Path) -> tuple[list[Nasty], dict[str, list[str]]]:
    """The strings that are accepted, and for each Ingress the codes of its errors."""
    strings = corpus(field)
    loaded = load_config(Flags(filename=(str(write(folder / "in", everything(strings))),)))
    faults: dict[str, list[str]] = {}
    for issue in loaded.issues:
        if issue.severity == "error":
            faults.setdefault(issue.source.name or Path(issue.source.file).stem, []).append(issue.code)
    served = {source.name for host in loaded.config.hosts.values() for source in host.sources}
    return [nasty for nasty in strings if nasty.name in served and nasty.name not in faults], faults


@pytest.mark.parametrize("field", FIELDS)
def test_a_string_is_accepted_or_refused_with_a_reason(field: Field, tmp_path: Path) -> None:
    kept, faults = sorted_out(field, tmp_path)
    names = {nasty.name for nasty in kept}
    unexplained = [nasty for nasty in corpus(field) if nasty.name not in names and not reasons(nasty, faults)]
    assert unexplained == []
    if field in VERDICTS:
        surprising = [nasty for nasty in corpus(field) if (nasty.verdict == "ok") != (nasty.name in names)]
        assert [(nasty.text, nasty.verdict) for nasty in surprising] == []


def reasons(nasty: Nasty, faults: Mapping[str, list[str]]) -> list[str]:
    """Why a string was refused: an Issue of its Ingress, or of the file that no reader could take."""
    return faults.get(nasty.name, [])


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_skeleton_stays(backend: str, field: Field, accepted: Mapping[Field, list[Nasty]], tmp_path: Path) -> None:
    """What is accepted changes no more than harmless values in its place would."""
    assert accepted[field], "nothing is accepted, so nothing is tested"
    shapes = []
    for name, strings in (("nasty", accepted[field]), ("benign", [benign(nasty) for nasty in accepted[field]])):
        source, target = write(tmp_path / name, everything(strings)), tmp_path / f"{name}-out"
        run_gen("render", "-b", backend, "-f", str(source), "-o", str(target))
        shapes.append(skeleton.OF[backend](target))
    assert shapes[0] - shapes[1] == shapes[1] - shapes[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_accepted_arrives(
    backend: str, accepted: Mapping[Field, list[Nasty]], shared_gen: Callable[[str], GenRun], echo: EchoNet
) -> None:
    """Every accepted string in one configuration of the real proxy: its value reaches the client or the upstream."""
    gen, strings = shared_gen(backend), [nasty for field in FIELDS for nasty in accepted[field]]
    gen.apply(StandIns(echo).localise(everything(strings)))
    faults = [f"{nasty}: {fault}" for nasty in strings if (fault := fault_of(nasty, gen, backend))]
    assert not faults, "\n".join(faults)


def fault_of(nasty: Nasty, gen: GenRun, backend: str) -> str:
    """What is wrong with the answer to a string, "" when nothing is."""
    host = re.sub(r"^\*", "x", nasty.host)
    scheme = "https" if nasty.field == "secret" else "http"
    reply = gen.send(Request(host, nasty.text if nasty.field == "path" else "/", scheme=scheme))
    if nasty.field == "permanent-redirect":
        wanted, got = nasty.text, reply.value("location")
        return "" if got == wanted else f"Location {got!r}"
    return fault_of_forwarded(nasty, reply, backend)


def fault_of_forwarded(nasty: Nasty, reply: Reply, backend: str) -> str:
    """The same for a request that reached an upstream."""
    seen = reply.seen
    if reply.status != 200 or seen is None:
        return f"{reply.status} {reply.body[:80]!r}"
    if nasty.field == "path" and backend != "envoy" and seen.target != nasty.text:
        return f"the upstream saw the target {seen.target!r}"
    if nasty.field == "upstream-vhost" and seen.value("host") != nasty.text:
        return f"the upstream saw the host {seen.value('host')!r}"
    if nasty.field == "secret" and reply.certificate_names != [nasty.host]:
        return f"the certificate is for {reply.certificate_names}"
    return ""


def test_the_lexer_of_haproxy_words() -> None:
    assert list(skeleton.words(r"a  'b c' d\ e # f")) == ["a", "b c", "d e"]
    assert list(skeleton.words("x '' 'it'\\''s' \"q # r\"")) == ["x", "", "it's", "q # r"]
