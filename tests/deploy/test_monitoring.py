"""Alerts and panels ask only for what gen exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from gen.report.metrics import Metrics
from tests.deploy.overlays import KUSTOMIZE, OVERLAYS, build, overlay, the

MONITORING = KUSTOMIZE / "monitoring"
NAME = re.compile(r"\b(?:gen|process)_[a-z0-9_]+\b")
LABELS = re.compile(r"\{([^}]*)\}|\b(?:by|on|without) \(([^)]*)\)")
WORD = re.compile(r'\b([a-z_]+)(?==|,|\s*$)(?!\s*")')
TARGET = {"namespace", "pod", "job", "le", "value"}
"""Labels that Prometheus and its functions add."""
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """The names of all samples that gen can export, with their labels."""
    metrics = Metrics("nginx")
    metrics.show_staleness(lambda: {"Ingress": 1.0})
    found = {
        family.name + suffix: {label for sample in family.samples for label in sample.labels}
        for family in metrics.registry.collect()
        for suffix in SUFFIXES.get(family.type, [""])
    }
    for collector in vars(metrics).values():
        for name, labels in found.items():
            if getattr(collector, "_name", None) and name.startswith(collector._name):
                labels.update(collector._labelnames)
    return found


def rules() -> list[dict[str, str]]:
    """All alerts."""
    (group,) = yaml.safe_load((MONITORING / "prometheus-rule.yaml").read_text())["spec"]["groups"]
    found: list[dict[str, str]] = group["rules"]
    return found


def expressions() -> Iterator[str]:
    """What alerts and panels ask for."""
    yield from (rule["expr"] for rule in rules())
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield from (each["query"] for each in dashboard["templating"]["list"] if each["type"] == "query")


def strangers(expression: str, exported: dict[str, set[str]]) -> set[str]:
    """The metrics and labels of an expression that gen does not export."""
    names = set(NAME.findall(expression))
    known = TARGET.union(*(exported.get(name, set()) for name in names))
    places = (first or second for first, second in LABELS.findall(expression))
    labels = {word for place in places for word in WORD.findall(re.sub(r'"[^"]*"', "", place))}
    return (names - exported.keys()) | (labels - known)


def test_all_that_is_asked_for_is_exported(exported: dict[str, set[str]]) -> None:
    asked = list(expressions())
    assert len(asked) > 20
    assert {
        expression: strangers(expression, exported) for expression in asked if strangers(expression, exported)
    } == {}


def test_strangers_are_found(exported: dict[str, set[str]]) -> None:
    assert strangers("gen_reloads", exported) == {"gen_reloads"}
    assert strangers('gen_reloads_total{result="x",host="y"}', exported) == {"host"}
    assert strangers("sum by (reason, path) (gen_reloads_total)", exported) == {"path"}


def test_alerts_say_what_to_do_about() -> None:
    for rule in rules():
        assert rule["alert"].startswith("Gen")
        assert "summary" in rule["annotations"]
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_panels_lie_side_by_side() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_monitor_finds_the_metrics_of_an_overlay(name: str) -> None:
    monitor = the("ServiceMonitor", build(MONITORING))
    (wanted,) = monitor["spec"]["endpoints"]
    labels = monitor["spec"]["selector"]["matchLabels"].items()
    services = [item for item in overlay(name) if item["kind"] == "Service"]
    (found,) = (item for item in services if labels <= item["metadata"]["labels"].items())
    assert wanted["port"] in [port["name"] for port in found["spec"]["ports"]]
    assert monitor["metadata"]["namespace"] == found["metadata"]["namespace"]
