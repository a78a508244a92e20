"""Certificates: what is accepted, what is written anew, which one a host gets."""

from __future__ import annotations

import base64
import datetime as dt
import time
from functools import cache

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from gen.errors import BadValue
from gen.sources.selfsigned import self_signed
from gen.translate import Settings, Translation
from gen.translate.pem import Pair, parse
from gen.translate.placeholder import PLACEHOLDER
from tests.live.certificates import issue
from tests.live.manifests import Manifest, ingress, path, tls_secret
from tests.translate.translating import FILES, codes, translate

LIKE_NGINX = msgspec.structs.replace(FILES, profile="ingress-nginx")
BOTH = pytest.mark.parametrize("settings", [FILES, LIKE_NGINX], ids=["spec", "ingress-nginx"])
OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


@cache
def ordinary(*names: str) -> tuple[bytes, bytes]:
    return issue(*(names or ("a.example",)))


@cache
def keys() -> dict[str, bytes]:
    made: dict[str, PrivateKeyTypes] = {
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "k1": ec.generate_private_key(ec.SECP256K1()),
        "rsa1024": rsa.generate_private_key(65537, 1024),
        "rsa2048": rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    return {name: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for name, key in made.items()}


@cache
def signed(kind: str, common_name: str = "a.example", *names: str) -> bytes:
    """A self-signed certificate for a key of `keys`."""
    key = load_pem_private_key(keys()[kind], None)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())  # type: ignore[arg-type]
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=10))
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    algorithm = None if kind == "ed25519" else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)  # type: ignore[arg-type]


def fault(chain: bytes, key: bytes) -> str:
    try:
        parse(chain, key)
    except BadValue as found:
        return found.code if "-----" not in str(found) else "it shows what it read"
    return ""


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_keys_that_all_proxies_take(kind: str) -> None:
    assert fault(signed(kind), keys()[kind]) == ""


@pytest.mark.parametrize(
    ("kind", "code"), [("rsa1024", "KeyTooWeak"), ("k1", "KeyTypeUnsupported"), ("ed25519", "KeyTypeUnsupported")]
)
def test_keys_that_some_proxy_refuses(kind: str, code: str) -> None:
    assert fault(signed(kind), keys()[kind]) == code


def test_a_key_of_rsa_that_cannot_sign() -> None:
    key = load_pem_private_key(keys()["rsa2048"], None)
    assert isinstance(key, rsa.RSAPrivateKey)
    good = key.private_numbers()
    broken = rsa.RSAPrivateNumbers(good.p, good.q, 3, 3, 3, good.iqmp, good.public_numbers)
    made = broken.private_key(unsafe_skip_rsa_key_validation=True)
    text = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert fault(signed("rsa2048"), text) == "KeyParse"


def test_a_key_of_rsa_is_judged_in_a_moment() -> None:
    begun = time.process_time()
    parse(signed("rsa2048"), keys()["rsa2048"] + b" ")
    assert time.process_time() - begun < 0.02


def test_a_certificate_and_a_key_that_do_not_belong_together() -> None:
    assert fault(signed("p256"), keys()["p384"]) == "CertKeyMismatch"
    assert fault(signed("p256"), keys()["rsa2048"]) == "CertKeyMismatch"
    assert fault(signed("p384") + signed("p256"), keys()["p256"]) == "CertKeyMismatch"


def test_swapped_empty_and_broken() -> None:
    chain, key = signed("p256"), keys()["p256"]
    assert fault(key, chain) == "CertParse"
    assert fault(b"", key) == "CertMissing"
    assert fault(b" \n", key) == "CertMissing"
    assert fault(chain, b"") == "KeyMissing"
    assert fault(chain, chain) == "KeyParse"
    assert fault(chain[:-40], key) == "CertParse"
    assert fault(chain.replace(b"\n", b"\n "), key) == "CertParse"
    assert fault(b"\xef\xbb\xbf" + chain, key) == "CertParse"
    assert fault(b"A" * 300_000, key) == "CertParse"
    assert fault(chain, key + keys()["p384"]) == "KeyAmbiguous"
    assert fault(signed("p256", ""), key) == "CertNoName"


def test_a_key_with_a_pass_phrase() -> None:
    key = load_pem_private_key(keys()["p256"], None)
    for style in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        locked = key.private_bytes(Encoding.PEM, style, BestAvailableEncryption(b"x"))
        assert fault(signed("p256"), locked) == "KeyEncrypted"


def test_a_chain_has_its_limit() -> None:
    others = b"".join(signed("p384", f"{number}.example") for number in range(9))
    assert fault(signed("p256") + others, keys()["p256"]) == ""
    assert fault(signed("p256") + others + signed("p384", "x.example"), keys()["p256"]) == "CertChainTooLong"


HOSTILE = {
    "nothing but beginnings": b"-----BEGIN CERTIFICATE-----\n" * 9000,
    "nothing but dashes": b"-" * 250_000,
    "an endless block": b"-----BEGIN CERTIFICATE-----\n" + b"-----END\n" * 27_000,
    "blanks": b" \n" * 120_000,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_text_costs_one_pass(text: bytes) -> None:
    assert fault(text, keys()["p256"]) in {"CertParse", "CertMissing"}
    assert fault(signed("p256"), text) in {"KeyParse", "KeyMissing"}


def clean() -> Pair:
    return parse(signed("p256"), keys()["p256"])


NOISE = {
    "carriage returns": (signed("p256").replace(b"\n", b"\r\n"), keys()["p256"].replace(b"\n", b"\r\n")),
    "no final newline": (signed("p256").rstrip(), keys()["p256"].rstrip()),
    "text around": (b"subject=x\n" + signed("p256") + b"bye", b"Bag Attributes\n" + keys()["p256"]),
    "a final NUL": (signed("p256") + b"\0", keys()["p256"] + b"\0"),
    "the leaf twice": (signed("p256") * 2, keys()["p256"]),
    "the key in the chain": (signed("p256") + keys()["p256"], keys()["p256"]),
    "a traditional key": (
        signed("p256"),
        load_pem_private_key(keys()["p256"], None).private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ),
    ),
}


@pytest.mark.parametrize("noisy", NOISE.values(), ids=list(NOISE))
def test_what_is_written_is_ours(noisy: tuple[bytes, bytes]) -> None:
    assert parse(*noisy) == clean()


def test_names_are_alternative_names_or_else_the_common_name() -> None:
    assert parse(signed("p256", "cn.example", "A.example", "*.b.example"), keys()["p256"]).names == (
        "a.example",
        "*.b.example",
    )
    assert parse(signed("p256", "cn.example"), keys()["p256"]).names == ("cn.example",)


def test_nothing_secret_is_shown() -> None:
    assert "BEGIN" not in repr(clean())
    assert "BEGIN" not in repr(self_signed("spec"))


# ---------------------------------------------------------------- Secrets


def secret(name: str, namespace: str = "t1", *names: str) -> Manifest:
    return tls_secret(name, namespace, *ordinary(*names))


def web(tls: dict[str, list[str]], *hosts: str, name: str = "i", namespace: str = "t1", created: str = OLD) -> Manifest:
    rules = {host: [path("/" + name, "s")] for host in hosts or ("a.example",)}
    return ingress(name, namespace, rules, tls=tls, created=created)


def certificate_of(found: Translation, host: str = "a.example") -> str:
    return found.config.hosts[host].certificate


def test_a_secret_becomes_a_certificate() -> None:
    found = translate([web({"x": ["a.example"]}), secret("x")])
    assert certificate_of(found) == "t1/x"
    certificate = found.config.certificates["t1/x"]
    assert certificate.names == ("a.example",)
    assert str(certificate.source) == "Secret t1/x"
    assert set(found.config.certificates) == {"default", "t1/x"}


def test_plain_text_counts_before_base64() -> None:
    item = secret("x")
    chain, key = ordinary("a.example")
    item["stringData"] = {"tls.crt": chain.decode(), "tls.key": key.decode()}
    item["data"] = {"tls.crt": base64.b64encode(b"nonsense").decode()}
    assert certificate_of(translate([web({"x": ["a.example"]}), item])) == "t1/x"


def test_any_type_of_secret_will_do() -> None:
    assert certificate_of(translate([web({"x": ["a.example"]}), secret("x") | {"type": "Opaque"}])) == "t1/x"


@BOTH
def test_a_missing_secret_leaves_the_default_certificate(settings: Settings) -> None:
    found = translate([web({"x": ["a.example"]})], settings)
    assert certificate_of(found) == ""
    assert [str(one.source) for one in found.issues if one.code == "SecretNotFound"] == ["Ingress t1/i, spec.tls[0]"]
    assert set(found.config.certificates) == {"default"}


def test_a_broken_secret_leaves_the_default_certificate() -> None:
    broken = secret("x") | {"data": {"tls.crt": "%%%", "tls.key": "="}}
    found = translate([web({"x": ["a.example"]}), broken])
    assert certificate_of(found) == ""
    assert [str(one.source) for one in found.issues if one.code == "SecretDecode"] == ["Secret t1/x"]


def test_a_secret_of_another_namespace_is_out_of_reach() -> None:
    assert certificate_of(translate([web({"x": ["a.example"]}), secret("x", "t2")])) == ""


# ---------------------------------------------------------------- which one


@BOTH
def test_the_first_entry_that_lists_the_host(settings: Settings) -> None:
    tls = {"other": ["b.example"], "first": ["A.example"], "second": ["a.example"]}
    item = web(tls, "a.example", "b.example")
    secrets = [secret("first"), secret("second"), secret("other", "t1", "b.example")]
    found = translate([item, *secrets], settings)
    assert certificate_of(found) == "t1/first"
    assert certificate_of(found, "b.example") == "t1/other"


@BOTH
def test_an_exact_entry_goes_before_a_wildcard(settings: Settings) -> None:
    item = web({"wild": ["*.a.example"], "exact": ["x.a.example"]}, "x.a.example", "y.a.example")
    secrets = [secret("wild", "t1", "*.a.example"), secret("exact", "t1", "x.a.example")]
    found = translate([item, *secrets], settings)
    assert certificate_of(found, "x.a.example") == "t1/exact"
    assert certificate_of(found, "y.a.example") == "t1/wild"


@BOTH
def test_an_entry_without_hosts_counts_where_its_certificate_fits(settings: Settings) -> None:
    item = web({"x": []}, "a.example", "b.example")
    found = translate([item, secret("x")], settings)
    assert certificate_of(found) == "t1/x"
    assert certificate_of(found, "b.example") == ""


def test_an_entry_without_hosts_whose_secret_is_missing() -> None:
    found = translate([web({"x": []}, "a.example", "b.example")])
    assert [str(one.source) for one in found.issues if one.code == "SecretNotFound"] == ["Ingress t1/i, spec.tls[0]"]


@BOTH
def test_an_entry_without_a_secret_means_the_default_certificate(settings: Settings) -> None:
    item = web({})
    item["spec"]["tls"] = [{"hosts": ["a.example"]}]
    assert certificate_of(translate([item], settings)) == ""


@BOTH
def test_the_oldest_ingress_with_tls_for_the_host_decides(settings: Settings) -> None:
    items = [
        web({}, name="oldest", created="2025-01-01T00:00:00Z"),
        web({"x": ["a.example"]}, name="old", created=OLD),
        web({"y": ["a.example"]}, name="young", created=NEW),
    ]
    assert certificate_of(translate([*items, secret("x"), secret("y")], settings)) == "t1/x"


def test_a_host_of_another_tenant_keeps_its_certificate() -> None:
    thief = web({"y": ["a.example"]}, "b.example", name="thief", namespace="t2", created=OLD)
    items = [web({"x": ["a.example"]}, created=NEW), secret("x"), thief, secret("y", "t2")]
    found = translate(items)
    assert certificate_of(found) == "t1/x"
    assert [str(one.source) for one in found.issues if one.code == "TLSHostNotOwned"] == [
        "Ingress t2/thief, spec.tls[0].hosts"
    ]


@pytest.mark.parametrize(("settings", "wanted"), [(FILES, "t1/x"), (LIKE_NGINX, "")], ids=["spec", "ingress-nginx"])
def test_a_certificate_for_another_name(settings: Settings, wanted: str) -> None:
    found = translate([web({"x": ["a.example"]}), secret("x", "t1", "b.example")], settings)
    assert certificate_of(found) == wanted
    assert "CertNameMismatch" in codes(found, "warning")


def test_a_wildcard_certificate_is_for_one_label() -> None:
    item = web({"x": []}, "x.a.example", "y.x.a.example", "a.example", "*.a.example")
    found = translate([item, secret("x", "t1", "*.a.example")])
    named = {host: certificate_of(found, host) for host in found.config.hosts if host}
    assert named == {"x.a.example": "t1/x", "*.a.example": "t1/x", "y.x.a.example": "", "a.example": ""}


# ---------------------------------------------------------------- the default certificate


def test_the_flag_names_the_default_certificate() -> None:
    settings = msgspec.structs.replace(FILES, default_certificate="infra/d")
    found = translate([web({}), secret("d", "infra")], settings)
    assert found.config.options.default_certificate == "infra/d"
    assert set(found.config.certificates) == {"infra/d"}
    assert "PlaceholderCertificate" not in codes(found)


def test_a_default_certificate_that_cannot_be_used() -> None:
    found = translate([], msgspec.structs.replace(FILES, default_certificate="infra/d"))
    assert found.config.options.default_certificate == "default"
    assert [str(one.source) for one in found.issues if one.code == "SecretNotFound"] == [
        "Flag --default-ssl-certificate"
    ]


def test_the_fallback_is_what_the_shell_gives() -> None:
    made = self_signed("ingress-nginx")
    found = translate([], msgspec.structs.replace(FILES, fallback_certificate=made))
    assert found.config.certificates["default"] == made
    assert not found.issues


def test_without_a_fallback_a_placeholder_stands_for_it() -> None:
    found = translate([])
    assert found.config.certificates["default"] == PLACEHOLDER
    assert not found.issues, "nobody asks for TLS"
    assert codes(translate([web({"": ["a.example"]})]), "info") >= {"PlaceholderCertificate"}
    pair = parse(PLACEHOLDER.chain, PLACEHOLDER.key)
    stated = (PLACEHOLDER.chain, PLACEHOLDER.key, PLACEHOLDER.names, PLACEHOLDER.not_before, PLACEHOLDER.not_after)
    assert (pair.chain, pair.key, pair.names, pair.not_before, pair.not_after) == stated


def test_a_self_signed_certificate_bears_the_names_of_its_profile() -> None:
    for profile, wanted in (
        ("ingress-nginx", "Kubernetes Ingress Controller Fake Certificate"),
        ("spec", "gen self-signed certificate"),
    ):
        made = self_signed(profile)
        leaf = x509.load_pem_x509_certificate(made.chain)
        assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == wanted
        pair = parse(made.chain, made.key)
        assert (pair.chain, pair.key, pair.names, pair.not_after) == (made.chain, made.key, made.names, made.not_after)


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(("day", "code"), [(-1, "CertNotYetValid"), (5, ""), (11, "CertExpired")])
def test_validity_is_judged_at_a_given_moment(day: int, code: str) -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp() + day * 86400
    items = [web({"x": ["a.example"]}), tls_secret("x", "t1", signed("p256"), keys()["p256"])]
    found = translate(items, now=now)
    assert certificate_of(found) == "t1/x"
    assert codes(found, "warning") == ({code} if code else set())
    assert not codes(translate(items), "warning")
