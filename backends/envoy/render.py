"""Config -> Bundle: one static bootstrap that Envoy runs and validates, with the routes in a file of their own.

    envoy.json      listeners, clusters and the names of certificates; run `envoy -c envoy.json` in this directory
    routes.json     the route table of both listeners
    *.lua           what requests go through
    certificates/   chains and keys

The same files, read back (backends.envoy.snapshot), are what the xDS server offers.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from backends.envoy import clusters, handshakes, listeners, protocols, routes
from backends.envoy.bootstrap import RUNTIME
from backends.envoy.listeners import ROUTES_FILE
from backends.envoy.memory import Kept, Memo
from backends.envoy.parts import BOOTSTRAP_FILE, Files, Parts, Start, table_of
from backends.envoy.protocols import certificate_paths
from backends.envoy.routes import Reached, Written
from backends.envoy.script import SCRIPTS
from backends.envoy.syntax import Json
from backends.envoy.text import Piece, Places, Section, joined, line, piece, section
from backends.envoy.ways import Way
from gen.backend import Bundle, digest_of, digest_of_files
from gen.ir import Certificate, Config, Host, Options, Upstream


class Routes(Struct, frozen=True):
    """The route table: its file, and what is said in it besides virtual hosts."""

    sections: tuple[Section, ...]
    file: bytes
    table: bytes


class Handshakes(Struct, frozen=True):
    """What clients meet: listeners, and the certificates that these name."""

    listeners: Section
    secrets: Section
    certificates: tuple[Certificate, ...]
    authorities: tuple[bytes, ...]


class Renderer:
    """Renders Configs one after another; what they share is rendered once."""

    def __init__(self) -> None:
        self._memo = Memo()
        self._hosts: Kept[Host, Written] = Kept()
        self._clusters: Kept[Upstream, Piece] = Kept()

    def render(self, config: Config) -> Bundle:
        """The bundle of a Config.  Raises Rejected, with the object to blame, for what Envoy has no words for."""
        recall, options = self._memo.recall, self._memo.same("options", config.options)
        hosts = routes.hosts_of(config, self._hosts)
        table = recall("routes", routes_of, hosts, options)
        shown = recall("handshakes", lambda *_: handshakes_of(config), config.hosts, config.certificates, options)
        reached = self._memo.same("reached", recall("reached by", routes.reached_by, hosts))
        pieces = recall(
            "pieces", lambda *_: self._reached(config, reached), reached, config.upstreams, config.certificates, options
        )
        named = recall("clusters", section_of, pieces)
        others = recall("files", other_files, reached, shown, config.certificates)
        sections = (shown.listeners, named, shown.secrets)
        start = Start(options.workers, round(options.drain_timeout))
        told = (each.digest.encode() for each in (head("", start), *table.sections, *sections))
        digest = digest_of(recall("digest", digest_of_files, others).encode(), *told)
        bootstrap = bootstrap_of(head(digest, start), *sections)
        files = {**others, ROUTES_FILE: table.file, BOOTSTRAP_FILE: joined(bootstrap)}
        parts = Parts(
            start, shown.listeners.texts, named.texts, shown.secrets.texts, table.table, table.sections[1].texts
        )
        return Bundle(
            files=Files(sorted(files.items()), parts),
            digest=digest,
            config=config,
            secrets=frozenset([path for path in files if path.endswith(".key")]),
            origins=Places({BOOTSTRAP_FILE: bootstrap, ROUTES_FILE: table.sections}),
        )

    def _reached(self, config: Config, reached: Mapping[str, Reached]) -> Mapping[str, Piece]:
        """All clusters; the very same mapping as the last time where nothing differs."""
        options, upstreams = config.options, config.upstreams

        def shown(name: str) -> Certificate | None:
            return certificate_of(reached[name][1], config)

        return self._clusters.update(
            {name: upstreams[upstream] for name, (upstream, _) in reached.items()},
            (options, config.certificates),
            lambda name, _: (options, shown(name)),
            lambda name, upstream: clusters.cluster(name, upstream, reached[name][1], shown(name), options),
        )


def routes_of(hosts: Mapping[str, Written], options: Options) -> Routes:
    """The route table of all hosts.  Raises BadValue."""
    sections = routes.table(hosts, options)
    fields = sections[0].pieces[-1].text
    return Routes(sections, joined(sections), table_of(fields))


def section_of(pieces: Mapping[str, Piece]) -> Section:
    """All clusters, one after the other."""
    return section(pieces.values())


def handshakes_of(config: Config) -> Handshakes:
    """The listeners, and what they need.  Raises Rejected."""
    own = handshakes.handshakes(config)
    found = (handshakes.for_others(config), *own)
    certificates = tuple([config.certificates[each] for each in sorted({each.certificate for each in found})])
    return Handshakes(
        section([piece(listeners.http(config.options)), piece(listeners.https(config, own))]),
        section(map(secret, certificates)),
        certificates,
        tuple([pem for each in found for pem in (each.ca, each.crl) if pem]),
    )


def head(digest: str, start: Start) -> Section:
    """The beginning of the bootstrap: who this is, and what a running Envoy has from its start."""
    told = {"digest": digest, "workers": start.workers, "drain_seconds": start.drain_seconds}
    node, _ = line({"id": "gen", "cluster": "gen", "metadata": {"gen": told}})
    runtime, _ = line(RUNTIME)
    return lines(b'{"node": %s,' % node, b'"layered_runtime": %s,' % runtime)


def bootstrap_of(head: Section, listeners: Section, clusters: Section, secrets: Section) -> tuple[Section, ...]:
    """The bootstrap, with its resources."""
    return (
        *(head, lines(b'"static_resources": {', b'"listeners": ['), listeners),
        *(lines(b"],", b'"clusters": ['), clusters),
        *(lines(b"],", b'"secrets": ['), secrets, lines(b"]", b"}}")),
    )


def lines(*texts: bytes) -> Section:
    """Lines that are nobody's."""
    return section([piece([(text, None) for text in texts])])


def secret(certificate: Certificate) -> Piece:
    """A certificate by its name; where its files are."""
    chain, key = certificate_paths(certificate)
    pair: Json = {"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}
    return piece([line({"name": certificate.id, "tls_certificate": pair}, certificate.source)])


def certificate_of(way: Way, config: Config) -> Certificate | None:
    """The certificate that an upstream is shown."""
    return config.certificates[way.tls.certificate] if way.tls and way.tls.certificate else None


def other_files(
    reached: Mapping[str, Reached], shown: Handshakes, certificates: Mapping[str, Certificate]
) -> dict[str, bytes]:
    """Scripts, and the files of certificates and of those whom we trust."""
    wanted = [way.tls for _, way in reached.values() if way.tls]
    own = [certificates[each.certificate] for each in wanted if each.certificate]
    authorities = [*(each.ca for each in wanted if each.verify), *shown.authorities]
    return {**SCRIPTS, **protocols.files([*shown.certificates, *own], authorities)}
