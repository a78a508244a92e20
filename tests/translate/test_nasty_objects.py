"""Hostile objects, as from an API server: the verdict of the corpus, and none changes anything for a bystander."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gen.ir import Config, Forward, Source
from gen.translate import Settings, Translation
from tests.live.certificates import secret
from tests.live.manifests import Manifest, endpoint_slice, ingress, path, service
from tests.translate.translating import codes, translate_any

CORPUS = Path(__file__).parent.parent / "data" / "nasty-objects.jsonl"
CASES = [json.loads(line) for line in CORPUS.read_text().splitlines()]
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC).timestamp()
CLUSTER = Settings(assume_class=True, allow_external_name=True)
ELSEWHERE = {"ingressclass-params-cycle": msgspec.structs.replace(CLUSTER, controller_class="example/gen")}
BYSTANDER = [
    ingress("bystander", "bystander", {"bystander.example": [path("/", "b")]}, tls={"b": ["bystander.example"]}),
    service("b", "bystander"),
    endpoint_slice("b", "bystander", ["192.0.2.77"]),
    secret("b", "bystander", "bystander.example"),
]
NOT_TRANSLATION = {
    "dup-object-same-key": "two objects of one name meet in the source",
    "meta-no-namespace": "files may leave the namespace out, the source puts it in",
    "gateway-": "the Gateway API is not read",
    "shape-list": "the case has lost its object",
}


def is_judged(case: Any) -> bool:
    return not case["id"].startswith(tuple(NOT_TRANSLATION))


def named(case: Any) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", case["id"])


@pytest.mark.parametrize("case", [case for case in CASES if is_judged(case)], ids=named)
def test_verdict(case: Any) -> None:
    found = translate_any(case["objects"], ELSEWHERE.get(case["id"], CLUSTER), now=NOW)
    verdict, reason = case["expect"]["verdict"], case["expect"]["reason"]
    errors = codes(found, "error")
    if reason:
        assert reason in codes(found)
    if verdict == "accept":
        assert not errors - {reason}
        assert reason == "NoRules" or forwards(found.config), "it is not served"
    elif verdict == "ignore":
        assert not errors
        assert not forwards(found.config)
    elif verdict == "reject":
        assert reason in errors
        assert not served(found, reason), "it is served"
    else:
        assert verdict == "partial"
        assert reason in errors
        assert forwards(found.config), "nothing of it is served"


def forwards(config: Config) -> set[str]:
    """The hosts that forward anything."""
    routes = [(host.name, route) for host in config.hosts.values() for route in host.routes]
    return {name for name, route in routes if isinstance(route.action, Forward)}


def served(found: Translation, reason: str) -> set[Source]:
    """The objects that are blamed, and yet lead anywhere."""
    config = found.config
    alive = {name: upstream for name, upstream in config.upstreams.items() if upstream.endpoints or upstream.dns}
    sources = {upstream.source for upstream in alive.values()}
    for route in (route for host in config.hosts.values() for route in host.routes):
        if isinstance(route.action, Forward) and any(part.upstream in alive for part in route.action.split):
            sources.add(route.source.at(""))
    return sources & {
        issue.source.at("") for issue in found.issues if (issue.code, issue.severity) == (reason, "error")
    }


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_bystander_is_safe(case: Any) -> None:
    settings = ELSEWHERE.get(case["id"], CLUSTER)
    assert bystander(BYSTANDER, settings) == bystander([*BYSTANDER, *case["objects"]], settings)


def bystander(objects: list[Manifest], settings: Settings) -> object:
    found = translate_any(objects, settings, now=NOW)
    host = found.config.hosts["bystander.example"]
    about = [issue for issue in found.issues if issue.source.namespace == "bystander"]
    return host, found.config.upstreams["bystander/b:80"], found.config.certificates[host.certificate], about


def test_no_key_is_ever_shown() -> None:
    for case in CASES:
        found = translate_any(case["objects"], CLUSTER, now=NOW)
        shown = " ".join([*(issue.message for issue in found.issues), repr(found.config)])
        assert "PRIVATE KEY" not in shown
        assert "BEGIN" not in shown
