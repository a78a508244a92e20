"""What is spoken to an upstream: HTTP/1.1 or HTTP/2, over TLS or not."""

from __future__ import annotations

from collections.abc import Sequence

from backends.envoy import syntax
from backends.envoy.bootstrap import HTTP_OPTIONS
from backends.envoy.filters import EXTENSION, HTTP
from backends.envoy.syntax import Json
from backends.envoy.ways import KEY, Way
from gen.backend import digest_of, object_name
from gen.errors import BadValue
from gen.ir import Certificate, Upstream
from gen.policy import UpstreamTls

HTTP_1: Json = {"explicit_http_config": {"http_protocol_options": {}}}
KEY_HEADER = "x-gen-key"
"""Where upstream.lua leaves the key that is hashed over the endpoints."""

VERSIONS = {"TLSv1": "TLSv1_0", "TLSv1.1": "TLSv1_1", "TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}


def protocol(way: Way, upstream: Upstream, certificate: Certificate | None) -> Json:
    """What the cluster of an upstream has for it.  Raises BadValue."""
    settings: Json = {}
    if http := {**version(way), **forgetting(way)}:
        options = {"@type": f"type.googleapis.com/{HTTP_OPTIONS}", **HTTP_1, **http}
        settings["typed_extension_protocol_options"] = {HTTP_OPTIONS: options}
    if way.tls:
        context = tls(way.tls, upstream, certificate)
        if way.protocol == "grpcs":
            context["common_tls_context"]["alpn_protocols"] = ["h2"]
        settings["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return settings


def version(way: Way) -> Json:
    """HTTP/2 where gRPC wants it."""
    return {"explicit_http_config": {"http2_protocol_options": {}}} if way.protocol in ("grpc", "grpcs") else {}


def forgetting(way: Way) -> Json:
    """Takes the key that chose the endpoint away once that is chosen."""
    if way.balance != KEY:
        return {}
    removal = {"mutations": {"request_mutations": [{"remove": KEY_HEADER}]}}
    filters = {
        "header_mutation": {"@type": f"{HTTP}header_mutation.v3.HeaderMutation", **removal},
        "upstream_codec": {"@type": f"{HTTP}upstream_codec.v3.UpstreamCodec"},
    }
    named = [{"name": f"envoy.filters.http.{name}", "typed_config": config} for name, config in filters.items()]
    return {"http_filters": named}


def tls(wanted: UpstreamTls, upstream: Upstream, certificate: Certificate | None) -> Json:
    """The TLS context towards an upstream.  Raises BadValue."""
    name = wanted.server_name or service_name(upstream)
    common: Json = {"tls_params": parameters(wanted)}
    if certificate:
        chain, key = certificate_paths(certificate)
        common["tls_certificates"] = [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}]
    if wanted.verify:
        common["validation_context"] = validation(wanted, name)
    return {
        "@type": f"{EXTENSION}transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": common,
        **({"sni": syntax.domain(name.lower())} if wanted.send_name else {}),
    }


def parameters(wanted: UpstreamTls) -> Json:
    """Versions and ciphers."""
    found: Json = {}
    if wanted.protocols:
        numbers = sorted(VERSIONS[each] for each in wanted.protocols if each in VERSIONS)
        if not numbers:
            raise BadValue("TlsInvalid", f"expected versions of TLS, got {', '.join(wanted.protocols)[:80]}")
        found |= {"tls_minimum_protocol_version": numbers[0], "tls_maximum_protocol_version": numbers[-1]}
    return found | ciphers(wanted.ciphers)


def ciphers(text: str) -> Json:
    """The ciphers of TLS up to 1.2; those words that only OpenSSL knows leave Envoy's own."""
    names = [each for each in text.split(":") if each]
    is_known = names and all(each.startswith(("ECDHE-", "AES", "DES-")) for each in names)
    return {"cipher_suites": [syntax.plain(each) for each in names]} if is_known else {}


def validation(wanted: UpstreamTls, name: str) -> Json:
    """How the certificate of an upstream is verified.  Raises BadValue."""
    if not wanted.ca:
        raise BadValue("CertMissing", "the upstream cannot be verified without a CA")
    return {
        "trusted_ca": {"filename": authority_path(wanted.ca)},
        "max_verify_depth": wanted.verify_depth,
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": syntax.domain(name.lower())}}],
    }


def service_name(upstream: Upstream) -> str:
    """The name that a certificate of an upstream is expected to have when nobody says another one."""
    if upstream.dns:
        return upstream.dns.name.removesuffix(".")
    namespace, _, service = upstream.id.partition(":")[0].partition("/")
    return f"{service}.{namespace}.svc" if service else namespace


# ------------------------------------------------------------------ files


def authority_path(authority: bytes) -> str:
    """The relative path of CA certificates."""
    return f"authorities/{digest_of(authority)}.crt"


def certificate_paths(certificate: Certificate) -> tuple[str, str]:
    """The relative paths of the chain and of the key."""
    name = object_name(certificate.id)
    return f"certificates/{name}.crt", f"certificates/{name}.key"


def files(certificates: Sequence[Certificate], authorities: Sequence[bytes]) -> dict[str, bytes]:
    """The files of certificates and of CAs."""
    found = {authority_path(each): each for each in authorities}
    for certificate in certificates:
        chain, key = certificate_paths(certificate)
        found |= {chain: certificate.chain, key: certificate.key}
    return found
