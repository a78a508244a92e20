"""A Config as HAProxy's files; pure: the same Config gives the same bytes.

    haproxy.cfg     the head, which never names a tenant, then one backend a (upstream, policy)
    maps/*.map      who answers for which host and path, see backends.haproxy.routes
    crt.list        which certificate for which server name; the default one first
    certs/*.pem     chain and key

All names are relative to the directory of haproxy.cfg, wherever that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from backends.haproxy import syntax
from backends.haproxy.routes import HostRows, Row, Target, rows_of
from backends.haproxy.sections import GENERATION, SCRIPT, Section, features_of, head, section, shared_parts
from backends.haproxy.syntax import Encoded
from gen.backend import Bundle, digest_of_files, object_name
from gen.ir import NO_HOST_POLICY, Certificate, Config, Host, Redirect, Respond, Source, Upstream

CONFIGURATION = "haproxy.cfg"
Origins = tuple[tuple[int, Source], ...]
Subject = Upstream | Redirect | Respond


class Renderer:
    """Renders one Config after the other; what stands on unchanged objects is taken over from the last one."""

    def __init__(self) -> None:
        self._hosts: dict[str, tuple[Host, HostRows]] = {}
        self._sections: dict[Encoded, tuple[Subject, Source, Certificate | None, Section]] = {}

    def render(self, config: Config) -> Bundle:
        """The bundle of a Config.  Raises Rejected, with the object to blame, for what cannot be written."""
        hosts = self._rows(config)
        sections = self._backends(config, hosts)
        pems = {pem_file(each.id): each for each in config.certificates.values()}
        tables = {**maps(hosts), "crt.list": certificate_rows(config)}
        files = {path: b"".join(row for row, _ in rows) for path, rows in tables.items()}
        files |= {path: each.chain + each.key for path, each in pems.items()}
        features = features_of(hosts, sections, config.options)
        named = {path: content for each in sections for path, content in each.files}
        files |= named | dict(authorities(config))
        if features.has_script:
            files["gen.lua"] = SCRIPT
        backends = b"".join(each.text for each in sections)
        parts = shared_parts(sections)
        top = head(config, features, files) + parts
        files[CONFIGURATION] = top + backends
        digest = digest_of_files(files)
        files[GENERATION] = syntax.row(Encoded("digest"), syntax.name(digest))
        origins = {path: row_origins(rows) for path, rows in tables.items()}
        origins |= {path: ((1, each.source),) for path, each in pems.items()}
        return Bundle(
            files=files,
            digest=digest,
            config=config,
            secrets=frozenset({*pems, *(path for path in named if path.endswith(".pem"))}),
            origins={CONFIGURATION: section_origins(top.count(b"\n") + 1, sections), **origins},
        )

    def _rows(self, config: Config) -> list[HostRows]:
        kept, self._hosts = self._hosts, {}
        for name, host in config.hosts.items():
            known = kept.get(name)
            self._hosts[name] = known if known and known[0] is host else (host, rows_of(host))
        return [rows for _, rows in self._hosts.values()]

    def _backends(self, config: Config, hosts: list[HostRows]) -> list[Section]:
        kept, self._sections = self._sections, {}
        targets: dict[Encoded, Target] = {}
        for rows in hosts:
            for target in rows.targets:
                targets.setdefault(target.name, target)
        for name in sorted(targets):
            target, known = targets[name], kept.get(name)
            shown = target.policy.upstream_tls
            certificate = config.certificates[shown.certificate] if shown and shown.certificate else None
            subject = config.upstreams[target.action] if isinstance(target.action, str) else target.action
            if known and known[0] is subject and known[1] == target.source and known[2] is certificate:
                self._sections[name] = known
            else:
                self._sections[name] = (subject, target.source, certificate, section(target, subject, certificate))
        return [made for *_, made in self._sections.values()]


def maps(hosts: list[HostRows]) -> dict[str, list[Row]]:
    """The rows of all maps; a map without rows is there too, for a missing file would need a reload."""
    splits = {name: rows for host in hosts for name, rows in host.splits}
    canaries = {name: rows for host in hosts for name, rows in host.choices.canaries}
    patterns = {name: rows for host in hosts for name, rows in host.choices.patterns}
    schemes = {name: rows for host in hosts for name, rows in host.choices.schemes}
    fallbacks = {name: rows for host in hosts for name, rows in host.choices.fallbacks}
    chosen = {"maps/canaries.map": canaries, "maps/patterns.map": patterns} if canaries else {}
    if any(host.clients for host in hosts):
        chosen["maps/clients.map"] = {host.site: host.clients for host in hosts if host.clients}
        chosen["maps/subjects.map"] = {host.site: host.subjects for host in hosts if host.subjects}
    if any(host.patterns for host in hosts):
        chosen["maps/names.map"] = {host.site: host.patterns for host in hosts if host.patterns}
    chosen |= {"maps/schemes.map": schemes} if schemes else {}
    chosen |= {"maps/fallbacks.map": fallbacks} if fallbacks else {}
    return {
        **{path: [row for name in sorted(rows) for row in rows[name]] for path, rows in chosen.items()},
        "maps/hosts.map": [row for host in hosts for row in host.exact],
        "maps/wildcards.map": [row for host in hosts for row in host.wildcard],
        "maps/routes.map": [row for host in hosts for row in host.routes],
        "maps/regexes.map": [row for host in hosts for row in host.regexes],
        "maps/splits.map": [row for name in sorted(splits) for row in splits[name]],
    }


# ------------------------------------------------------------------ certificates


def pem_file(certificate: str) -> Encoded:
    """The file of a certificate; it keeps its name when the certificate is renewed."""
    return syntax.file(f"certs/{object_name(certificate)}.pem")


def certificate_rows(config: Config) -> list[Row]:
    """The rows of crt.list: the default certificate for all other names, then the names of each one."""
    default = config.options.default_certificate
    rows = [(syntax.default_certificate(pem_file(default)), config.certificates[default].source)]
    names: dict[tuple[str, Encoded], list[str]] = {}
    for host in config.hosts.values():
        options = handshake(host)
        for name in (host.name, *host.aliases) if host.name else host.aliases:
            certificate = certificate_of(name, host, config)
            is_asked = options or config.options.reject_unknown_names
            if certificate != default or is_asked or below_wildcard(name, config):
                names.setdefault((certificate, options), []).append(name)
    for certificate, options in sorted(names):
        source = config.certificates[certificate].source
        filters = names[certificate, options]
        rows += [(row, source) for row in syntax.certificate_rows(pem_file(certificate), filters, options)]
    return rows


def certificate_of(name: str, host: Host, config: Config) -> str:
    """The certificate that a name of a host is shown."""
    default = config.options.default_certificate
    if name == host.name or not host.certificate:
        return host.certificate or default
    return host.certificate if config.certificates[host.certificate].is_for(name) else default


def handshake(host: Host) -> Encoded:
    """What the handshake of a host has of its own, as options of a row of the crt-list.  Raises Rejected."""
    policy = host.policy
    if policy is NO_HOST_POLICY:
        return Encoded("")
    words = []
    if policy.ciphers:
        words.append(syntax.bracketed("ciphers", policy.ciphers))
    client = policy.client_certificate
    if client and client.ca:
        words += [syntax.rule("ca-file %s verify optional", authority_file(client.ca))]
        if client.crl:
            words += [syntax.rule("crl-file %s", authority_file(client.crl))]
    return Encoded(f"[{' '.join(words)}]" if words else "")


def authority_file(pem: bytes) -> Encoded:
    """The file of certificates that sign those of clients."""
    return syntax.file(f"certs/{sha256(pem).hexdigest()[:20]}.ca.pem")


def authorities(config: Config) -> Iterator[tuple[str, bytes]]:
    """The files that the crt-list names."""
    for host in config.hosts.values():
        client = host.policy.client_certificate
        for pem in (client.ca, client.crl) if client else ():
            if pem:
                yield authority_file(pem), pem


def below_wildcard(name: str, config: Config) -> bool:
    """Whether a wildcard host would give this name a certificate that is not its own."""
    above = config.hosts.get(f"*.{name.partition('.')[2]}")
    return above is not None and above.name != name and bool(above.certificate)


# ------------------------------------------------------------------ origins


def row_origins(rows: Iterable[Row]) -> Origins:
    """Who each line of a table belongs to."""
    return tuple(changes((line, source) for line, (_, source) in enumerate(rows, 1)))


def section_origins(line: int, sections: Iterable[Section]) -> Origins:
    """Who the lines of sections belong to, the first of which begins at that line."""
    found = []
    for each in sections:
        found += [(line + offset, source) for offset, source in each.origins]
        line += each.lines
    return tuple(found)


def changes(origins: Iterable[tuple[int, Source]]) -> Iterator[tuple[int, Source]]:
    """Only those lines at which the owner changes."""
    last: Source | None = None
    for line, source in origins:
        if source is not last:
            yield line, source
            last = source
