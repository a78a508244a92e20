"""What is left of objects on arrival: all that matters, and nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gen.k8s import EndpointSlice, Ingress, Object, Secret, decode
from gen.sources.kube.trim import SERVICE_NAME, trimmed
from gen.sources.manifests import read
from gen.store import Change, Store
from gen.translate import Settings, Translation, Translator
from tests.cluster import objects

CASES = Path(__file__).parents[1] / "cases"
FOLDERS = sorted(path for path in CASES.iterdir() if path.is_dir())
SETTINGS = Settings(assume_class=True, allow_loopback=True, allow_external_name=True, namespace_selector="!nobody")


def translated(items: list[Object]) -> Translation:
    from gen.k8s import ref_of

    store = Store()
    store.apply(Change(ref_of(item), item) for item in items)
    return Translator(SETTINGS).translate(store)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_nothing_that_matters_is_lost(folder: Path) -> None:
    found = False
    for file in sorted(folder.rglob("in.yaml")):
        items = list(read([str(file)]).objects.values())
        assert translated(list(map(trimmed, items))) == translated(items), file
        found = True
    assert found


def arrived(item: objects.Json) -> Object:
    return trimmed(decode(item["kind"], msgspec.json.encode(item)))


def test_labels_and_annotations_go_where_nobody_reads_them() -> None:
    made = objects.endpoint_slice("web-1", "10.0.0.1", "10.0.0.2")
    before = arrived(made)
    made["metadata"]["labels"]["app"] = "web"
    made["metadata"]["annotations"] = {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}
    assert arrived(made) == before
    assert before.metadata.labels == {SERVICE_NAME: "web"}
    ingress = objects.ingress("one")
    ingress["metadata"] |= {"labels": {"a": "b"}, "annotations": {"nginx.ingress.kubernetes.io/app-root": "/x"}}
    kept = arrived(ingress)
    assert (kept.metadata.labels, kept.metadata.annotations) == (None, ingress["metadata"]["annotations"])
    secret = arrived(objects.secret("tls"))
    assert isinstance(secret, Secret)
    assert secret.data


def test_equal_parts_are_one() -> None:
    first, second = (arrived(objects.endpoint_slice(f"web-{number}", f"10.0.0.{number}")) for number in (1, 2))
    assert isinstance(first, EndpointSlice)
    assert isinstance(second, EndpointSlice)
    assert first.ports is second.ports
    assert first.endpoints
    assert second.endpoints
    assert first.endpoints[0].conditions is second.endpoints[0].conditions
    one = arrived(objects.ingress("one"))
    assert isinstance(one, Ingress)


def test_a_backend_that_is_no_service_is_left_as_it_is() -> None:
    made = objects.ingress("one")
    made["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {"resource": {"kind": "Bucket", "name": "x"}}
    assert arrived(made) == decode("Ingress", msgspec.json.encode(made))
