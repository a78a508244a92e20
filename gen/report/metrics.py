"""What the loop tells, as numbers for Prometheus.

The names follow ingress-nginx's, with `gen_` in place of `nginx_ingress_controller_`: build_info, config_hash,
config_last_reload_successful, config_last_reload_successful_timestamp_seconds and ssl_expire_time_seconds mean what
they mean there, so its dashboards and alerts need only that prefix.  config_hash is the first 48 bits of the digest:
equal on all replicas that run the same configuration.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gen import __version__
from gen.backend import Bundle
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

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one loop, in a registry of their own."""

    def __init__(self, backend: str) -> None:
        self.registry = registry = CollectorRegistry()
        build = Gauge("gen_build_info", "Which gen this is.", ["version", "backend"], registry=registry)
        build.labels(__version__, backend).set(1)
        self._success = Gauge(
            "gen_config_last_reload_successful", "Whether the last configuration went live.", registry=registry
        )
        self._success_at = Gauge(
            "gen_config_last_reload_successful_timestamp_seconds", "When one last went live.", registry=registry
        )
        self._hash = Gauge("gen_config_hash", "What the proxy runs, comparable between replicas.", registry=registry)
        self._reloads = Counter(
            "gen_reloads", "Attempts to change the proxy, by end and effect.", ["result", "reason"], registry=registry
        )
        self._seconds = Histogram(
            "gen_apply_duration_seconds", "From changed input to confirmed.", buckets=BUCKETS, registry=registry
        )
        self._issues = Gauge("gen_issues", "Faults of the input now.", ["severity"], registry=registry)
        self._rejected = Gauge(
            "gen_objects_rejected", "Objects with an error now.", ["kind", "reason"], registry=registry
        )
        self._expiry = Gauge(
            "gen_ssl_expire_time_seconds", "When a certificate ends.", ["namespace", "secret_name"], registry=registry
        )
        self._hosts = Gauge("gen_hosts", "Hosts that are served.", registry=registry)
        self._losses = Counter(
            "gen_proxy_losses", "How often the proxy ended, or could not be found or started.", registry=registry
        )
        self._source_failures = Counter(
            "gen_source_failures", "How often the source of objects did not answer as it should.", registry=registry
        )
        self._leader = Gauge(
            "gen_leader_election_status", "Whether this gen writes into the cluster.", registry=registry
        )
        self._writes = Counter(
            "gen_cluster_writes", "What was written into the cluster.", ["kind", "result"], registry=registry
        )
        ProcessCollector(registry=registry)
        self._note_issues(IssuesFound(()))

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def show_staleness(self, ages: Callable[[], Mapping[str, float]]) -> None:
        """From now on say how long ago the source was last heard of, by kind."""
        self.registry.register(Staleness(ages))

    def observe(self, event: Event) -> None:
        """Take note of what the loop tells."""
        match event:
            case Attempt():
                self._note_attempt(event)
            case Restored():
                self._reloads.labels("failed" if event.error else "restored", "rollback").inc()
            case IssuesFound():
                self._note_issues(event)
            case ProxyResumed(bundle=Bundle() as bundle):
                self._hash.set(number_of(bundle.digest))
            case ProxyGone():
                self._losses.inc()
            case SourceFailed():
                self._source_failures.inc()
            case Leadership():
                self._leader.set(event.is_leader)
            case Written():
                self._writes.labels(event.kind, event.result).inc()
            case _:
                pass

    def _note_attempt(self, attempt: Attempt) -> None:
        if attempt.result == "held":
            return
        self._success.set(attempt.result == "applied")
        if attempt.result != "applied" or (attempt.plan and not attempt.plan.is_nothing):
            self._reloads.labels(attempt.result, attempt.effect).inc()
        if attempt.result == "applied" and attempt.bundle:
            self._success_at.set(time.time())
            self._seconds.observe(attempt.seconds)
            self._note_bundle(attempt.bundle)

    def _note_bundle(self, bundle: Bundle) -> None:
        self._hash.set(number_of(bundle.digest))
        if bundle.config is None:
            return
        self._hosts.set(len(bundle.config.hosts))
        self._expiry.clear()
        for certificate in bundle.config.certificates.values():
            source = certificate.source
            self._expiry.labels(source.namespace, source.name or certificate.id).set(certificate.not_after)

    def _note_issues(self, found: IssuesFound) -> None:
        for severity in ("error", "warning", "info"):
            self._issues.labels(severity).set(sum(issue.severity == severity for issue in found.issues))
        errors = {(issue.source, issue.code) for issue in found.issues if issue.severity == "error"}
        objects = {(source.kind, source.namespace, source.name, code) for source, code in errors}
        self._rejected.clear()
        for (kind, code), count in Tally((kind, code) for kind, _, _, code in objects).items():
            self._rejected.labels(kind, code).set(count)


class Staleness(Collector):
    """Asked for anew with each page."""

    def __init__(self, ages: Callable[[], Mapping[str, float]]) -> None:
        self._ages = ages

    def collect(self) -> Iterator[Metric]:
        """Seconds by kind."""
        help_text = "Seconds since the source was last heard of; about a minute at most while all is well."
        family = GaugeMetricFamily("gen_source_staleness_seconds", help_text, labels=["kind"])
        for kind, age in sorted(self._ages().items()):
            family.add_metric([kind], age)
        yield family


def number_of(digest: str) -> float:
    """The first 48 bits of a digest: as much as a metric carries without rounding."""
    return float(int(digest[:12], 16))
