"""Hostile strings in every annotation and every key of the ConfigMap: refused, or no more than a text in its place.

What a parser refuses never gets here (tests.dialects.test_hostile asks that somebody hears of it).  What it takes, and
what has a sign that some language of the proxies could understand (a lone * aside), is rendered: the skeleton must be
the one that the same value gives with a harmless letter in the place of each such sign, or without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from gen.cli.flags import Flags
from gen.cli.load import load_backend
from gen.dialects.ingress_nginx import ROWS
from gen.dialects.ingress_nginx.configmap import BY_NAME
from gen.errors import BadValue
from gen.fit import fit
from gen.translate import Settings
from tests.dialects.test_hostile import TEXTS, asking
from tests.live.manifests import Manifest, endpoint_slice, ingress, manifest, path, service
from tests.live.proxies import BACKENDS
from tests.proof import skeleton
from tests.proof.golden import VERSIONS
from tests.translate.translating import translate

SIGN = re.compile(r"(?<!\$)\{|[^A-Za-z0-9._~/:,${} -]|(?<!\w)\}")
"""What may mean something to a proxy; commas, blanks and variables belong to the values themselves."""
MOST = 40
"""Strings for each key of the ConfigMap, evenly spaced: every one of them is a configuration of its own."""
GATES = frozenset(("annotations-allowed", "annotation-value-word-blocklist"))
"""Keys whose values are compared and never rendered."""
PROFILE = Settings(
    assume_class=True, profile="ingress-nginx", ingress_class="gen", allow_loopback=True, configmap="t1/gen"
)
UPSTREAM = [service("s", "t1"), endpoint_slice("s", "t1", ["192.0.2.1"])]
MAIN = [service("main", "t1"), endpoint_slice("main", "t1", ["192.0.2.2"])]
SNIPPETS = {"allow-snippet-annotations": "true", "annotations-risk-level": "Critical"}
Parser = Callable[[str], object]


class Nasty(Struct, frozen=True):
    """A value that a parser takes, and one of the same kind without its signs, None where that is none at all."""

    name: str
    text: str
    plain: str | None


def accepted(name: str, parse: Parser) -> Iterator[Nasty]:
    """The strings with signs that a parser takes."""
    for text in dict.fromkeys(text.strip() for text in TEXTS):
        if text != "*" and SIGN.search(text) and takes(parse, text):
            candidates = (SIGN.sub("x", text), SIGN.sub("", text))
            yield Nasty(name, text, next((each for each in candidates if each and takes(parse, each)), None))


def takes(parse: Parser, text: str) -> bool:
    """Whether a parser takes a value."""
    try:
        parse(text)
    except BadValue:
        return False
    return True


def batches(strings: Iterable[Nasty]) -> Iterator[list[Nasty]]:
    """The strings in groups in which no two come to the same without signs, for renderers write equal parts once."""
    groups: list[dict[tuple[str, str | None], Nasty]] = []
    for nasty in strings:
        key = nasty.name, nasty.plain
        group = next((group for group in groups if key not in group), None)
        if group is None:
            groups.append(group := {})
        group[key] = nasty
    yield from (list(group.values()) for group in groups)


def of_annotations(group: Iterable[tuple[str, str | None]]) -> list[Manifest]:
    """An Ingress for each annotation with its value, on a host of its own; canaries have one to add to."""
    items = [*UPSTREAM, manifest("v1", "ConfigMap", "gen", "t1", data=SNIPPETS)]
    for number, (name, text) in enumerate(group):
        rules = {f"h{number}.example": [path("/", "s")]}
        items.append(ingress(f"i{number}", "t1", rules, annotations=asking(name, text) if text is not None else {}))
        if name.startswith("canary"):
            items += [ingress(f"m{number}", "t1", {f"h{number}.example": [path("/", "main")]}), *MAIN]
    return items


def of_key(name: str, text: str | None) -> list[Manifest]:
    """A global ConfigMap with one key, or empty."""
    data = {} if text is None else {name: text, **COMPANIONS.get(name, {})}
    annotations = {"nginx.ingress.kubernetes.io/auth-url": "http://a.example/"} if name.startswith("global-") else {}
    item = ingress("i", "t1", {"h.example": [path("/", "s")]}, annotations=annotations)
    return [*UPSTREAM, item, manifest("v1", "ConfigMap", "gen", "t1", data=data)]


COMPANIONS = {
    "global-auth-signin": {"global-auth-url": "http://a.example/"},
    "global-auth-request-redirect": {"global-auth-url": "http://a.example/"},
    "proxy-redirect-from": {"proxy-redirect-to": "http://b/"},
    "proxy-redirect-to": {"proxy-redirect-from": "http://b/"},
    "gzip-types": {"use-gzip": "true"},
}


def shape(backend: str, objects: Iterable[Manifest], folder: Path) -> skeleton.Skeleton:
    """The skeleton of what a backend renders."""
    proxy = load_backend(Flags(backend=backend, proxy_version=VERSIONS[backend], resolver=("127.0.0.1",)))
    config = translate(objects, PROFILE).config
    bundle = proxy.render(fit(config, proxy.features, proxy.lacks)[0])
    for name, content in bundle.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return skeleton.OF[backend](folder)


def difference(one: skeleton.Skeleton, other: skeleton.Skeleton) -> str:
    """What is only in one of two skeletons, "" where they are equal."""
    return f"{one - other}\n{other - one}"[:2000] if one != other else ""


ANNOTATIONS = [nasty for name, row in ROWS.items() for nasty in accepted(name, row.parse)]
KEYS = [
    nasty
    for name, row in BY_NAME.items()
    if name not in GATES and (found := list(accepted(name, row.parse)))
    for nasty in found[:: len(found) // MOST + 1]
]


def test_there_is_something_to_judge() -> None:
    assert len(ANNOTATIONS) > 500
    assert len(KEYS) > 200


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_skeleton_stays_with_annotations(backend: str, tmp_path: Path) -> None:
    for number, group in enumerate(batches(ANNOTATIONS)):
        nasty = of_annotations((each.name, each.text) for each in group)
        plain = of_annotations((each.name, each.plain) for each in group)
        shapes = [shape(backend, objects, tmp_path / f"{number}-{kind}") for kind, objects in enumerate((nasty, plain))]
        assert not difference(*shapes), [(each.name, each.text) for each in group]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_skeleton_stays_with_keys(backend: str, tmp_path: Path) -> None:
    for number, each in enumerate(KEYS):
        shapes = [
            shape(backend, of_key(each.name, text), tmp_path / f"{number}-{kind}")
            for kind, text in enumerate((each.text, each.plain))
        ]
        assert not difference(*shapes), each
