"""Config -> Bundle: one static bootstrap that Envoy runs and validates, with the routes in a file of their own.

    envoy.json      listeners, clusters and the names of certificates; run `envoy -c envoy.json` in this directory
    routes.json     the route table of both listeners
    *.lua           what requests go through
    certificates/   chains and keys

The same files, read back (backends.envoy.snapshot), are what the xDS server offers.
"""

from __future__ import annotations

from collections.abc import Mapping

from backends.envoy import clusters, handshakes, listeners, protocols, routes
from backends.envoy.bootstrap import RUNTIME
from backends.envoy.listeners import ROUTES_FILE
from backends.envoy.protocols import certificate_paths
from backends.envoy.routes import Reached
from backends.envoy.script import SCRIPTS
from backends.envoy.syntax import Json
from backends.envoy.text import Line, Memo, joined, line, listed, opened, origins
from backends.envoy.ways import Way
from gen.backend import Bundle, digest_of_files
from gen.ir import Certificate, Config, Options, Upstream

BOOTSTRAP_FILE = "envoy.json"


class Renderer:
    """Renders Configs one after another; what they share is rendered once."""

    def __init__(self) -> None:
        self._memo = Memo()

    def render(self, config: Config) -> Bundle:
        """The bundle of a Config.  Raises Rejected, with the object to blame, for what Envoy has no words for."""
        lines, reached = routes.table(config, self._memo)
        table = [*opened({}, "resources", [lines], None)]
        resources = static_resources(config, reached, self._memo)
        self._memo.forget()
        files = {ROUTES_FILE: joined(table), **SCRIPTS, **tls_files(config, reached)}
        digest = digest_of_files({**files, BOOTSTRAP_FILE: joined([*head("", config.options), *resources])})
        bootstrap = [*head(digest, config.options), *resources]
        return Bundle(
            files=dict(sorted({**files, BOOTSTRAP_FILE: joined(bootstrap)}.items())),
            digest=digest,
            config=config,
            secrets=frozenset(path for path in files if path.endswith(".key")),
            origins={BOOTSTRAP_FILE: origins(bootstrap), ROUTES_FILE: origins(table)},
        )


def head(digest: str, options: Options) -> list[Line]:
    """The beginning of the bootstrap: who this is, and what a running Envoy has from its start."""
    start = {"digest": digest, "workers": options.workers, "drain_seconds": round(options.drain_timeout)}
    node = {"id": "gen", "cluster": "gen", "metadata": {"gen": start}}
    return [
        (b'{"node": ' + line(node)[0] + b",", None),
        (b'"layered_runtime": ' + line(RUNTIME)[0] + b",", None),
    ]


def static_resources(config: Config, reached: Mapping[str, Reached], memo: Memo) -> list[Line]:
    """Listeners, clusters and certificates."""
    sections = {
        "listeners": [listeners.http(config.options), listeners.https(config)],
        "clusters": [
            [memo.recall(f"cluster {name}", clusters.cluster, name, *cluster_parts(config, *each), config.options)]
            for name, each in reached.items()
        ],
        "secrets": [[secret(certificate)] for certificate in handshakes.certificates_in_use(config)],
    }
    lines: list[Line] = [(b'"static_resources": {', None)]
    lines += listed(
        [(b'"%s": [' % name.encode(), None), *listed(items), (b"]", None)] for name, items in sections.items()
    )
    return [*lines, (b"}}", None)]


def secret(certificate: Certificate) -> Line:
    """A certificate by its name; where its files are."""
    chain, key = certificate_paths(certificate)
    pair: Json = {"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}
    return line({"name": certificate.id, "tls_certificate": pair}, certificate.source)


def cluster_parts(config: Config, upstream: str, way: Way) -> tuple[Upstream, Way, Certificate | None]:
    """What a cluster is made of."""
    certificate = config.certificates[way.tls.certificate] if way.tls and way.tls.certificate else None
    return config.upstreams[upstream], way, certificate


def tls_files(config: Config, reached: Mapping[str, Reached]) -> dict[str, bytes]:
    """The files of certificates, and of those whom we trust."""
    wanted = [way.tls for _, way in reached.values() if way.tls]
    shown = [config.certificates[each.certificate] for each in wanted if each.certificate]
    authorities = [*(each.ca for each in wanted if each.verify), *handshakes.authorities(config)]
    return protocols.files([*handshakes.certificates_in_use(config), *shown], authorities)
