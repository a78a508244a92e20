"""Which Ingresses count: class, namespace, deletion, catch-all."""

from __future__ import annotations

import msgspec
import pytest

from gen.errors import UsageError
from gen.translate import Settings, Translator
from tests.live.manifests import Manifest, backend, ingress, manifest, path
from tests.translate.translating import FILES, codes, translate

OURS, THEIRS = "ingress-gen/controller", "example.com/other"
CLUSTER = msgspec.structs.replace(FILES, assume_class=False)
STRICT = msgspec.structs.replace(CLUSTER, watch_without_class=False)
STRICT_FILES = msgspec.structs.replace(FILES, watch_without_class=False)
BY_NAME = msgspec.structs.replace(STRICT, ingress_class_by_name=True)


def web(class_name: str = "", legacy: str = "", namespace: str = "t1") -> Manifest:
    annotations = {"kubernetes.io/ingress.class": legacy} if legacy else {}
    item = ingress("i", namespace, {"a.example": [path("/", "s")]}, annotations=annotations)
    item["spec"].pop("ingressClassName")
    item["spec"] |= {"ingressClassName": class_name} if class_name else {}
    return item


def ingress_class(name: str, controller: str, *, is_default: bool = False, created: str = "") -> Manifest:
    item = manifest("networking.k8s.io/v1", "IngressClass", name, spec={"controller": controller})
    item["metadata"]["annotations"] = {"ingressclass.kubernetes.io/is-default-class": str(is_default).lower()}
    return item | {"metadata": item["metadata"] | {"creationTimestamp": created}}


def counts(item: Manifest, *classes: Manifest, settings: Settings) -> bool:
    found = translate([item, *classes], settings)
    assert ("a.example" in found.config.hosts) is not ("ClassNotOurs" in codes(found, "info"))
    return "a.example" in found.config.hosts


CLASSES = {
    "a class of our controller": (web("x"), [ingress_class("x", OURS)], STRICT, True),
    "a class of another controller": (web("gen"), [ingress_class("gen", THEIRS)], STRICT, False),
    "a class that is absent": (web("gen"), [], STRICT, False),
    "a class that is absent from files": (web("gen"), [], STRICT_FILES, True),
    "another class that is absent from files": (web("x"), [], STRICT_FILES, False),
    "a class of another controller in files": (web("gen"), [ingress_class("gen", THEIRS)], STRICT_FILES, False),
    "a class by name": (web("gen"), [ingress_class("gen", THEIRS)], BY_NAME, True),
    "another class by name": (web("x"), [ingress_class("x", THEIRS)], BY_NAME, False),
    "a class of our controller though by name": (web("x"), [ingress_class("x", OURS)], BY_NAME, True),
    "the legacy annotation": (web("", "gen"), [], STRICT, True),
    "another legacy annotation": (web("", "x"), [ingress_class("x", OURS)], CLUSTER, False),
    "the field before the annotation": (web("gen", "x"), [ingress_class("gen", OURS)], STRICT, True),
    "the annotation after the field": (web("x", "gen"), [ingress_class("x", THEIRS)], CLUSTER, False),
    "no class": (web(), [], STRICT, False),
    "no class, watched": (web(), [], CLUSTER, True),
    "a default class in files": (web(), [ingress_class("x", OURS, is_default=True)], STRICT_FILES, True),
    "a default class of another": (web(), [ingress_class("x", THEIRS, is_default=True)], STRICT_FILES, False),
    "a class that is not the default": (web(), [ingress_class("x", OURS)], STRICT_FILES, False),
    "a default class in a cluster": (web(), [ingress_class("x", OURS, is_default=True)], STRICT, False),
    "the newest default class": (
        web(),
        [
            ingress_class("a", OURS, is_default=True, created="2026-01-02T00:00:00Z"),
            ingress_class("b", THEIRS, is_default=True, created="2026-01-01T00:00:00Z"),
        ],
        STRICT_FILES,
        True,
    ),
}


@pytest.mark.parametrize(("item", "classes", "settings", "wanted"), CLASSES.values(), ids=list(CLASSES))
def test_classes(item: Manifest, classes: list[Manifest], settings: Settings, wanted: bool) -> None:
    assert counts(item, *classes, settings=settings) is wanted


def test_an_object_that_is_being_deleted() -> None:
    item = web("gen")
    item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = translate([item])
    assert set(found.config.hosts) == {""}
    assert "Deleted" in codes(found, "info")


def test_namespaces_by_name() -> None:
    watched = msgspec.structs.replace(FILES, watch_namespaces=frozenset(("t1",)))
    assert "a.example" in translate([web("gen")], watched).config.hosts
    found = translate([web("gen", namespace="t2")], watched)
    assert set(found.config.hosts) == {""}
    assert "NamespaceNotWatched" in codes(found, "info")


SELECTORS = {
    "env=prod": True,
    "env==prod": True,
    "env = prod , team": True,
    "env!=prod": False,
    "env!=test": True,
    "absent!=x": True,
    "env in (test, prod)": True,
    "env notin (test,prod)": False,
    "absent notin (x)": True,
    "env": True,
    "absent": False,
    "!absent": True,
    "!env": False,
    "env=prod,team=b": False,
    "example.com/tier=1": True,
}


@pytest.mark.parametrize(("selector", "wanted"), SELECTORS.items())
def test_namespaces_by_label(selector: str, wanted: bool) -> None:
    space = manifest("v1", "Namespace", "t1")
    space["metadata"]["labels"] = {"env": "prod", "team": "a", "example.com/tier": "1"}
    found = translate([web("gen"), space], msgspec.structs.replace(FILES, namespace_selector=selector))
    assert ("a.example" in found.config.hosts) is wanted


def test_a_namespace_that_is_absent_has_no_labels() -> None:
    assert set(translate([web("gen")], msgspec.structs.replace(FILES, namespace_selector="env")).config.hosts) == {""}


@pytest.mark.parametrize("selector", ["=x", "a b", "a=b,", "a in b", "!a=b", "a=b c", ",a", "a in (b", "(a)"])
def test_what_is_no_selector_is_said_at_once(selector: str) -> None:
    with pytest.raises(UsageError, match="label selector"):
        Translator(msgspec.structs.replace(FILES, namespace_selector=selector))


def test_catch_all_ingresses_can_be_switched_off() -> None:
    settings = msgspec.structs.replace(FILES, disable_catch_all=True)
    item = ingress("i", "t1", {"a.example": [path("/", "s")]}, default=backend("d"))
    found = translate([item, ingress("j", "t1", {"b.example": [path("/", "s")]})], settings)
    assert set(found.config.hosts) == {"", "b.example"}
    assert "CatchAllDisabled" in codes(found, "error")
