from __future__ import annotations

from gen.backend import Bundle, Plan
from gen.ir import Certificate, Config, Host, Issue, Options, Source
from gen.report.events import (
    Attempt,
    Event,
    IssuesFound,
    Leadership,
    ProxyGone,
    ProxyResumed,
    Restored,
    SourceFailed,
    Written,
)
from gen.report.health import Health
from gen.report.metrics import Metrics

CERTIFICATE = Certificate("shop/tls", b"", b"", not_after=2e9, source=Source("Secret", "shop", "tls"))
CONFIG = Config({"": Host("", ())}, {}, {"shop/tls": CERTIFICATE}, {}, Options())
BUNDLE = Bundle({"proxy.conf": b"x"}, "000000000010ffff", CONFIG)
PLAN = Plan(None, BUNDLE, ("proxy.conf",), reload=True, reason="host shop.example changed")
APPLIED = Attempt("applied", "input", 0.25, BUNDLE, PLAN)
REJECTED = Attempt("rejected", "input", 0.25, BUNDLE, PLAN, "line 3")
FAILED = Attempt("failed", "input", 0.25, BUNDLE, PLAN, "no")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_applied_configuration_is_successful_and_counted() -> None:
    metrics = Metrics("nginx")
    metrics.observe(APPLIED)
    assert value(metrics, "gen_config_last_reload_successful") == 1
    assert (value(metrics, "gen_config_last_reload_successful_timestamp_seconds") or 0) > 1.7e9
    assert value(metrics, "gen_config_hash") == 0x10
    assert value(metrics, "gen_reloads_total", result="applied", reason="reload") == 1
    assert value(metrics, "gen_apply_duration_seconds_sum") == 0.25
    assert value(metrics, "gen_ssl_expire_time_seconds", namespace="shop", secret_name="tls") == 2e9
    assert value(metrics, "gen_hosts") == 1


def test_refused_configuration_is_unsuccessful_until_one_is_applied() -> None:
    metrics = Metrics("nginx")
    for event, successful in ((APPLIED, 1), (REJECTED, 0), (APPLIED, 1), (FAILED, 0)):
        metrics.observe(event)
        assert value(metrics, "gen_config_last_reload_successful") == successful
    metrics.observe(Restored(PLAN))
    assert value(metrics, "gen_reloads_total", result="restored", reason="rollback") == 1
    assert value(metrics, "gen_reloads_total", result="rejected", reason="reload") == 1


def test_held_attempt_and_nothing_to_do_are_no_reloads() -> None:
    metrics = Metrics("nginx")
    metrics.observe(Attempt("held", "input", 0.0, error="empty"))
    metrics.observe(Attempt("applied", "input", 0.0, BUNDLE, Plan(BUNDLE, BUNDLE)))
    assert b"gen_reloads_total{" not in metrics.page()
    assert value(metrics, "gen_config_last_reload_successful") == 1


def test_objects_with_errors_are_counted_once_each_by_kind_and_reason() -> None:
    metrics, web = Metrics("nginx"), Source("Ingress", "shop", "web")
    issues = (
        Issue(web.at("spec.rules[0].host"), "InvalidHost", ""),
        Issue(web.at("spec.rules[1].host"), "InvalidHost", ""),
        Issue(Source("Ingress", "shop", "api"), "InvalidHost", ""),
        Issue(web, "HostConflict", "", "warning"),
    )
    metrics.observe(IssuesFound(issues))
    assert value(metrics, "gen_objects_rejected", kind="Ingress", reason="InvalidHost") == 2
    assert value(metrics, "gen_issues", severity="warning") == 1
    metrics.observe(IssuesFound(()))
    assert value(metrics, "gen_objects_rejected", kind="Ingress", reason="InvalidHost") is None


def test_lost_proxy_is_counted_and_the_resumed_hash_shown() -> None:
    metrics = Metrics("nginx")
    metrics.observe(ProxyGone("status 1", 0.0))
    metrics.observe(ProxyResumed(BUNDLE))
    assert value(metrics, "gen_proxy_losses_total") == 1
    assert value(metrics, "gen_config_hash") == 0x10


def test_ready_from_the_first_confirmed_configuration_while_the_proxy_lives() -> None:
    health = Health()
    steps: list[tuple[Event, bool]] = [
        (ProxyResumed(None), False),
        (Attempt("held", "input", 0.0, error="the sources have not been read"), False),
        (REJECTED, False),
        (APPLIED, True),
        (REJECTED, True),
        (ProxyGone("status 139", 0.0), False),
        (ProxyResumed(BUNDLE), True),
        (ProxyGone("status 139", 0.0), False),
        (ProxyResumed(None), False),
        (APPLIED, True),
    ]
    for event, is_ready in steps:
        health.observe(event)
        assert health.is_ready is is_ready


def test_a_proxy_can_start_with_what_an_earlier_gen_left_or_with_what_did_not_reach_it() -> None:
    for event, has_started in (
        (ProxyResumed(None), False),
        (Attempt("held", "input", 0.0), False),
        (REJECTED, False),
        (ProxyResumed(BUNDLE), True),
        (FAILED, True),
        (APPLIED, True),
    ):
        health = Health()
        health.observe(event)
        assert health.has_started is has_started


def test_what_is_written_into_the_cluster_is_counted() -> None:
    metrics = Metrics("nginx")
    metrics.show_staleness(lambda: {"Ingress": 3.5})
    for event in (Leadership(True), Written("status", "written", "x"), Written("event", "failed", "x", "no")):
        metrics.observe(event)
    metrics.observe(SourceFailed("no", 1.0))
    assert value(metrics, "gen_leader_election_status") == 1
    assert value(metrics, "gen_cluster_writes_total", kind="event", result="failed") == 1
    assert value(metrics, "gen_source_failures_total") == 1
    assert value(metrics, "gen_source_staleness_seconds", kind="Ingress") == 3.5


def test_health_says_why() -> None:
    health = Health()
    assert health.sentence == "not live yet: no input has been read yet"
    health.observe(REJECTED)
    assert health.sentence == "not live yet: the proxy refused the configuration"
    assert "line 3" not in health.sentence
    health.observe(ProxyGone("it ended with status 139\n[ALERT] server tenant/secret", 0.0))
    assert health.sentence == "the proxy is not there: it ended with status 139"
