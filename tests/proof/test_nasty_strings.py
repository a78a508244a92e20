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
VERDICTS: Mapping[Field, str] = {"host": "host", "path": "path", "secret": "k8s_name"}
"""The fields for which the corpus itself says what is acceptable."""
MEANING: Mapping[Field, Callable[[str], str]] = {
    "host": str.lower,
    "permanent-redirect": str.strip,
    "upstream-vhost": str.strip,
}
"""Strings that come to the same here mean the same."""
STRICTER = {"secret": {"a-.b"}}
"""What the corpus accepts and Kubernetes does not: no label of a name ends with a dash."""


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

    @property
    def is_literal(self) -> bool:
        """Whether the value stands for itself, and not for a part of the request."""
        return self.field != "upstream-vhost" or not re.search(r"\$[{\w]", self.text)

    @property
    def is_blank(self) -> bool:
        """Whether the value is an annotation without a value, which counts as absent."""
        return self.field in {"permanent-redirect", "upstream-vhost"} and not self.text.strip()


def corpus(field: Field) -> list[Nasty]:
    """All strings in a field, one of those that mean the same; what is too long for the corpus is left to the cases."""
    entries = [entry for line in CORPUS.read_text().splitlines() if (entry := json.loads(line))["s"] is not None]
    different = {MEANING.get(field, str)(entry["s"]): entry for entry in reversed(entries)}
    return [
        Nasty(number, field, entry["s"], entry["as"].get(VERDICTS.get(field, ""), ""))
        for number, entry in enumerate(different.values())
    ]


def benign(nasty: Nasty) -> Nasty:
    """The same with a value that nobody could object to."""
    values: Mapping[Field, str] = {
        "host": ("*." if nasty.text.startswith("*.") else "") + f"benign{nasty.number}.example",
        "path": f"/benign{nasty.number}" if nasty.text.strip("/") else nasty.text,
        "service": f"benign-{nasty.number}",
        "port": f"benign-{nasty.number}",
        "secret": f"benign-{nasty.number}",
        "permanent-redirect": f"https://benign.example/{nasty.number}",
        "upstream-vhost": f"benign{nasty.number}.example",
    }
    return nasty if nasty.is_blank else Nasty(nasty.number, nasty.field, values[nasty.field], "ok")


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


SHARED = [service("web", NAMESPACE), endpoint_slice("web", NAMESPACE, ["192.0.2.1"])]


def write(folder: Path, strings: Iterable[Nasty]) -> Path:
    """One file a string, so that one that no reader can take spoils nothing but itself; and what all share."""
    folder.mkdir()
    for name, items in (("shared", SHARED), *((nasty.name, objects(nasty)) for nasty in strings)):
        content = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        (folder / f"{name}.json").write_text(content)
    return folder


@pytest.fixture(scope="session")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Field, list[Nasty]]:
    """The strings that translation accepts, by field."""
    return {field: sorted_out(field, tmp_path_factory.mktemp(field))[0] for field in FIELDS}


def sorted_out(field: Field, folder: Path) -> tuple[list[Nasty], dict[str, list[str]]]:
    """The strings that are accepted, and for each Ingress the codes of its errors."""
    strings = corpus(field)
    loaded = load_config(Flags(filename=(str(write(folder / "in", strings)),)))
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
        surprising = {nasty.text for nasty in corpus(field) if (nasty.verdict == "ok") != (nasty.name in names)}
        assert surprising == STRICTER.get(field, set())


def reasons(nasty: Nasty, faults: Mapping[str, list[str]]) -> list[str]:
    """Why a string was refused: an Issue of its Ingress, or of the file that no reader could take."""
    return faults.get(nasty.name, [])


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_skeleton_stays(backend: str, field: Field, accepted: Mapping[Field, list[Nasty]], tmp_path: Path) -> None:
    """What is accepted changes no more than harmless values in its place would."""
    literal = [nasty for nasty in accepted[field] if nasty.is_literal]
    assert literal, "nothing is accepted, so nothing is tested"
    shapes = []
    for name, strings in (("nasty", literal), ("benign", [benign(nasty) for nasty in literal])):
        source, target = write(tmp_path / name, strings), tmp_path / f"{name}-out"
        run_gen("render", "-b", backend, "-f", str(source), "-o", str(target))
        shapes.append(skeleton.OF[backend](target))
    assert shapes[0] - shapes[1] == shapes[1] - shapes[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_accepted_renders(backend: str, accepted: Mapping[Field, list[Nasty]], tmp_path: Path) -> None:
    """What translation lets through is never refused by a renderer: that would stop the changes of all."""
    source = write(tmp_path / "in", [nasty for strings in accepted.values() for nasty in strings])
    run_gen("render", "-b", backend, "-f", str(source), "-o", str(tmp_path / "out"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_accepted_arrives(
    backend: str, accepted: Mapping[Field, list[Nasty]], shared_gen: Callable[[str], GenRun], echo: EchoNet
) -> None:
    """Every accepted string in one configuration of the real proxy: its value reaches the client or the upstream."""
    gen, strings = shared_gen(backend), [nasty for field in FIELDS for nasty in accepted[field] if nasty.is_literal]
    everything = [*SHARED, *(item for nasty in strings for item in objects(nasty))]
    gen.apply(StandIns(echo).localise(everything))
    faults = [f"{nasty}: {fault}" for nasty in strings if (fault := fault_of(nasty, gen, backend))]
    assert not faults, "\n".join(faults)


def fault_of(nasty: Nasty, gen: GenRun, backend: str) -> str:
    """What is wrong with the answer to a string, "" when nothing is."""
    host = re.sub(r"^\*", "x", nasty.host)
    scheme = "https" if nasty.field == "secret" else "http"
    reply = gen.send(Request(host, nasty.text if nasty.field == "path" else "/", scheme=scheme))
    if nasty.field == "permanent-redirect" and not nasty.is_blank:
        wanted, got = nasty.text.strip(), reply.value("location")
        absolute = f"http://{host}{wanted}" if wanted.startswith("/") else wanted
        return "" if got == absolute else f"Location {got!r}"
    return fault_of_forwarded(nasty, reply, backend)


def fault_of_forwarded(nasty: Nasty, reply: Reply, backend: str) -> str:
    """The same for a request that reached an upstream."""
    seen = reply.seen
    if reply.status != 200 or seen is None:
        return f"{reply.status} {reply.body[:80]!r}"
    if nasty.field == "path" and backend != "envoy" and seen.target != nasty.text:
        return f"the upstream saw the target {seen.target!r}"
    if nasty.field == "upstream-vhost" and not nasty.is_blank and seen.value("host") != nasty.text.strip():
        return f"the upstream saw the host {seen.value('host')!r}"
    if nasty.field == "secret" and reply.certificate_names != [nasty.host]:
        return f"the certificate is for {reply.certificate_names}"
    return ""


def test_the_lexer_of_haproxy_words() -> None:
    assert list(skeleton.words(r"a  'b c' d\ e # f")) == ["a", "b c", "d e"]
    assert list(skeleton.words("x '' 'it'\\''s' \"q # r\"")) == ["x", "", "it's", "q # r"]
