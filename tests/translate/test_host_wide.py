"""What one Ingress decides for a whole host: regexes, canaries, names, redirects, client certificates."""

from __future__ import annotations

import pytest

from gen.ir import Forward, Match, Redirect, Respond
from gen.policy import Affinity, Canary, HttpsRedirect, Variable
from tests.live.certificates import authority
from tests.live.certificates import secret as tls
from tests.translate.profile import NGINX, STRICT, annotated, host, keys, route, secret, statuses, world
from tests.translate.translating import codes, table

OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
BOTH = pytest.mark.parametrize("settings", [NGINX, STRICT], ids=["ingress-nginx", "spec"])
CAPTURE = Variable("capture", "2")


# ---------------------------------------------------------------- regexes


def test_one_rewrite_turns_all_paths_of_the_host_into_regexes() -> None:
    found = world(
        annotated("a", "a.example", {"/app(/|$)(.*)": "s"}, {"rewrite-target": "/$2"}, created=OLD),
        annotated("b", "a.example", {"/bar": "t", "=/only": "u", "/a/long/path/here": "t"}, {}, created=NEW),
    )
    assert table(host(found)) == [
        ("regex", "/a/long/path/here", "t1/t:80"),
        ("regex", "/app(/|$)(.*)", "t1/s:80"),
        ("regex", "/only", "t1/u:80"),
        ("regex", "/bar", "t1/t:80"),
        ("prefix", "/", "404"),
    ]
    assert route(found, "/app(/|$)(.*)").policy.rewrite == ("/", CAPTURE)
    assert [issue.source.name for issue in found.issues if issue.code == "RegexHost"] == ["b"]


def test_equal_lengths_are_in_reverse_order_of_the_alphabet() -> None:
    found = world(annotated("a", "a.example", {"/aa": "s", "/bb": "s"}, {"use-regex": "true"}))
    assert [one.match.path for one in host(found).routes] == ["/bb", "/aa", "/"]


def test_a_target_that_is_the_path_changes_nothing() -> None:
    found = world(annotated("a", "a.example", {"/x": "s"}, {"rewrite-target": "/x"}))
    assert route(found, "/x").match == Match("prefix", "/x")
    assert route(found, "/x").policy.rewrite is None


def test_a_group_that_the_path_does_not_have_is_empty() -> None:
    found = world(annotated("a", "a.example", {"/x(.*)": "s", "/": "s"}, {"rewrite-target": "/y$1$3"}))
    assert route(found, "/x(.*)").policy.rewrite == ("/y", Variable("capture", "1"))
    assert route(found).policy.rewrite == ("/y",)


def test_the_other_paths_are_literal_where_they_are_no_regexes() -> None:
    found = world(
        annotated("a", "a.example", {"/x.*": "s"}, {"use-regex": "true"}),
        annotated("b", "a.example", {"/b(r": "t"}, {}),
    )
    assert ("regex", "/b\\(r", "t1/t:80") in table(host(found))


def test_no_slash_redirects_among_regexes() -> None:
    found = world(annotated("a", "a.example", {"/dir/": "s"}, {"use-regex": "true"}))
    assert table(host(found)) == [("regex", "/dir/", "t1/s:80"), ("prefix", "/", "404")]


def test_x_forwarded_prefix_goes_with_a_rewrite() -> None:
    both = annotated("a", "a.example", {"/": "s"}, {"rewrite-target": "/foo", "x-forwarded-prefix": "/p"})
    assert route(world(both)).policy.forwarded_prefix == ("/p",)
    assert (
        route(world(annotated("a", "a.example", {"/": "s"}, {"x-forwarded-prefix": "/p"}))).policy.forwarded_prefix
        is None
    )


# ---------------------------------------------------------------- canaries

CANARY = {"canary": "true", "canary-weight": "20", "canary-by-header": "X-C"}


@BOTH
@pytest.mark.parametrize(("first", "second"), [(OLD, NEW), (NEW, OLD)])
def test_a_canary_belongs_to_the_upstream(settings: object, first: str, second: str) -> None:
    found = world(
        annotated("main", "a.example", {"/x": "s", "/y": "s", "/z": "u"}, {}, created=first),
        annotated("canary", "a.example", {"/x": "t"}, CANARY, created=second),
        settings=settings,  # type: ignore[arg-type]
    )
    canary = Canary("t1/t:80", header="X-C", weight=20)
    assert [route(found, text).policy.canary for text in ("/x", "/y", "/z")] == [canary, canary, None]
    assert "t1/t:80" in found.config.upstreams


@BOTH
@pytest.mark.parametrize("canary_path", ["/other", "=/x"])
def test_a_canary_without_a_route_gets_nothing(settings: object, canary_path: str) -> None:
    found = world(
        annotated("main", "a.example", {"/x": "s"}, {}),
        annotated("canary", "a.example", {canary_path: "t"}, CANARY),
        settings=settings,  # type: ignore[arg-type]
    )
    assert "CanaryWithoutPrimary" in codes(found, "error")
    assert route(found, "/x").policy.canary is None
    assert "t1/t:80" not in found.config.upstreams


def test_only_a_canary_is_no_host() -> None:
    found = world(annotated("canary", "a.example", {"/x": "t"}, CANARY))
    assert "a.example" not in found.config.hosts
    assert "CanaryWithoutPrimary" in codes(found, "error")


def test_of_two_canaries_the_older_counts() -> None:
    found = world(
        annotated("main", "a.example", {"/": "s"}, {}),
        annotated("c2", "a.example", {"/": "u"}, CANARY, created=NEW),
        annotated("c1", "a.example", {"/": "t"}, CANARY, created=OLD),
    )
    canary = route(found).policy.canary
    assert canary
    assert canary.upstream == "t1/t:80"
    assert "CanaryConflict" in codes(found)


def test_the_main_upstream_is_no_canary() -> None:
    found = world(
        annotated("main", "a.example", {"/": "s"}, {}), annotated("c", "a.example", {"/": "s"}, CANARY)
    )  # fmt: skip
    assert route(found).policy.canary is None


def test_a_canary_of_another_namespace_needs_shared_hosts() -> None:
    items = (
        annotated("main", "a.example", {"/": "s"}, {}),
        annotated("c", "a.example", {"/": "t"}, CANARY, namespace="t2"),
    )
    assert route(world(*items)).policy.canary
    found = world(*items, settings=STRICT)
    assert route(found).policy.canary is None
    assert "HostConflict" in codes(found, "error")


# ---------------------------------------------------------------- names


def test_an_alias_is_a_name_of_its_host() -> None:
    found = world(annotated("a", "a.example", {"/": "s"}, {"server-alias": "b.example, C.example,~^x[0-9]$"}))
    assert host(found).aliases == ("b.example", "c.example")
    assert host(found).alias_patterns == ("^x[0-9]$",)


def test_a_host_beats_an_alias_and_an_older_alias_a_younger() -> None:
    found = world(
        annotated("a", "a.example", {"/": "s"}, {"server-alias": "b.example,x.example"}, created=NEW),
        annotated("b", "b.example", {"/": "t"}, {}, created=NEW),
        annotated("c", "c.example", {"/": "u"}, {"server-alias": "x.example"}, created=OLD),
    )
    assert host(found).aliases == ()
    assert host(found, "c.example").aliases == ("x.example",)
    assert codes(found, "warning") >= {"HostConflict"}


def test_app_root_wins_over_the_root_of_another_ingress() -> None:
    found = world(
        annotated("a", "a.example", {"/api": "s"}, {"app-root": "/api/ui?x=1"}),
        annotated("b", "a.example", {"=/": "t", "/": "t"}, {}),
    )
    assert host(found).routes[0].match == Match("exact", "/")
    assert host(found).routes[0].action == Redirect(302, path="/api/ui", query="x=1")


@pytest.mark.parametrize(("name", "other"), [("a.example", "www.a.example"), ("www.a.example", "a.example")])
def test_the_name_with_or_without_www(name: str, other: str) -> None:
    found = world(annotated("a", name, {"/": "s"}, {"from-to-www-redirect": "true"}))
    assert host(found, other).routes[0].action == Redirect(308, host=name, cut_slash=True)
    assert isinstance(host(found, name).routes[0].action, Forward)


def test_the_www_name_of_another_ingress_stays() -> None:
    found = world(
        annotated("a", "a.example", {"/": "s"}, {"from-to-www-redirect": "true"}),
        annotated("b", "www.a.example", {"/": "t"}, {}),
    )
    assert table(host(found, "www.a.example")) == [("prefix", "/", "t1/t:80")]


def test_the_www_name_has_the_certificate_only_where_that_is_for_it() -> None:
    for names, expected in ((("a.example", "www.a.example"), "t1/c"), (("a.example",), "")):
        item = annotated("a", "a.example", {"/": "s"}, {"from-to-www-redirect": "true"}, tls={"c": ["a.example"]})
        assert host(world(item, tls("c", "t1", *names)), "www.a.example").certificate == expected


# ---------------------------------------------------------------- HTTPS


@pytest.mark.parametrize(
    ("annotations", "with_tls", "without"),
    [
        ({}, True, False),
        ({"ssl-redirect": "false"}, False, False),
        ({"force-ssl-redirect": "true"}, True, True),
        ({"ssl-redirect": "nonsense"}, True, False),
        ({"permanent-redirect": "https://x.example"}, False, False),
        ({"permanent-redirect": "https://x.example", "force-ssl-redirect": "true"}, False, False),
        ({"auth-url": "nonsense"}, False, False),
    ],
)
def test_when_http_is_redirected(annotations: dict[str, str], with_tls: bool, without: bool) -> None:
    for entries, expected in (({"c": ["a.example"]}, with_tls), ({"c": ["other.example"]}, with_tls), (None, without)):
        found = world(annotated("a", "a.example", {"/": "s"}, annotations, tls=entries))
        assert bool(route(found).policy.https_redirect) is expected


def test_the_spec_profile_redirects_nothing_by_itself() -> None:
    item = annotated("a", "a.example", {"/": "s"}, {}, tls={"c": ["a.example"]})
    assert route(world(item, settings=STRICT)).policy.https_redirect is None
    item = annotated("a", "a.example", {"/": "s"}, {"ssl-redirect": "true"}, tls={"c": ["a.example"]})
    assert route(world(item, settings=STRICT)).policy.https_redirect == HttpsRedirect()


def test_a_wildcard_with_tls_counts_for_its_hosts() -> None:
    found = world(
        annotated("w", "*.example.org", {"/": "s"}, {}, tls={"c": ["*.example.org"]}),
        annotated("a", "a.example.org", {"/": "s"}, {}),
    )
    assert route(found, "/", "a.example.org").policy.https_redirect


def test_the_redirect_by_the_configmap() -> None:
    settings = keys(http_redirect_code="301", use_port_in_redirects="true", preserve_trailing_slash="true")
    item = annotated("a", "a.example", {"/": "s", "/.well-known/acme-challenge/x": "t"}, {}, tls={"c": []})
    found = world(item, settings)
    assert route(found).policy.https_redirect == HttpsRedirect(301, 443, keep_slash=True)
    assert route(found, "/.well-known/acme-challenge/x").policy.https_redirect is None


# ---------------------------------------------------------------- the root, cookies, client certificates


def test_the_root_inherits_what_the_oldest_ingress_says() -> None:
    found = world(
        annotated("a", "a.example", {"/x": "s"}, {"allowlist-source-range": "10.0.0.0/8"}, created=OLD),
        annotated("b", "a.example", {"/y": "s"}, {}, created=NEW),
    )
    assert [one.policy.allow for one in host(found).routes] == [("10.0.0.0/8",), None, ("10.0.0.0/8",)]
    assert statuses(found) == [None, None, 404]


def test_the_path_of_a_cookie_is_that_of_its_route() -> None:
    found = world(annotated("a", "a.example", {"/x": "s", "/y": "s"}, {"affinity": "cookie"}))
    assert [one.policy.affinity for one in host(found).routes] == [Affinity(path="/x"), Affinity(path="/y"), Affinity()]


def test_client_certificates_are_for_all_paths() -> None:
    ca = authority().cert_pem.bytes()
    found = world(
        annotated("a", "a.example", {"/x": "s"}, {"auth-tls-secret": "t1/ca", "auth-tls-match-cn": "CN=x"}),
        annotated("b", "a.example", {"/y": "t"}, {}),
        secret("ca", "t1", {"ca.crt": ca}),
    )
    rule = host(found).policy.client_certificate
    assert rule
    assert rule.ca.startswith(b"-----BEGIN CERTIFICATE-----")
    assert (rule.match_subject, rule.verify) == ("CN=x", "on")


@BOTH
def test_nobody_gets_past_a_needed_certificate_by_plain_http(settings: object) -> None:
    found = world(
        annotated("a", "a.example", {"/x": "s"}, {"auth-tls-secret": "t1/ca", "ssl-redirect": "false"}),
        annotated("b", "a.example", {"/y": "t", "/.well-known/acme-challenge/x": "t"}, {}),
        annotated("c", "c.example", {"/": "t"}, {"auth-tls-secret": "t1/ca", "auth-tls-verify-client": "optional"}),
        secret("ca", "t1", {"ca.crt": authority().cert_pem.bytes()}),
        settings=settings,  # type: ignore[arg-type]
    )
    for path in ("/x", "/y"):
        assert route(found, path).policy.https_redirect == HttpsRedirect(308, keep_slash=True)
    assert route(found, "/.well-known/acme-challenge/x").policy.https_redirect is None
    assert route(found, "/", "c.example").policy.https_redirect is None


@BOTH
def test_a_closed_ingress_keeps_the_protection_of_its_host(settings: object) -> None:
    found = world(
        annotated("a", "a.example", {"/x": "s"}, {"auth-tls-secret": "t1/ca", "auth-type": "basic"}),
        annotated("b", "a.example", {"/y": "t"}, {}),
        secret("ca", "t1", {"ca.crt": authority().cert_pem.bytes()}),
        settings=settings,  # type: ignore[arg-type]
    )
    assert host(found).policy.client_certificate
    assert route(found, "/x").action == Respond(503)


@BOTH
@pytest.mark.parametrize("reference", ["t1/absent", "ca", "t2/ca", "t1/bad", "t1/empty"])
def test_without_its_authority_the_whole_host_is_forbidden(settings: object, reference: str) -> None:
    found = world(
        annotated("a", "a.example", {"/x": "s"}, {"auth-tls-secret": reference}),
        annotated("b", "a.example", {"/y": "t"}, {"permanent-redirect": "https://x.example"}),
        secret("ca", "t2", {"ca.crt": authority().cert_pem.bytes()}),
        secret("bad", "t1", {"ca.crt": "nonsense"}),
        secret("empty", "t1", {}),
        settings=settings,  # type: ignore[arg-type]
    )
    assert {one.action for one in host(found).routes} == {Respond(403)}
    assert codes(found, "error")
