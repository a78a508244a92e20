"""Annotations of ingress-nginx: redirects, upstream-vhost, and how the others are refused."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from gen.dialects import ingress_nginx as dialect
from gen.dialects.annotation import Effects
from gen.dialects.ingress_nginx.configmap import effective
from gen.dialects.ingress_nginx.ground import Ground
from gen.ir import NO_POLICY, Redirect, Respond, Source

SOURCE = Source("Ingress", "t1", "i")


def settings(*, is_spec: bool = True, **data: str) -> Mapping[str, object]:
    """The value of every key of the ConfigMap."""
    keys = {name.replace("_", "-"): text for name, text in data.items()}
    found, faults_of_keys = effective(keys, is_spec=is_spec)
    assert not faults_of_keys
    return {key: one.value for key, one in found.items()} | {"https-port": 443}


STRICT = Ground(settings())
LENIENT = Ground(settings(is_spec=False), is_strict=False)


def effects(ground: Ground = STRICT, /, **annotations: str) -> Effects:
    given = {f"{dialect.PREFIX}/{name.replace('_', '-')}": text for name, text in annotations.items()}
    return dialect.read(given, SOURCE, ground)


def faults(found: Effects) -> set[tuple[str, str]]:
    return {(issue.code, issue.severity) for issue in found.issues}


REDIRECTS = {
    "permanent": ({"permanent_redirect": "https://x.example/y?z=1"}, Redirect(301, url="https://x.example/y?z=1")),
    "permanent with a code": (
        {"permanent_redirect": "http://x.example", "permanent_redirect_code": "308"},
        Redirect(308, url="http://x.example"),
    ),
    "permanent with a code out of range": (
        {"permanent_redirect": "http://x.example", "permanent_redirect_code": "404"},
        Redirect(301, url="http://x.example"),
    ),
    "temporal": ({"temporal_redirect": "https://x.example"}, Redirect(302, url="https://x.example")),
    "temporal with a code": (
        {"temporal_redirect": "https://x.example", "temporal_redirect_code": "307"},
        Redirect(307, url="https://x.example"),
    ),
    "temporal with a code out of range": (
        {"temporal_redirect": "https://x.example", "temporal_redirect_code": "308"},
        Redirect(302, url="https://x.example"),
    ),
    "temporal before permanent": (
        {"temporal_redirect": "https://t.example", "permanent_redirect": "https://p.example"},
        Redirect(302, url="https://t.example"),
    ),
    "a path": ({"permanent_redirect": "/new"}, Redirect(301, path="/new", query="")),
    "a code alone": ({"permanent_redirect_code": "308"}, None),
    "an empty value": ({"permanent_redirect": " "}, None),
}


@pytest.mark.parametrize(("annotations", "action"), REDIRECTS.values(), ids=list(REDIRECTS))
def test_redirects(annotations: dict[str, str], action: Redirect | None) -> None:
    assert effects(STRICT, **annotations) == Effects(NO_POLICY, action)


BAD = [
    ("permanent_redirect", "https://x\nreturn 444;"),
    ("permanent_redirect", "https://x/$host"),
    ("permanent_redirect", "https://x/;"),
    ("permanent_redirect", "javascript:alert"),
    ("permanent_redirect", "//x.example"),
    ("permanent_redirect", "https:///x"),
    ("permanent_redirect", "x.example"),
    ("permanent_redirect", "https://x.example/" + "a" * 3000),
    ("permanent_redirect_code", "moved"),
    ("temporal_redirect", "/path"),
    ("temporal_redirect", "ftp://x.example"),
    ("temporal_redirect_code", "3e2"),
    ("upstream_vhost", "a b"),
    ("upstream_vhost", "$nothing"),
    ("upstream_vhost", "a\r\nX: y"),
    ("upstream_vhost", "-a"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_rejects_the_ingress(name: str, text: str) -> None:
    found = effects(STRICT, **{name: text})
    assert found.is_rejected
    assert faults(found) == {("AnnotationInvalid", "error")}
    assert found.issues[0].source.field == f"metadata.annotations[{dialect.PREFIX}/{name.replace('_', '-')}]"


@pytest.mark.parametrize("text", ["v.example", "v.example:8443", "under_score.svc", "V.Example"])
def test_the_host_for_the_upstream(text: str) -> None:
    assert effects(upstream_vhost=text).policy.upstream_host == (text,)


def test_without_annotations_nothing_is_computed() -> None:
    without = dialect.read(None, SOURCE, STRICT)
    assert without == Effects()
    assert dialect.read({"a/b": "c"}, SOURCE, STRICT, without) is without


def test_another_prefix() -> None:
    given = {"custom.example/permanent-redirect": "https://c.example", f"{dialect.PREFIX}/permanent-redirect": "x"}
    custom = msgspec.structs.replace(STRICT, prefix="custom.example")
    assert dialect.read(given, SOURCE, custom) == Effects(NO_POLICY, Redirect(301, url="https://c.example"))


# ---------------------------------------------------------------- what is not honoured


def test_a_misspelt_name_is_told_with_the_right_one() -> None:
    found = effects(permanent_redirct="https://x.example")
    assert not found.is_rejected
    assert faults(found) == {("AnnotationUnknown", "warning")}
    assert "did you mean permanent-redirect?" in found.issues[0].message


def test_a_name_that_resembles_nothing() -> None:
    assert "did you mean" not in effects(zzzzzz="x").issues[0].message


def test_what_has_no_effect_says_so() -> None:
    found = effects(enable_rewrite_log="true", http2_push_preload="true", ssl_passthrough="false")
    assert (found.policy, found.action, found.is_rejected) == (NO_POLICY, None, False)
    assert [issue.code for issue in found.issues] == ["AnnotationUnsupported"] * 2


@pytest.mark.parametrize("name", ["auth_ur", "auth_typ", "whitelist_source_rage", "limit_rp", "auth_tls_secre"])
def test_a_misspelt_protection_closes_the_routes(name: str) -> None:
    found = effects(STRICT, **{name: "x", "permanent_redirect": "https://x.example"})
    assert found.action == Respond(503)
    assert faults(found) == {("AnnotationUnknown", "error")}


@pytest.mark.parametrize("name", sorted(name for name, row in dialect.ROWS.items() if row.risk == "critical"))
def test_snippets_are_denied_with_the_whole_ingress(name: str) -> None:
    found = effects(LENIENT, **{name: "return 200;"})
    assert found.is_rejected
    assert faults(found) == {("SnippetDenied", "error")}


def test_a_wild_name_is_escaped() -> None:
    found = dialect.read({f"{dialect.PREFIX}/a\n\x1b[31m": "x"}, SOURCE, STRICT)
    assert found.issues[0].source.field.isprintable()
    assert found.issues[0].message.isprintable()


def test_a_huge_value_is_not_repeated() -> None:
    assert len(effects(permanent_redirect="x" * 100_000).issues[0].message) < 300


# ---------------------------------------------------------------- the table


def test_the_table_of_annotations_is_whole() -> None:
    risks = [row.risk for row in dialect.ROWS.values()]
    assert {risk: risks.count(risk) for risk in risks} == {"low": 76, "medium": 45, "high": 10, "critical": 5}
    assert dialect.ALIASES == {
        "whitelist-source-range": "allowlist-source-range",
        "limit-whitelist": "limit-allowlist",
    }
