"""A Config as HAProxy's files; pure: the same Config gives the same bytes.

    haproxy.cfg     the head, which never names a tenant, then one backend a (upstream, policy)
    upstreams-*.cfg the backends where they are many, so that a change of one writes little
    maps/*.map      who answers for which host and path, see backends.haproxy.routes
    crt.list        which certificate for which server name; the default one first
    certs/*.pem     chain and key

HAProxy reads the whole directory; all names are relative to it, wherever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from itertools import compress
from operator import is_, is_not
from zlib import crc32

import msgspec
from msgspec import Struct

from backends.haproxy import syntax
from backends.haproxy.routes import HostRows, Row, Target, rows_of
from backends.haproxy.sections import GENERATION, SCRIPT, Section, features_of, head, section, shared_parts
from backends.haproxy.syntax import Encoded
from gen.backend import Bundle, digest_of, digest_of_files, object_name
from gen.ir import NO_HOST_POLICY, Certificate, Config, Host, Redirect, Respond, Source, Upstream

CONFIGURATION = "haproxy.cfg"
TOGETHER = 96  # sections in a file
Origins = tuple[tuple[int, Source], ...]
Work = Callable[[], Origins]
Subject = Upstream | Redirect | Respond


class Known(Struct, frozen=True, gc=False):
    """A section and what it was made of."""

    subject: Subject
    source: Source
    certificate: Certificate | None
    section: Section


class Made(Struct, frozen=True):
    """What was rendered last.

    Shape: `users` are the names of the sections of each upstream, `places` the names in each file, `heads` what stands
    in it before them; `rest` identifies all files that hold no sections; `origins` work out whom lines belong to.
    """

    bundle: Bundle
    config: Config
    targets: Mapping[Encoded, Target]
    users: Mapping[str, list[Encoded]]
    places: Mapping[str, list[Encoded]]
    heads: Mapping[str, bytes]
    rest: str
    origins: Mapping[str, Work]
    digests: Mapping[str, str]


class Renderer:
    """Renders one Config after the other; what stands on unchanged objects is taken over from the last one."""

    def __init__(self) -> None:
        self._hosts: dict[str, tuple[Host, HostRows]] = {}
        self._sections: dict[Encoded, Known] = {}
        self._made: Made | None = None

    def render(self, config: Config) -> Bundle:
        """The bundle of a Config.  Raises Rejected, with the object to blame, for what cannot be written."""
        made, self._made = self._made, None
        self._made = (self._with_other_servers(made, config) if made else None) or self._anew(config)
        return self._made.bundle

    # -------------------------------------------------------------- everything

    def _anew(self, config: Config) -> Made:
        hosts = self._rows(config)
        targets = self._backends(config, hosts)
        sections = [known.section for known in self._sections.values()]
        pems = {pem_file(each.id): each for each in config.certificates.values()}
        tables = {**maps(hosts), "crt.list": certificate_rows(config)}
        files = {path: b"".join(row for row, _ in rows) for path, rows in tables.items()}
        files |= {path: each.chain + each.key for path, each in pems.items()}
        features = features_of(hosts, sections, config.options)
        named = {path: content for each in sections for path, content in each.files}
        files |= named | dict(authorities(config))
        if features.has_script:
            files["gen.lua"] = SCRIPT
        top = head(config, features, files) + shared_parts(sections)
        places = places_of(self._sections)
        origins: dict[str, Work] = {path: partial(row_origins, rows) for path, rows in tables.items()}
        origins |= {path: partial(one_origin, each.source) for path, each in pems.items()}
        users: dict[str, list[Encoded]] = {}
        for name, target in targets.items():
            if isinstance(target.action, str):
                users.setdefault(target.action, []).append(name)
        empty = Bundle(
            files={},
            digest="",
            secrets=frozenset({*pems, *(path for path in named if path.endswith(".pem"))}),
        )
        heads = {CONFIGURATION: top}
        made = Made(empty, config, targets, users, places, heads, digest_of_files(files), {}, {})
        return self._placed(made, config, places, files, origins)

    def _rows(self, config: Config) -> list[HostRows]:
        kept, self._hosts = self._hosts, {}
        for name, host in config.hosts.items():
            known = kept.get(name)
            self._hosts[name] = known if known and known[0] is host else (host, rows_of(host))
        return [rows for _, rows in self._hosts.values()]

    def _backends(self, config: Config, hosts: list[HostRows]) -> dict[Encoded, Target]:
        kept, self._sections = self._sections, {}
        targets: dict[Encoded, Target] = {}
        for rows in hosts:
            for target in rows.targets:
                targets.setdefault(target.name, target)
        for name in sorted(targets):
            self._sections[name] = known_section(targets[name], config, kept.get(name))
        return targets

    # -------------------------------------------------------------- only servers

    def _with_other_servers(self, made: Made, config: Config) -> Made | None:
        """The same with other endpoints; None where more than that has changed."""
        old = made.config
        if not (
            config.hosts is old.hosts and config.certificates is old.certificates and config.options == old.options
        ):
            return None
        changed = differing(old.upstreams, config.upstreams)
        fresh: dict[Encoded, Known] = {}
        for upstream in changed:
            for name in made.users.get(upstream, ()):
                before = self._sections[name]
                fresh[name] = known_section(made.targets[name], config, before)
                if not alike(before, fresh[name]):
                    return None
        self._sections.update(fresh)
        count = len(made.places)
        paths = {place_of(name, count) for name in fresh}
        files, origins = dict(made.bundle.files), dict(made.origins)
        return self._placed(made, config, {path: made.places[path] for path in paths}, files, origins)

    def _placed(
        self,
        made: Made,
        config: Config,
        places: Mapping[str, list[Encoded]],
        files: dict[str, bytes],
        origins: dict[str, Work],
    ) -> Made:
        """The bundle with the sections of these files written anew."""
        digests = dict(made.digests)
        for path, names in places.items():
            sections = [self._sections[name].section for name in names]
            top = made.heads.get(path, b"")
            files[path] = top + b"".join(each.text for each in sections)
            origins[path] = partial(section_origins, top.count(b"\n") + 1, sections)
            digests[path] = digest_of(files[path])
        digest = digest_of(made.rest.encode(), *(f"{path} {digests[path]}".encode() for path in sorted(digests)))
        files[GENERATION] = syntax.row(Encoded("digest"), syntax.name(digest))
        secrets = made.bundle.secrets
        bundle = Bundle(files=files, digest=digest, config=config, secrets=secrets, origins=OnDemand(origins))
        return msgspec.structs.replace(made, bundle=bundle, config=config, origins=origins, digests=digests)


def differing(old: Mapping[str, Upstream], new: Mapping[str, Upstream]) -> list[str]:
    """The names of those that are not the same object as before; those that have gone are not among them."""
    if len(old) == len(new) and all(map(is_, old, new)):
        return list(compress(new, map(is_not, old.values(), new.values())))
    return [name for name, each in new.items() if old.get(name) is not each]


def known_section(target: Target, config: Config, known: Known | None) -> Known:
    """The section of a target, the known one where nothing that it is made of has changed.  Raises Rejected."""
    shown = target.policy.upstream_tls
    certificate = config.certificates[shown.certificate] if shown and shown.certificate else None
    subject = config.upstreams[target.action] if isinstance(target.action, str) else target.action
    if known and known.subject is subject and known.source == target.source and known.certificate is certificate:
        return known
    return Known(subject, target.source, certificate, section(target, subject, certificate))


def alike(old: Known, new: Known) -> bool:
    """Whether two versions of a section need the same of the rest of the configuration."""
    if isinstance(old.subject, Upstream) and isinstance(new.subject, Upstream) and old.subject.dns != new.subject.dns:
        return False
    first, second = old.section, new.section
    needs = (first.files, first.parts, first.has_script, first.has_limit)
    return needs == (second.files, second.parts, second.has_script, second.has_limit)


# ------------------------------------------------------------------ which file


def places_of(names: Collection[Encoded]) -> dict[str, list[Encoded]]:
    """The names of the sections in each file: all in one, but in many files where they are many."""
    count = 1 if len(names) <= TOGETHER else 1 << (len(names) // TOGETHER).bit_length()
    places: dict[str, list[Encoded]] = {CONFIGURATION: []}
    if count > 1:
        places |= {file_of(number): [] for number in range(count)}
    for name in names:
        places[place_of(name, len(places))].append(name)
    return places


def place_of(name: Encoded, files: int) -> str:
    """The file that a section stands in, when there are so many in all."""
    return CONFIGURATION if files == 1 else file_of(crc32(name.encode()) % (files - 1))


def file_of(number: int) -> str:
    """HAProxy reads files in the order of their names: these after the one with the defaults."""
    return f"upstreams-{number:03x}.cfg"


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


class OnDemand(Mapping[str, Origins]):
    """Whom the lines of files belong to, worked out when somebody asks: only a refused bundle is asked about."""

    def __init__(self, works: Mapping[str, Work]) -> None:
        self._works = works

    def __getitem__(self, path: str) -> Origins:
        return self._works[path]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._works)

    def __len__(self) -> int:
        return len(self._works)


def one_origin(source: Source) -> Origins:
    """A file that is all of one object."""
    return ((1, source),)


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
