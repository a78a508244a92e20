"""The servers of a host: its names, and the certificates that its clients show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backends.nginx import phrases, syntax
from backends.nginx.phrases import directive
from backends.nginx.syntax import NOTHING, Word, literal, value
from gen.backend import object_name
from gen.errors import BadValue
from gen.ir import Host
from gen.policy import ClientCertificate


def names_of(host: Host, certificate: Word, fits: Sequence[bool]) -> list[tuple[list[Word], Word]]:
    """Names with their certificate: an alias that it is not for is served with the default one."""
    if not host.aliases:
        return [([syntax.server_name(host.name)], certificate)]
    names = list(map(syntax.server_name, host.aliases))
    fitting = [name for name, is_for in zip(names, fits or [True] * len(names), strict=True) if is_for]
    others = [name for name in names if name not in fitting]
    own = [([syntax.server_name(host.name), *fitting], certificate)]
    return [*own, (others, NOTHING)] if others else own


def pattern_names(host: Host) -> list[Word]:
    """Regexes for names.  Raises: BadValue for one that would set variables."""
    if any(syntax.NAMED_GROUP.search(pattern) for pattern in host.alias_patterns):
        raise BadValue("InvalidHost", "expected regular expressions without named groups")
    return [literal(f"~{pattern}") for pattern in host.alias_patterns]


def certificate_lines(host: Host) -> tuple[list[Word], Mapping[str, bytes]]:
    """What a server asks of its clients, and the files for it."""
    rule = host.policy.client_certificate
    lines: list[Word] = []
    if host.policy.ciphers:
        lines.append(directive("ssl_ciphers", literal(host.policy.ciphers)))
    if host.policy.prefer_server_ciphers is not None:
        lines.append(directive("ssl_prefer_server_ciphers", phrases.on(host.policy.prefer_server_ciphers)))
    if not rule:
        return lines, {}
    if not rule.ca:
        return [*lines, Word("return 403;")], {}
    asked, files = _verification(host, rule)
    if rule.match_subject:
        lines += phrases.answer_if(Word(f"$ssl_client_s_dn !~ {literal(rule.match_subject)}"), Word("return 403;"))
    return lines + asked, files


def _verification(host: Host, rule: ClientCertificate) -> tuple[list[Word], Mapping[str, bytes]]:
    name = object_name("client", host.name)
    files = {f"policies/{name}.crt": rule.ca} | ({f"policies/{name}.crl": rule.crl} if rule.crl else {})
    mode = {"on": "on", "optional": "optional", "unchecked": "optional_no_ca"}[rule.verify]
    lines = [
        directive("ssl_client_certificate", literal(f"policies/{name}.crt")),
        directive("ssl_verify_client", syntax.name(mode)),
        directive("ssl_verify_depth", rule.depth),
    ]
    if rule.crl:
        lines.append(directive("ssl_crl", literal(f"policies/{name}.crl")))
    if rule.error_page:
        lines.append(Word("error_page 495 496 = @certificate;"))
        lines.append(Word(f"location @certificate {{ return 302 {value(rule.error_page)}; }}"))
    return lines, files
