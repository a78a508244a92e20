"""Annotations of ingress-nginx: redirects, upstream-vhost, and how the others are refused."""

from __future__ import annotations

import pytest

from gen.dialects import ingress_nginx as dialect
from gen.dialects.annotation import Effects
from gen.dialects.ingress_nginx import known
from gen.ir import NO_POLICY, Redirect, Respond, Source

SOURCE = Source("Ingress", "t1", "i")


def effects(**annotations: str) -> Effects:
    given = {f"{dialect.PREFIX}/{name.replace('_', '-')}": text for name, text in annotations.items()}
    return dialect.read(given, dialect.PREFIX, SOURCE)


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
    "a path": ({"permanent_redirect": "/new"}, Redirect(301, path="/new")),
    "a code alone": ({"permanent_redirect_code": "308"}, None),
    "an empty value": ({"permanent_redirect": " "}, None),
}


@pytest.mark.parametrize(("annotations", "action"), REDIRECTS.values(), ids=list(REDIRECTS))
def test_redirects(annotations: dict[str, str], action: Redirect | None) -> None:
    assert effects(**annotations) == Effects(NO_POLICY, action)


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
    ("upstream_vhost", "$host"),
    ("upstream_vhost", "a\r\nX: y"),
    ("upstream_vhost", "-a"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_rejects_the_ingress(name: str, text: str) -> None:
    found = effects(**{name: text})
    assert found.is_rejected
    assert faults(found) == {("AnnotationInvalid", "error")}
    assert found.issues[0].source.field == f"metadata.annotations[{dialect.PREFIX}/{name.replace('_', '-')}]"


@pytest.mark.parametrize("text", ["v.example", "v.example:8443", "under_score.svc", "V.Example"])
def test_the_host_for_the_upstream(text: str) -> None:
    assert effects(upstream_vhost=text).policy.upstream_host == (text,)


def test_no_annotations_cost_nothing() -> None:
    assert dialect.read(None, dialect.PREFIX, SOURCE) is dialect.NOTHING
    assert dialect.read({"a/b": "c"}, dialect.PREFIX, SOURCE) is dialect.NOTHING


def test_another_prefix() -> None:
    given = {"custom.example/permanent-redirect": "https://c.example", f"{dialect.PREFIX}/permanent-redirect": "x"}
    assert dialect.read(given, "custom.example", SOURCE) == Effects(NO_POLICY, Redirect(301, url="https://c.example"))


# ---------------------------------------------------------------- what is not honoured


def test_a_misspelt_name_is_told_with_the_right_one() -> None:
    found = effects(permanent_redirct="https://x.example")
    assert not found.is_rejected
    assert faults(found) == {("AnnotationUnknown", "warning")}
    assert "did you mean permanent-redirect?" in found.issues[0].message


def test_a_name_that_resembles_nothing() -> None:
    assert "did you mean" not in effects(zzzzzz="x").issues[0].message


def test_a_harmless_one_has_no_effect() -> None:
    found = effects(enable_access_log="false", client_body_buffer_size="1m")
    assert (found.policy, found.action, found.is_rejected) == (NO_POLICY, None, False)
    assert faults(found) == {("AnnotationUnsupported", "warning")}


@pytest.mark.parametrize("name", sorted(known.SECURITY - {"auth-snippet"}))
def test_a_security_annotation_closes_the_routes(name: str) -> None:
    found = effects(**{name: "x", "permanent_redirect": "https://x.example"})
    assert found.action == Respond(503)
    assert ("AnnotationUnsupported", "error") in faults(found)


def test_an_alias_counts_as_what_it_stands_for() -> None:
    assert effects(whitelist_source_range="10.0.0.0/8").action == Respond(503)


@pytest.mark.parametrize("text", ["", "false", "0", "off"])
def test_a_security_annotation_that_asks_for_nothing(text: str) -> None:
    assert effects(enable_modsecurity=text) == Effects()


@pytest.mark.parametrize("name", sorted(known.SNIPPETS))
def test_snippets_are_denied_with_the_whole_ingress(name: str) -> None:
    found = effects(**{name: "return 200;"})
    assert found.is_rejected
    assert faults(found) == {("SnippetDenied", "error")}


def test_a_canary_gets_nothing_rather_than_everything() -> None:
    assert effects(canary="true", canary_weight="10").is_rejected
    assert not effects(canary="false").is_rejected


def test_a_wild_name_is_escaped() -> None:
    found = dialect.read({f"{dialect.PREFIX}/a\n\x1b[31m": "x"}, dialect.PREFIX, SOURCE)
    assert found.issues[0].source.field.isprintable()
    assert found.issues[0].message.isprintable()


def test_a_huge_value_is_not_repeated() -> None:
    assert len(effects(permanent_redirect="x" * 100_000).issues[0].message) < 300


# ---------------------------------------------------------------- the table


def test_the_table_of_known_names_is_whole() -> None:
    counts = {risk: list(known.RISKS.values()).count(risk) for risk in ("low", "medium", "high", "critical")}
    assert counts == {"low": 76, "medium": 45, "high": 10, "critical": 5}
    assert known.RISKS.keys() >= known.SECURITY
    assert set(known.ALIASES.values()) <= known.RISKS.keys()
    assert known.ALIASES.keys().isdisjoint(known.RISKS)


def test_every_row_is_documented_and_has_the_risk_of_the_table() -> None:
    for name, row in dialect.ROWS.items():
        assert row.doc.endswith(".")
        assert row.risk == known.RISKS[name]
