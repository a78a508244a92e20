"""The views of objects: what is tolerated, what is refused, and in which words."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.errors import BadValue
from gen.k8s import Ingress, Object, decode, is_name, parse
from tests.sources.samples import OBJECTS


def ingress(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a"}, "spec": spec}


def port(number: object) -> dict[str, Any]:
    service = {"name": "s", "port": {"number": number}}
    return ingress(rules=[{"http": {"paths": [{"backend": {"service": service}}, {"backend": {"service": service}}]}}])


PORT = "spec.rules[0].http.paths[0].backend.service.port"
REFUSED: dict[str, tuple[str, Any, str, str]] = {
    "string for a number": ("Ingress", port("80"), "BadType", f"{PORT}.number: expected an integer, got a string"),
    "boolean for a number": ("Ingress", port(True), "BadType", f"{PORT}.number: expected an integer, got a boolean"),
    "fraction": ("Ingress", port(80.5), "BadType", f"{PORT}.number: expected an integer, got a number with a fraction"),
    "neither name nor number": ("Ingress", port(None), "BadType", f"{PORT}: expected a name or a number"),
    "null in a list": ("Ingress", ingress(rules=[{}, None]), "BadType", "spec.rules[1]: expected a mapping, got null"),
    "mapping for a list": ("Ingress", ingress(tls={}), "BadType", "spec.tls: expected a list, got a mapping"),
    "string for a list": (
        "Ingress",
        ingress(tls=[{"hosts": "a"}]),
        "BadType",
        "spec.tls[0].hosts: expected a list, got a string",
    ),
    "no spec": ("Ingress", {"metadata": {"name": "a"}}, "BadType", "spec: it is missing"),
    "no name of a Service": (
        "Ingress",
        ingress(defaultBackend={"service": {}}),
        "BadType",
        "spec.defaultBackend.service.name: it is missing",
    ),
    "path type": (
        "Ingress",
        ingress(rules=[{"http": {"paths": [{"pathType": 5}]}}]),
        "InvalidPathType",
        "spec.rules[0].http.paths[0].pathType: expected a string, got an integer",
    ),
    "target port": (
        "Service",
        {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80, "targetPort": 1.5}]}},
        "BadType",
        "spec.ports[0].targetPort: expected an integer or a string, got a number with a fraction",
    ),
    "port of a slice": (
        "EndpointSlice",
        {"metadata": {"name": "a"}, "ports": [{"port": "80"}]},
        "PortOutOfRange",
        "ports[0].port: expected an integer, got a string",
    ),
    "annotation": (
        "Ingress",
        {"metadata": {"name": "a", "annotations": {"x": "1", "y.z/v": 2}}, "spec": {}},
        "BadType",
        "metadata.annotations[y.z/v]: expected a string, got an integer",
    ),
    "annotations": (
        "Ingress",
        {"metadata": {"name": "a", "annotations": ["x"]}, "spec": {}},
        "BadType",
        "metadata.annotations: expected a mapping, got a list",
    ),
    "data": ("Secret", {"metadata": {"name": "a"}, "data": ["x"]}, "BadType", "data: expected a mapping, got a list"),
    "value in data": (
        "ConfigMap",
        {"metadata": {"name": "a"}, "data": {"k": 8080}},
        "BadType",
        "data[k]: expected a string, got an integer",
    ),
    "no object": ("Ingress", [], "BadType", "expected a mapping, got a list"),
    "name": (
        "Ingress",
        {"metadata": {"name": "x\n}"}, "spec": {}},
        "BadName",
        "metadata.name: expected a name of lower-case letters, digits and dashes, got 'x\\n}'",
    ),
    "long name": ("Ingress", {"metadata": {"name": "x" * 254}, "spec": {}}, "BadName", "x" * 60 + "'"),
    "dot in the name of a Service": ("Service", {"metadata": {"name": "a.b"}, "spec": {}}, "BadName", "got 'a.b'"),
    "namespace": (
        "Ingress",
        {"metadata": {"name": "a", "namespace": "../b"}, "spec": {}},
        "BadName",
        "metadata.namespace: expected",
    ),
    "no name": ("Ingress", {"metadata": {}, "spec": {}}, "BadName", "dashes, it is missing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    kind, raw, code, words = REFUSED[name]
    with pytest.raises(BadValue) as caught:
        parse(kind, raw)
    assert caught.value.code == code
    assert str(caught.value).endswith(words) or words in str(caught.value)
    assert str(caught.value).startswith(caught.value.field)


TOLERATED: dict[str, tuple[str, Any, Any]] = {
    "labels that are no map": ("Ingress", {"labels": [1]}, {}),
    "labels with other values": ("Ingress", {"labels": {"a": 1, "b": "c", "d": None}}, {"b": "c", "d": ""}),
    "null annotation": ("Ingress", {"annotations": {"a": None}}, {"a": ""}),
    "unknown fields": ("Ingress", {"managedFields": [{"x": [[[]]]}], "generation": 1}, None),
    "null everywhere": ("Ingress", {"labels": None, "annotations": None, "creationTimestamp": None, "uid": None}, None),
}


@pytest.mark.parametrize("name", TOLERATED)
def test_tolerated(name: str) -> None:
    kind, meta, expected = TOLERATED[name]
    item = parse(kind, {"metadata": {"name": "a", **meta}, "spec": {"rules": None, "tls": None}, "status": {}})
    assert isinstance(item, Ingress)
    assert (item.metadata.annotations or item.metadata.labels or None) == (expected or None)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        *((text, True) for text in ("a", "a-1.b", "1", "a" * 253)),
        *((text, False) for text in ("a" * 254, "A", "-a", "a-", "a..b", ".", "a_b", "a\n", "", "é")),
    ],
)
def test_name(text: str, is_one: bool) -> None:
    assert is_name(text) is is_one


@given(st.data())
def test_json_gives_what_plain_values_give(data: st.DataObject) -> None:
    """Whatever is put in the place of anything."""
    raw = copy.deepcopy(data.draw(st.sampled_from(OBJECTS)))
    parent = raw
    while True:
        key = data.draw(st.sampled_from(sorted(parent))) if isinstance(parent, dict) else 0
        if not isinstance(parent[key], dict | list) or not parent[key] or data.draw(st.booleans()):
            break
        parent = parent[key]
    parent[key] = data.draw(
        st.sampled_from([None, True, 1, 1.5, "x", [], {}, [None], [{}], {"a": None}, {"a": 1}, 10**30])
    )
    kind = "Ingress" if "rules" in json.dumps(raw) else "Service"
    assert outcome(lambda: decode(kind, json.dumps(raw).encode())) == outcome(lambda: parse(kind, raw))


def outcome(read: Any) -> Object | tuple[str, str]:
    try:
        item: Object = read()
    except BadValue as error:
        return error.code, str(error)
    return item
