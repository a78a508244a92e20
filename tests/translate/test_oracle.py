"""The oracle and the model agree on who answers; the oracle shares no code with translation."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.ir import Host
from tests.live.manifests import Manifest, backend, ingress, path
from tests.translate.matcher import service_for
from tests.translate.oracle import answer
from tests.translate.translating import FILES, translate

HOSTS = ("a.example", "b.a.example", "*.a.example", "*.b.a.example", "c.example", "")
ASKED = ("a.example", "b.a.example", "x.a.example", "x.b.a.example", "y.x.a.example", "c.example", "other.example")
elements = st.sampled_from(("a", "b", "ab", "A", "a.b", "%C3%A9", "a%20b"))
texts = st.builds(
    lambda parts, slash: "/" + "/".join(parts) + ("/" if parts and slash else ""),
    st.lists(elements, max_size=3),
    st.booleans(),
)
services = st.sampled_from(("s0", "s1", "s2", "s3"))


def paths() -> st.SearchStrategy[Manifest]:
    kinds = st.sampled_from(("Exact", "Prefix", "ImplementationSpecific"))
    return st.builds(lambda text, name, kind: path(text, name, kind=kind), texts, services, kinds)


@st.composite
def worlds(draw: st.DrawFn) -> list[Manifest]:
    items = []
    for number in range(draw(st.integers(1, 5))):
        hosts = draw(st.lists(st.sampled_from(HOSTS), max_size=3, unique=True))
        item = ingress(
            f"i{number}",
            draw(st.sampled_from(("t1", "t2"))),
            {host: draw(st.lists(paths(), max_size=4)) for host in hosts},
            default=draw(st.none() | services.map(backend)),
            created=draw(st.sampled_from(("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"))),
        )
        items.append(item)
    return items


@given(worlds(), st.lists(st.tuples(st.sampled_from(ASKED), texts), min_size=1, max_size=20))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_model_answers_as_the_oracle_says(items: list[Manifest], asked: list[tuple[str, str]]) -> None:
    config = translate(items).config
    for host, text in asked:
        assert service_for(config, host, text) == answer(items, host, text), (host, text)


@given(worlds(), st.sampled_from(("spec", "ingress-nginx")))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_every_host_is_complete_and_in_match_order(items: list[Manifest], profile: Any) -> None:
    config = translate(items, msgspec.structs.replace(FILES, profile=profile)).config
    assert "" in config.hosts
    assert list(config.hosts) == sorted(config.hosts)
    for host in config.hosts.values():
        assert host.routes[-1].match.kind == "prefix"
        assert host.routes[-1].match.path == "/"
        assert order(host) == sorted(order(host))
        assert len({route.match for route in host.routes}) == len(host.routes)


def order(host: Host) -> list[tuple[int, int]]:
    return [(("exact", "regex", "prefix").index(route.match.kind), -len(route.match.path)) for route in host.routes]


def test_the_oracle_reads_paths_as_a_proxy_does() -> None:
    items = [ingress("i", "t1", {"a.example": [path("/a b", "exact", kind="Exact"), path("/x", "prefix")]})]
    assert answer(items, "A.example:8080", "/a%20b?q=/x") == "exact"
    assert answer(items, "a.example.", "//y/../x/./z") == "prefix"
    assert answer(items, "a.example", "/xy") is None
    assert answer(items, "b.example", "/x") is None
