"""Hosts and their routing tables: rules, precedence, conflicts, default backends, in both profiles."""

from __future__ import annotations

import msgspec
import pytest

from gen.ir import CATCH_ALL, Issue, Redirect
from gen.translate import Settings, Translation
from tests.live.manifests import Manifest, backend, ingress, path, service
from tests.translate.matcher import service_for
from tests.translate.translating import FILES, codes, table, translate, translate_any

LIKE_NGINX = msgspec.structs.replace(FILES, profile="ingress-nginx")
BOTH = pytest.mark.parametrize("settings", [FILES, LIKE_NGINX], ids=["spec", "ingress-nginx"])
PREFIX = "nginx.ingress.kubernetes.io/"
REDIRECTED = {PREFIX + "permanent-redirect": "https://x.example/"}
CLOSED = {PREFIX + "auth-url": "http:///nowhere"}
OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def routes(*items: Manifest, host: str = "a.example", settings: Settings = FILES) -> list[tuple[str, str, str]]:
    return table(translate(items, settings).config.hosts[host])


def about(found: Translation, code: str) -> list[Issue]:
    return [issue for issue in found.issues if issue.code == code]


# ---------------------------------------------------------------- paths


@BOTH
def test_routes_are_in_match_order_whatever_the_manifest_says(settings: Settings) -> None:
    paths = [path("/a", "p"), path("/a/b", "deep"), path("/", "root"), path("/a", "e", kind="Exact"), path("/z", "z")]
    assert routes(ingress("i", "t1", {"a.example": paths}), settings=settings) == [
        ("exact", "/a", "t1/e:80"),
        ("prefix", "/a/b", "t1/deep:80"),
        ("prefix", "/a", "t1/p:80"),
        ("prefix", "/z", "t1/z:80"),
        ("prefix", "/", "t1/root:80"),
    ]


@BOTH
@pytest.mark.parametrize("kind", ["Prefix", "ImplementationSpecific"])
def test_prefixes_go_by_element(kind: str, settings: Settings) -> None:
    config = translate([ingress("i", "t1", {"a.example": [path("/foo", "s", kind=kind)]})], settings).config
    assert service_for(config, "a.example", "/foo") == "s"
    assert service_for(config, "a.example", "/foo/bar") == "s"
    assert service_for(config, "a.example", "/foobar") is None
    assert service_for(config, "a.example", "/FOO") is None


def test_a_trailing_slash_of_a_prefix_means_nothing_to_the_specification() -> None:
    item = ingress("i", "t1", {"a.example": [path("/foo/", "s"), path("/foo", "late")]})
    assert routes(item) == [("prefix", "/foo", "t1/s:80"), ("prefix", "/", "404")]
    assert "DuplicatePath" in codes(translate([item]))


def test_a_trailing_slash_redirects_as_nginx_does() -> None:
    item = ingress("i", "t1", {"a.example": [path("/foo/", "s"), path("/bar/", "e", kind="Exact")]})
    assert routes(item, settings=LIKE_NGINX) == [
        ("exact", "/bar/", "t1/e:80"),
        ("exact", "/bar", "301 /bar/"),
        ("exact", "/foo", "301 /foo/"),
        ("prefix", "/foo/", "t1/s:80"),
        ("prefix", "/", "404"),
    ]


@pytest.mark.parametrize("kind", ["Exact", "Prefix"])
def test_a_path_that_is_claimed_is_not_redirected(kind: str) -> None:
    item = ingress("i", "t1", {"a.example": [path("/foo/", "s"), path("/foo", "bare", kind=kind)]})
    assert "301 /foo/" not in {where for _, _, where in routes(item, settings=LIKE_NGINX)}


@BOTH
def test_an_absent_path_is_the_root(settings: Settings) -> None:
    item = {"pathType": "ImplementationSpecific", "backend": backend("s")}
    assert routes(ingress("i", "t1", {"a.example": [item]}), settings=settings) == [("prefix", "/", "t1/s:80")]


def test_an_absent_path_type_is_a_prefix() -> None:
    item = {"path": "/a", "backend": backend("s")}
    assert routes(ingress("i", "t1", {"a.example": [item]}))[0] == ("prefix", "/a", "t1/s:80")


def test_paths_are_decoded() -> None:
    assert routes(ingress("i", "t1", {"a.example": [path("/caf%C3%A9", "s")]}))[0] == ("prefix", "/café", "t1/s:80")


def test_rules_of_one_host_add_up() -> None:
    item = ingress("i", "t1", {"a.example": [path("/a", "a")]})
    item["spec"]["rules"].append({"host": "A.EXAMPLE", "http": {"paths": [path("/b", "b")]}})
    assert [route[1] for route in routes(item)] == ["/a", "/b", "/"]


@BOTH
def test_only_services_can_be_forwarded_to(settings: Settings) -> None:
    resource = {"path": "/r", "pathType": "Prefix", "backend": {"resource": {"kind": "Bucket", "name": "b"}}}
    nothing = {"path": "/n", "pathType": "Prefix"}
    item = ingress("i", "t1", {"a.example": [resource, nothing, path("/s", "s")]})
    assert routes(item, settings=settings) == [("prefix", "/s", "t1/s:80"), ("prefix", "/", "404")]
    assert {"UnsupportedBackend", "MissingBackend"} <= codes(translate([item], settings), "error")


WRONG = {
    "host": (ingress("i", "t1", {"a b": [path("/", "s")], "a.example": [path("/", "s")]}), "InvalidHost"),
    "path": (ingress("i", "t1", {"a.example": [path("/../x", "s"), path("/", "s")]}), "InvalidPath"),
    "path type": (ingress("i", "t1", {"a.example": [path("/", "s", kind="Glob")]}), "InvalidPathType"),
    "port": (ingress("i", "t1", {"a.example": [path("/", "s", 70_000)]}), "PortOutOfRange"),
    "secret": (ingress("i", "t1", {"a.example": [path("/", "s")]}, tls={"../x": ["a.example"]}), "BadName"),
    "tls host": (ingress("i", "t1", {"a.example": [path("/", "s")]}, tls={"x": ["a_b"]}), "InvalidHost"),
}


@pytest.mark.parametrize(("item", "code"), WRONG.values(), ids=list(WRONG))
def test_an_ingress_with_a_wrong_value_is_left_out_as_a_whole(item: Manifest, code: str) -> None:
    found = translate_any([item, ingress("other", "t1", {"b.example": [path("/", "s")]})], FILES)
    assert code in codes(found, "error")
    assert set(found.config.hosts) == {"", "b.example"}


def test_too_many_paths_leave_the_younger_ingress_out() -> None:
    many = [path(f"/{number}", "s") for number in range(600)]
    more = [path(f"/x{number}", "s") for number in range(600)]
    items = [ingress("a", "t1", {"a.example": many}), ingress("b", "t1", {"a.example": more, "b.example": more[:1]})]
    found = translate(items)
    assert len(found.config.hosts["a.example"].routes) == 601
    assert [issue.source.name for issue in about(found, "TooManyPaths")] == ["b"]
    assert len(found.config.hosts["b.example"].routes) == 2


# ---------------------------------------------------------------- precedence and conflicts


@BOTH
def test_the_oldest_ingress_wins_and_both_are_told(settings: Settings) -> None:
    items = [
        ingress("young", "t1", {"a.example": [path("/", "y"), path("/extra", "x")]}, created=NEW),
        ingress("old", "t1", {"a.example": [path("/", "o")]}, created=OLD),
    ]
    assert routes(*items, settings=settings) == [("prefix", "/extra", "t1/x:80"), ("prefix", "/", "t1/o:80")]
    told = {issue.source.name: issue for issue in about(translate(items, settings), "DuplicatePath")}
    assert told["young"].severity == "error"
    assert "t1/old" in told["young"].message
    assert told["old"].severity == "warning"
    assert "t1/young" in told["old"].message


def test_of_the_same_age_the_first_name_wins() -> None:
    items = [ingress(name, "t1", {"a.example": [path("/", name)]}) for name in ("b", "a", "c")]
    assert routes(*items) == [("prefix", "/", "t1/a:80")]


def test_of_the_same_age_the_last_name_wins_in_ingress_nginx() -> None:
    items = [ingress(name, "t1", {"a.example": [path("/", name)]}) for name in ("b", "a", "c")]
    assert routes(*items, settings=LIKE_NGINX) == [("prefix", "/", "t1/c:80")]


def test_what_has_no_age_is_the_youngest() -> None:
    items = [
        ingress("a", "t1", {"a.example": [path("/", "a")]}, created=""),
        ingress("b", "t1", {"a.example": [path("/", "b")]}, created=NEW),
        ingress("c", "t1", {"a.example": [path("/", "c")]}, created="nonsense"),
    ]
    assert routes(*items) == [("prefix", "/", "t1/b:80")]


def test_ages_are_instants_not_texts() -> None:
    items = [
        ingress("a", "t1", {"a.example": [path("/", "a")]}, created="2026-01-01T12:00:00Z"),
        ingress("b", "t1", {"a.example": [path("/", "b")]}, created="2026-01-01T13:00:00+02:00"),
    ]
    assert routes(*items) == [("prefix", "/", "t1/b:80")]


def two_tenants() -> list[Manifest]:
    return [
        ingress("old", "t2", {"a.example": [path("/", "o")]}, created=OLD),
        ingress("young", "t1", {"a.example": [path("/y", "y")], "b.example": [path("/", "y")]}, created=NEW),
    ]


def test_a_host_belongs_to_the_namespace_of_its_oldest_ingress() -> None:
    found = translate(two_tenants())
    assert table(found.config.hosts["a.example"]) == [("prefix", "/", "t2/o:80")]
    assert table(found.config.hosts["b.example"]) == [("prefix", "/", "t1/y:80")]
    told = {(issue.source.name, issue.severity) for issue in about(found, "HostConflict")}
    assert told == {("young", "error"), ("old", "warning")}


def test_namespaces_share_a_host_in_ingress_nginx() -> None:
    found = translate(two_tenants(), LIKE_NGINX)
    assert table(found.config.hosts["a.example"]) == [("prefix", "/y", "t1/y:80"), ("prefix", "/", "t2/o:80")]
    assert not about(found, "HostConflict")


def test_a_path_that_stands_twice_in_one_ingress() -> None:
    item = ingress("i", "t1", {"a.example": [path("/x", "first"), path("/x", "second")]})
    assert routes(item)[0] == ("prefix", "/x", "t1/first:80")
    assert [issue.severity for issue in about(translate([item]), "DuplicatePath")] == ["warning"]


# ---------------------------------------------------------------- hosts


def test_a_host_never_falls_through_to_another() -> None:
    items = [
        ingress("w", "t1", {"*.example.com": [path("/w", "w")]}),
        ingress("e", "t1", {"a.example.com": [path("/e", "e")]}),
        ingress("c", "t1", {"": [path("/c", "c")]}),
    ]
    config = translate(items).config
    assert service_for(config, "a.example.com", "/w") is None
    assert service_for(config, "a.example.com", "/c") is None
    assert service_for(config, "b.example.com", "/w") == "w"
    assert service_for(config, "b.example.com", "/c") is None
    assert service_for(config, "b.b.example.com", "/c") == "c"
    assert service_for(config, "example.com", "/c") == "c"


def test_the_catch_all_is_always_there() -> None:
    assert routes(host=CATCH_ALL) == [("prefix", "/", "404")]


def test_a_rule_without_paths_still_makes_a_host() -> None:
    item = ingress("i", "t1", {})
    item["spec"]["rules"] = [{"host": "a.example"}]
    assert routes(item) == [("prefix", "/", "404")]
    assert "NoRules" in codes(translate([item]), "warning")


# ---------------------------------------------------------------- default backends


@BOTH
def test_a_default_backend_is_for_the_hosts_of_its_ingress(settings: Settings) -> None:
    item = ingress("i", "t1", {"a.example": [path("/x", "x")]}, default=backend("d"))
    assert routes(item, settings=settings) == [("prefix", "/x", "t1/x:80"), ("prefix", "/", "t1/d:80")]
    assert routes(item, host=CATCH_ALL, settings=settings) == [("prefix", "/", "404")]


@BOTH
def test_an_ingress_without_rules_takes_all_other_hosts(settings: Settings) -> None:
    items = [ingress("d", "t1", {}, default=backend("d")), ingress("i", "t2", {"a.example": [path("/x", "x")]})]
    assert routes(*items, host=CATCH_ALL, settings=settings) == [("prefix", "/", "t1/d:80")]
    assert routes(*items, settings=settings)[-1] == ("prefix", "/", "404")


@BOTH
def test_the_oldest_default_wins_and_both_are_told(settings: Settings) -> None:
    items = [
        ingress("young", "t1", {}, default=backend("y"), created=NEW),
        ingress("old", "t2", {}, default=backend("o"), created=OLD),
    ]
    assert routes(*items, host=CATCH_ALL, settings=settings) == [("prefix", "/", "t2/o:80")]
    told = {(i.source.name, i.severity) for i in about(translate(items, settings), "DefaultBackendConflict")}
    assert told == {("young", "error"), ("old", "warning")}


def test_a_default_that_a_rule_takes_is_told() -> None:
    items = [ingress("d", "t1", {}, default=backend("d")), ingress("i", "t1", {"": [path("/", "r")]})]
    assert routes(*items, host=CATCH_ALL) == [("prefix", "/", "t1/r:80")]
    assert {issue.source.name for issue in about(translate(items), "DefaultBackendConflict")} == {"d", "i"}


@BOTH
def test_the_global_default_backend_comes_last(settings: Settings) -> None:
    settings = msgspec.structs.replace(settings, default_backend_service="infra/fallback")
    items = [ingress("i", "t1", {"a.example": [path("/x", "x")]}), service("fallback", "infra", port=8080)]
    assert routes(*items, settings=settings)[-1] == ("prefix", "/", "infra/fallback:8080")
    assert routes(*items, host=CATCH_ALL, settings=settings) == [("prefix", "/", "infra/fallback:8080")]
    default = ingress("d", "t1", {}, default=backend("d"))
    assert routes(*items, default, host=CATCH_ALL, settings=settings) == [("prefix", "/", "t1/d:80")]


def test_a_global_default_backend_that_is_missing() -> None:
    found = translate([], msgspec.structs.replace(FILES, default_backend_service="infra/fallback"))
    assert table(found.config.hosts[""]) == [("prefix", "/", "404")]
    assert [str(issue.source) for issue in about(found, "ServiceNotFound")] == ["Flag --default-backend-service"]


def test_only_the_oldest_ingress_of_a_host_has_a_default_in_ingress_nginx() -> None:
    items = [
        ingress("old", "t1", {"a.example": [path("/o", "o")]}, created=OLD),
        ingress("young", "t1", {"a.example": [path("/y", "y")]}, default=backend("d"), created=NEW),
    ]
    assert routes(*items, settings=LIKE_NGINX)[-1] == ("prefix", "/", "404")
    assert routes(*items)[-1] == ("prefix", "/", "t1/d:80")


# ---------------------------------------------------------------- annotations on routes


def test_the_root_carries_the_annotations_of_the_oldest_in_ingress_nginx_only() -> None:
    item = ingress("i", "t1", {"a.example": [path("/x", "x")]}, annotations=REDIRECTED)
    assert routes(item, settings=LIKE_NGINX)[-1] == ("prefix", "/", "301 https://x.example/")
    assert routes(item) == [("prefix", "/x", "301 https://x.example/"), ("prefix", "/", "404")]


@BOTH
def test_a_closed_ingress_answers_503_everywhere(settings: Settings) -> None:
    item = ingress("i", "t1", {"a.example": [path("/x", "x")]}, annotations=CLOSED | REDIRECTED, default=backend("d"))
    assert {where for _, _, where in routes(item, settings=settings)} == {"503"}
    assert not translate([item], settings).config.upstreams


@BOTH
def test_a_redirect_has_no_effect_on_the_default_for_other_hosts(settings: Settings) -> None:
    item = ingress("d", "t1", {}, annotations=REDIRECTED, default=backend("d"))
    assert routes(item, host=CATCH_ALL, settings=settings) == [("prefix", "/", "t1/d:80")]
    closed = ingress("d", "t1", {}, annotations=CLOSED, default=backend("d"))
    assert routes(closed, host=CATCH_ALL, settings=settings) == [("prefix", "/", "503")]


def test_a_policy_is_on_the_routes_of_its_ingress_alone() -> None:
    items = [
        ingress("i", "t1", {"a.example": [path("/x", "x")]}, annotations={PREFIX + "upstream-vhost": "v.example"}),
        ingress("j", "t1", {"a.example": [path("/y", "y")]}),
    ]
    host = translate(items).config.hosts["a.example"]
    assert [route.policy.upstream_host for route in host.routes] == [("v.example",), None, None]


def test_a_redirect_of_nginx_keeps_no_route_without_a_source() -> None:
    host = translate([ingress("i", "t1", {"a.example": [path("/x/", "x")]})], LIKE_NGINX).config.hosts["a.example"]
    redirect = next(route for route in host.routes if isinstance(route.action, Redirect))
    assert str(redirect.source) == "Ingress t1/i, spec.rules[0].http.paths[0]"
