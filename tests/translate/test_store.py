"""The store tells what a change touches, and a reader writes down what it was asked."""

from __future__ import annotations

from gen.k8s import EndpointSlice, Ingress, Ref, Service
from gen.store import Change, Lookup, Reader, Store
from tests.live.manifests import Manifest, backend, endpoint_slice, ingress, path, service
from tests.translate.translating import objects, store_of


def change(item: Manifest) -> Change:
    parsed = objects([item])[0]
    return Change(Ref(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]), parsed)


def host(name: str) -> Lookup:
    return Lookup("ingresses by host", name)


WEB = Ref("Ingress", "t1", "i")


def web(*hosts: str) -> Manifest:
    return ingress("i", "t1", {name: [path("/", "s")] for name in hosts})


def test_a_new_object_touches_itself_and_its_entries() -> None:
    touched = Store().apply([change(web("A.example", ""))])
    assert touched == {WEB, Lookup("kind", "Ingress"), host("a.example"), host("")}


def test_the_same_object_again_touches_nothing() -> None:
    store = Store()
    store.apply([change(web("a.example"))])
    assert store.apply([change(web("a.example"))]) == frozenset()
    assert store.apply([Change(Ref("Ingress", "t1", "other"), None)]) == frozenset()


def test_a_changed_object_touches_the_entries_that_moved() -> None:
    store = Store()
    store.apply([change(web("a.example", "b.example"))])
    assert store.apply([change(web("b.example", "c.example"))]) == {WEB, host("a.example"), host("c.example")}
    assert store.find(host("a.example")) == ()
    assert store.find(host("b.example")) == (WEB,)
    assert set(store.keys("ingresses by host")) == {"b.example", "c.example"}


def test_a_deleted_object_leaves_nothing_behind() -> None:
    store = Store()
    store.apply([change(web("a.example"))])
    assert store.apply([Change(WEB, None)]) == {WEB, Lookup("kind", "Ingress"), host("a.example")}
    assert len(store) == 0
    assert not list(store.keys("ingresses by host"))
    assert not store.has(Lookup("kind", "Ingress"))


def test_an_ingress_without_rules_speaks_of_the_catch_all() -> None:
    store = store_of(objects([ingress("d", "t1", {}, default=backend("s"))]))
    assert store.find(host("")) == (Ref("Ingress", "t1", "d"),)


def test_a_reader_writes_down_hits_and_misses() -> None:
    read = Reader(store_of(objects([service("s", "t1"), endpoint_slice("s", "t1", ["10.0.0.1"])])))
    assert read.get(Service, "t1", "s") is not None
    assert read.get(Service, "t1", "missing") is None
    assert [item.metadata.name for item in read.find(EndpointSlice, "slices by service", "t1/s")] == ["s-1"]
    assert read.find(EndpointSlice, "slices by service", "t1/missing") == ()
    assert not read.has("kind", "Secret")
    assert read.refs("ingresses by host", "x") == ()
    assert read.reads == {
        Ref("Service", "t1", "s"),
        Ref("Service", "t1", "missing"),
        Ref("EndpointSlice", "t1", "s-1"),
        Lookup("slices by service", "t1/s"),
        Lookup("slices by service", "t1/missing"),
        Lookup("kind", "Secret"),
        host("x"),
    }


def test_references_are_found_without_reading_the_objects() -> None:
    read = Reader(store_of(objects([web("a.example")])))
    assert read.refs("ingresses by host", "a.example") == (WEB,)
    assert read.reads == {host("a.example")}
    assert [item.metadata.name for item in read.find(Ingress, "kind", "Ingress")] == ["i"]
    assert WEB in read.reads
