"""TLS with clients: which names have a handshake of their own, and what it is.

Envoy chooses a filter chain by the name in the client's greeting: the exact name, else the longest `*.x`, else the
default chain.  What a chain asks of clients is told to the requests that come through it, in a header that nobody else
can set: a request may name another host than its handshake did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import itemgetter

from msgspec import Struct

from backends.envoy import syntax
from backends.envoy.filters import EXTENSION
from backends.envoy.protocols import authority_path
from backends.envoy.syntax import Format, Json
from gen.backend import digest_of
from gen.errors import BadValue, Rejected
from gen.ir import CATCH_ALL, NO_HOST_POLICY, Config, Host, Options, Source
from gen.policy import ClientCertificate

DOWNSTREAM_TLS = f"{EXTENSION}transport_sockets.tls.v3.DownstreamTlsContext"
VERSIONS = {"TLSv1": "TLSv1_0", "TLSv1.1": "TLSv1_1", "TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}
CIPHERS = frozenset(
    (
        *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        *("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"),
        *("ECDHE-PSK-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-PSK-AES128-CBC-SHA"),
        *("ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "ECDHE-PSK-AES256-CBC-SHA", "AES128-GCM-SHA256"),
        *("AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA", "PSK-AES128-CBC-SHA", "PSK-AES256-CBC-SHA"),
        *("ECDHE-RSA-AES128-SHA256", "DES-CBC3-SHA"),
    )
)
"""Those that BoringSSL knows, but for those of TLS 1.3, which nobody can choose."""
MODERN = sorted(each for each in CIPHERS if "GCM" in each or "POLY1305" in each)
WORDS = {
    word: [each for each in MODERN if each.startswith("ECDHE-") and "PSK" not in each]
    for word in ("HIGH", "DEFAULT", "ALL")
}
CLIENT = "x-gen-client"
"""The header in which a chain says by which rule it asks for certificates."""
Name = tuple[str, Host]


class Handshake(Struct, frozen=True, order=True, gc=False):
    """What a client meets: a certificate by its id, and what is asked of it."""

    certificate: str
    ca: bytes = b""
    crl: bytes = b""
    depth: int = 1
    ciphers: str = ""
    prefers_client: bool = False

    @property
    def name(self) -> str:
        """The name of its chain."""
        special = (self.rule, self.ciphers, str(self.prefers_client))
        is_plain = self == Handshake(self.certificate)
        return self.certificate if is_plain else f"{self.certificate}|{digest_of(*map(str.encode, special))}"

    @property
    def rule(self) -> str:
        """What it says of its clients: by whom their certificates have to be signed; "" where it asks for none."""
        return rule(self.ca, self.crl, self.depth)


def rule(ca: bytes, crl: bytes, depth: int) -> str:
    """A digest of what certificates of clients are checked by; "" where there are none."""
    return digest_of(ca, crl, str(depth).encode()) if ca else ""


# ------------------------------------------------------------------ which


def for_others(config: Config) -> Handshake:
    """The handshake without a name, or with one that is nobody's."""
    return handshake(CATCH_ALL, config.hosts[CATCH_ALL], config)


def handshakes(config: Config) -> Mapping[Handshake, Sequence[Name]]:
    """The names that must be told apart: those whose handshake is not the one that they would get anyway.

    Shape: sorted by handshake.
    """
    own = {name: (handshake(name, host, config), host) for host in config.hosts.values() for name in names(host)}
    wildcards = {name: found for name, (found, _) in own.items() if name.startswith("*.")}
    others = for_others(config)
    chosen: dict[Handshake, list[Name]] = {}
    for name, (found, host) in own.items():
        if config.options.reject_unknown_names or found != (fallback(name, wildcards, others) if wildcards else others):
            chosen.setdefault(found, []).append((name, host))
    return dict(sorted(chosen.items(), key=itemgetter(0)))


def names(host: Host) -> tuple[str, ...]:
    """All names of a host but patterns; none for the catch-all."""
    own = (host.name,) if host.name != CATCH_ALL else ()
    return own + host.aliases


def handshake(name: str, host: Host, config: Config) -> Handshake:
    """The handshake of a host under one of its names."""
    default, policy = config.options.default_certificate, host.policy
    if policy is NO_HOST_POLICY and not host.certificate:
        return Handshake(default)
    is_own = name == host.name or not host.certificate or config.certificates[host.certificate].is_for(name)
    certificate = (host.certificate or default) if is_own else default
    client = policy.client_certificate or ClientCertificate(b"")
    asked = (client.ca, client.crl, client.depth) if client.ca else (b"", b"", 1)
    return Handshake(certificate, *asked, policy.ciphers or "", policy.prefer_server_ciphers is False)


def fallback(name: str, wildcards: Mapping[str, Handshake], default: Handshake) -> Handshake:
    """The handshake that a name would get if it were not listed."""
    labels = name.removeprefix("*.").split(".")
    start = 0 if name.startswith("*.") else 1
    suffixes = ("*." + ".".join(labels[place:]) for place in range(start, len(labels)))
    return next((wildcards[each] for each in suffixes if each in wildcards and each != name), default)


# ------------------------------------------------------------------ what


def server_name(name: str, host: Host) -> str:
    """The name in the client's greeting.  Raises Rejected."""
    try:
        return syntax.domain(name)
    except BadValue as error:
        raise Rejected(f"{blamed(host)}: {error}", (blamed(host),)) from error


def blamed(host: Host) -> Source:
    """The object that a host is made from."""
    return host.sources[0] if host.sources else host.routes[0].source


def socket(found: Handshake, options: Options) -> Json:
    """The transport socket of a chain."""
    common: Json = {
        "tls_params": parameters(found, options),
        "alpn_protocols": ["http/1.1"] if options.http2 is False else ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [{"name": found.certificate}],
    }
    context: Json = {"@type": DOWNSTREAM_TLS, "common_tls_context": common, "require_client_certificate": False}
    if found.prefers_client:
        context["prefer_client_ciphers"] = True
    if options.tls_session_tickets is False:
        context["disable_stateless_session_resumption"] = True
    if found.ca:
        common["validation_context"] = {
            "trusted_ca": {"filename": authority_path(found.ca)},
            **({"crl": {"filename": authority_path(found.crl)}} if found.crl else {}),
            "max_verify_depth": found.depth,
            "trust_chain_verification": "ACCEPT_UNTRUSTED",  # clients.lua judges, and has an answer for whom it refuses
        }
        # A certificate counts as unchecked in a session that is resumed.
        context |= {"disable_stateless_session_resumption": True, "disable_stateful_session_resumption": True}
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def parameters(found: Handshake, options: Options) -> Json:
    """Versions and ciphers; no older version where no cipher is left for it."""
    versions = sorted(VERSIONS[each] for each in options.tls_protocols or ("TLSv1.2", "TLSv1.3") if each in VERSIONS)
    wanted = found.ciphers or options.tls_ciphers or ""
    known = ciphers(wanted)
    lowest = versions[0] if versions and (known or not wanted) else "TLSv1_3"
    return {
        "tls_minimum_protocol_version": lowest,
        "tls_maximum_protocol_version": max([lowest, *versions[-1:]]),
        **({"cipher_suites": known} if known else {}),
    }


def ciphers(text: str) -> list[str]:
    """The ciphers of a list in OpenSSL's syntax, as far as BoringSSL has them."""
    words = [each for each in re.split(r"[:, ]+", text) if each]
    without = [each[1:] for each in words if each[0] in "!-"]
    wanted = [name for each in words for name in WORDS.get(each, [each])]
    return [each for each in dict.fromkeys(wanted) if each in CIPHERS and not any(word in each for word in without)]


def mark(rule: str) -> Json:
    """The change of a request's headers that says by which rule its chain asks for certificates."""
    return {"append": syntax.set_header(CLIENT, Format(rule))} if rule else {"remove": CLIENT}
