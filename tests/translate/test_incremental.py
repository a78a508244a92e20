"""After any history of changes the incremental result is the cold one, and what did not change is the same object."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.ir import Forward, Weighted
from gen.k8s import Object, parse, ref_of
from gen.policy import certificates_of, upstreams_of
from gen.store import Change, Store
from gen.translate import Settings, Translation, Translator
from tests.live.certificates import issue
from tests.live.manifests import Manifest, backend, endpoint_slice, ingress, manifest, path, service, tls_secret
from tests.translate.translating import FILES, objects, store_of, translate

NAMESPACES = ("t1", "t2")
NAMES = ("a", "b", "c")
HOSTS = ("a.example", "*.a.example", "x.a.example", "www.a.example", "")
PREFIX = "nginx.ingress.kubernetes.io/"
PAIRS = [issue("a.example"), issue("*.a.example"), (b"", b"")]
namespaces = st.sampled_from(NAMESPACES)
names = st.sampled_from(NAMES)

VARIANTS: tuple[Settings, ...] = (
    FILES,
    msgspec.structs.replace(FILES, profile="ingress-nginx"),
    msgspec.structs.replace(FILES, offline=True, default_backend_service="t1/a", default_certificate="t2/a"),
    msgspec.structs.replace(
        FILES,
        watch_without_class=False,
        assume_class=False,
        namespace_selector="watch=yes",
        configmap="t1/a",
        allow_loopback=False,
    ),
)


def ingresses() -> st.SearchStrategy[Manifest]:
    paths = st.builds(
        lambda text, name, kind, port: path(text, name, port, kind=kind),
        st.sampled_from(("/", "/a", "/a/", "/a/b", "/../")),
        names,
        st.sampled_from(("Prefix", "Exact")),
        st.sampled_from((80, 81, "http")),
    )
    rules = st.dictionaries(st.sampled_from(HOSTS), st.lists(paths, max_size=3), max_size=3)
    annotations = st.sampled_from(
        (
            {},
            {PREFIX + "permanent-redirect": "https://x.example/"},
            {PREFIX + "auth-url": "x"},
            {PREFIX + "nonsense": "x"},
            {PREFIX + "canary": "true", PREFIX + "canary-weight": "5"},
            {PREFIX + "rewrite-target": "/x"},
            {PREFIX + "server-alias": "x.a.example,b.example"},
            {PREFIX + "from-to-www-redirect": "true"},
            {PREFIX + "auth-type": "basic", PREFIX + "auth-secret": "a"},
            {PREFIX + "auth-tls-secret": "t1/a"},
            {PREFIX + "default-backend": "b", PREFIX + "custom-http-errors": "404"},
            {PREFIX + "auth-url": "http://c.t2.svc.cluster.local/", PREFIX + "auth-proxy-set-headers": "a"},
            {PREFIX + "proxy-ssl-secret": "b", PREFIX + "service-upstream": "true"},
        )
    )
    return st.builds(
        lambda name, namespace, rules, annotations, tls, default, created, class_name: ingress(
            name,
            namespace,
            rules,
            annotations=annotations,
            tls=tls,
            default=default,
            created=created,
            class_name=class_name,
        ),
        names,
        namespaces,
        rules,
        annotations,
        st.dictionaries(names, st.lists(st.sampled_from(HOSTS[:3]), max_size=2), max_size=2),
        st.none() | names.map(backend),
        st.sampled_from(("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "")),
        st.sampled_from(("gen", "gen", "other")),
    )


def services() -> st.SearchStrategy[Manifest]:
    def build(name: str, namespace: str, target: str) -> Manifest:
        item = service(name, namespace)
        item["spec"] |= {"type": "ExternalName", "externalName": target} if target else {}
        return item

    targets = st.sampled_from(("", "", "a.t1.svc.cluster.local", "b.t2.svc.cluster.local", "x.example"))
    return st.builds(build, names, namespaces, targets)


def endpoints() -> st.SearchStrategy[Manifest]:
    addresses = st.lists(st.sampled_from(("10.0.0.1", "10.0.0.2", "127.0.0.1", "nonsense")), max_size=3)
    slices = st.builds(
        lambda name, namespace, found, suffix: endpoint_slice(name, namespace, found, suffix=suffix),
        names,
        namespaces,
        addresses,
        st.sampled_from(("1", "2")),
    )
    old = st.builds(
        lambda name, namespace, found: manifest(
            "v1",
            "Endpoints",
            name,
            namespace,
            subsets=[{"addresses": [{"ip": ip} for ip in found], "ports": [{"name": "http", "port": 8080}]}],
        ),
        names,
        namespaces,
        addresses,
    )
    return slices | old


def others() -> st.SearchStrategy[Manifest]:
    secrets = st.builds(
        lambda name, namespace, pair: tls_secret(name, namespace, *pair), names, namespaces, st.sampled_from(PAIRS)
    )
    classes = st.builds(
        lambda name, controller: manifest(
            "networking.k8s.io/v1", "IngressClass", name, spec={"controller": controller}
        ),
        st.sampled_from(("gen", "other")),
        st.sampled_from(("ingress-gen/controller", "another/one")),
    )
    spaces = st.builds(labelled_namespace, namespaces, st.sampled_from(("yes", "no")))
    maps = st.builds(
        lambda count: manifest("v1", "ConfigMap", "a", "t1", data=dict([count])),
        st.sampled_from(
            (
                ("worker-processes", "2"),
                ("worker-processes", "many"),
                ("force-ssl-redirect", "true"),
                ("global-auth-url", "http://a.example/"),
                ("add-headers", "t1/a"),
                ("annotations-risk-level", "Low"),
            )
        ),
    )
    return secrets | classes | spaces | maps


def labelled_namespace(name: str, watch: str) -> Manifest:
    item = manifest("v1", "Namespace", name)
    item["metadata"]["labels"] = {"watch": watch}
    return item


def parsed(item: Manifest) -> Object:
    return parse(item["kind"], item)


anything = (ingresses() | ingresses() | services() | endpoints() | others()).map(parsed)
changes = st.builds(
    lambda item, is_gone: Change(ref_of(item), None if is_gone else item),
    anything,
    st.sampled_from((False, False, True)),
)
histories = st.lists(st.lists(changes, min_size=1, max_size=8), min_size=1, max_size=8)


def settle(items: dict[Any, Object], batch: list[Change]) -> None:
    for change in batch:
        if change.object is None:
            items.pop(change.ref, None)
        else:
            items[change.ref] = change.object


@given(histories, st.sampled_from(VARIANTS))
@settings(max_examples=250, deadline=None, derandomize=True)
def test_incremental_is_cold(history: list[list[Change]], variant: Settings) -> None:
    store, translator = Store(), Translator(variant)
    items: dict[Any, Object] = {}
    before: Translation | None = None
    for batch in history:
        after = translator.translate(store, store.apply(batch))
        settle(items, batch)
        assert after == Translator(variant).translate(store_of(items.values()))
        if before:
            assert_kept(before, after)
        before = after


def assert_kept(before: Translation, after: Translation) -> None:
    """What is equal is the same object."""
    if before.config == after.config:
        assert before.config is after.config
    for field in ("hosts", "upstreams", "certificates"):
        old, new = getattr(before.config, field), getattr(after.config, field)
        assert (old is new) == (old == new)
        for name in old.keys() & new.keys():
            assert (old[name] is new[name]) == (old[name] == new[name])


@given(st.lists(anything, max_size=25), st.randoms(use_true_random=False), st.sampled_from(VARIANTS))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_order_of_arrival_does_not_matter(items: list[Object], random: Any, variant: Settings) -> None:
    latest = list({ref_of(item): item for item in items}.values())
    cold = Translator(variant).translate(store_of(latest))
    random.shuffle(latest)
    store, translator = Store(), Translator(variant)
    result = translator.translate(store)
    for item in (*latest, *latest):
        result = translator.translate(store, store.apply([Change(ref_of(item), item)]))
    assert result == cold


@given(histories)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_config_holds_what_it_names_and_nothing_else(history: list[list[Change]]) -> None:
    store, translator = Store(), Translator(FILES)
    for batch in history:
        config = translator.translate(store, store.apply(batch)).config
        routes = [route for host in config.hosts.values() for route in host.routes]
        named = {part.upstream for route in routes for part in getattr(route.action, "split", ())}
        named.update(upstream for route in routes for upstream in upstreams_of(route.policy))
        assert set(config.upstreams) == named
        wanted = {host.certificate for host in config.hosts.values()} | {config.options.default_certificate}
        wanted.update(one for route in routes for one in certificates_of(route.policy))
        assert set(config.certificates) == wanted - {""}


def test_nothing_is_kept_of_what_is_gone() -> None:
    items = objects(
        [
            ingress("i", "t1", {"a.example": [path("/", "a")]}, tls={"a": ["a.example"]}),
            service("a", "t1"),
            endpoint_slice("a", "t1", ["10.0.0.1"]),
            tls_secret("a", "t1", *PAIRS[0]),
        ]
    )
    store, translator = Store(), Translator(FILES)
    empty = translator.translate(store)
    size = len(translator._units)
    translator.translate(store, store.apply(Change(ref_of(item), item) for item in items))
    assert len(translator._units) > size
    again = translator.translate(store, store.apply(Change(ref_of(item), None) for item in items))
    assert again == empty
    assert len(translator._units) == size
    assert (
        not translator._units._readers.keys() - {ref_of(items[0])} - translator._units._memo.keys() - untouched(store)
    )


def untouched(store: Store) -> set[object]:
    """Keys that the units of an empty store read."""
    translator = Translator(FILES)
    translator.translate(store)
    return set(translator._units._readers)


def test_one_endpoint_touches_one_upstream() -> None:
    items = [ingress(f"i{n}", "t1", {f"h{n}.example": [path("/", "a")]}) for n in range(20)]
    store, translator = Store(), Translator(FILES)
    everything = objects([*items, service("a", "t1"), endpoint_slice("a", "t1", ["10.0.0.1"])])
    before = translator.translate(store, store.apply(Change(ref_of(item), item) for item in everything)).config
    moved = parsed(endpoint_slice("a", "t1", ["10.0.0.2"]))
    after = translator.translate(store, store.apply([Change(ref_of(moved), moved)])).config
    assert after.hosts is before.hosts
    assert [endpoint.address for endpoint in after.upstreams["t1/a:80"].endpoints] == ["10.0.0.2"]


def test_translating_twice_gives_the_same_object() -> None:
    items = [ingress("i", "t1", {"a.example": [path("/", "a")]}), service("a", "t1")]
    store, translator = store_of(objects(items)), Translator(FILES)
    assert translator.translate(store).config is translator.translate(store).config
    assert translator.translate(store, frozenset()).config is translator.translate(store).config
    assert translator.translate(store) == translate(items)


BROKEN = {
    "ingress": "gen.translate.ingress.refusal",
    "host": "gen.translate.host._Building",
    "upstream": "gen.translate.upstream._Resolving",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_fault_of_gen_costs_one_unit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [
        ingress("bad", "t1", {"bad.example": [path("/", "bad")]}),
        ingress("good", "t1", {"good.example": [path("/", "good")]}),
        *(service("bad", "t1"), service("good", "t1"), endpoint_slice("good", "t1", ["10.0.0.1"])),
    ]
    module, _, attribute = BROKEN[kind].rpartition(".")
    original = getattr(sys.modules[module], attribute)

    def fails_for_the_bad_one(*arguments: Any) -> Any:
        if any("bad" in str(argument) for argument in arguments if not isinstance(argument, Settings)):
            raise KeyError("a secret value")
        return original(*arguments)

    monkeypatch.setattr(BROKEN[kind], fails_for_the_bad_one)
    found = translate(items)
    assert [issue.code for issue in found.issues if issue.severity == "error"] == ["InternalError"]
    assert "secret" not in found.issues[0].message
    assert found.config.hosts["good.example"].routes[0].action == Forward((Weighted("t1/good:80"),))
    assert found.config.upstreams["t1/good:80"].endpoints
    assert all(upstream.id != "t1/bad:80" or not upstream.endpoints for upstream in found.config.upstreams.values())
