"""Annotations cost little: a world with five on each Ingress translates in at most twice the time of one without."""

from __future__ import annotations

from collections.abc import Mapping
from time import process_time

import pytest

from gen.k8s import parse, ref_of
from gen.store import Change, Store
from gen.translate import Translator
from tests.live.manifests import endpoint_slice, service
from tests.translate.profile import NGINX, annotated

WORLDS = {
    "values": {
        "proxy-body-size": "8m",
        "proxy-read-timeout": "30",
        "enable-cors": "true",
        "cors-allow-origin": "https://a.example, https://b.example",
        "whitelist-source-range": "10.0.0.0/8,192.168.0.0/16",
    },
    "regexes": {
        "rewrite-target": "/$2",
        "use-regex": "true",
        "ssl-redirect": "true",
        "limit-rps": "10",
        "affinity": "cookie",
    },
}
INGRESSES, ROUNDS, MOST = 400, 5, 2.0


def store(annotations: Mapping[str, str], behind: str) -> Store:
    found = Store()
    for number in range(INGRESSES):
        name = f"s{number}"
        paths = {f"/{number}{letter}{behind}": name for letter in "abc"}
        items = (
            annotated(f"i{number}", f"h{number}.example", paths, annotations),
            service(name, "t1"),
            endpoint_slice(name, "t1", [f"10.0.{number // 250}.{number % 250 + 1}"]),
        )
        objects = [parse(item["kind"], item) for item in items]
        found.apply(Change(ref_of(item), item) for item in objects)
    return found


def cost(given: Store) -> float:
    start = process_time()
    Translator(NGINX).translate(given)
    return process_time() - start


@pytest.mark.parametrize("kind", sorted(WORLDS))
def test_five_annotations_at_most_double_the_cost(kind: str) -> None:
    plain = store({}, "")
    rich = store(WORLDS[kind], "(/|$)(.*)" if kind == "regexes" else "")
    ratio = min(cost(rich) for _ in range(ROUNDS)) / min(cost(plain) for _ in range(ROUNDS))
    assert ratio <= MOST, f"{ratio:.2f} times the cost"
