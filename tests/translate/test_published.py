"""The published faults of ingress-nginx, by their names: none of the inputs gets through here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from gen.dialects import ingress_nginx
from gen.dialects.ingress_nginx import ROWS
from gen.errors import BadValue
from gen.ir import Forward
from tests.dialects.samples import SAMPLES
from tests.live.manifests import Manifest
from tests.translate.profile import NGINX, STRICT, annotated, configmap, keys, route, secret, world
from tests.translate.translating import codes

BOTH = pytest.mark.parametrize("settings", [NGINX, STRICT], ids=["ingress-nginx", "spec"])
HASH = "$apr1$abcdefgh$ABCDEFGHIJKLMNOPQRSTU/"


def forwards(*items: Manifest, settings: object = NGINX) -> bool:
    """Whether anything of a.example is forwarded."""
    found = world(*items, settings=settings)  # type: ignore[arg-type]
    host = found.config.hosts.get("a.example")
    return host is not None and any(isinstance(one.action, Forward) for one in host.routes)


def one(name: str, text: str) -> Manifest:
    return annotated("a", "a.example", {"/": "s"}, {name: text})


def test_cve_2020_8553_users_belong_to_their_secret() -> None:
    """`a` with `b-c` and `a-b` with `c` once shared a file."""
    basic = {"auth-type": "basic"}
    found = world(
        annotated("i", "a.example", {"/": "s"}, basic | {"auth-secret": "b-c"}, namespace="a"),
        annotated("i", "b.example", {"/": "s"}, basic | {"auth-secret": "c"}, namespace="a-b"),
        secret("b-c", "a", {"auth": f"first:{HASH}"}),
        secret("c", "a-b", {"auth": f"second:{HASH}"}),
    )
    for name, user in (("a.example", "first"), ("b.example", "second")):
        auth = route(found, "/", name).policy.auth_basic
        assert auth
        assert auth.users == ((user, HASH),)


@BOTH
@pytest.mark.parametrize("name", sorted(name for name, row in ROWS.items() if row.risk == "critical"))
def test_cve_2021_25742_and_2023_5043_snippets(settings: object, name: str) -> None:
    assert not forwards(one(name, "content_by_lua 'x';"), settings=settings)
    own = keys(annotations_risk_level_namespaces="t2=Critical", allow_snippet_annotations="true")
    assert not forwards(one(name, "proxy_set_header A b;"), own, settings=settings)


@BOTH
@pytest.mark.parametrize(
    "text", ["/x {alias /etc/;}", "/x\n", "/x;", "/x\rroot /;", "/x\u2028", "/x{log_format y;", "/x#"]
)
def test_cve_2021_25745_25748_2022_4886_2026_24512_and_4342_paths(settings: object, text: str) -> None:
    for wanted in ({}, {"use-regex": "true"}):
        found = world(annotated("a", "a.example", {text: "s"}, wanted), settings=settings)  # type: ignore[arg-type]
        for host in found.config.hosts.values():
            assert not any(re.search(r"[\s;#]", one.match.path) for one in host.routes if one.match.path != "/")


@pytest.mark.parametrize("name", sorted(ROWS))
def test_cve_2021_25746_2024_7646_and_2026_1580_what_is_valid_with_something_behind(name: str) -> None:
    """A line break, a quote or a directive behind (or before) a valid value."""
    for text, value in SAMPLES[name][0].items():
        for suffix in ("\nx", "\rx", "\n", '"', "\u2028x", "\x0bx", "\x85x", "\x00"):
            for changed in (text + suffix, suffix + text):
                try:
                    parsed = ROWS[name].parse(changed)
                except BadValue:
                    continue
                assert name.endswith("-snippet") or parsed in {value, None} or is_lenient(name, parsed), changed


def is_lenient(name: str, parsed: object) -> bool:
    """Lists of origins leave out what is none."""
    return name == "cors-allow-origin" and "\n" not in repr(parsed)


@BOTH
@pytest.mark.parametrize(
    "text", ["https://x\nreturn 444;", "https://x;", "https://x/$host", "//x", "x", "javascript:x"]
)
def test_cve_2023_5044_permanent_redirect(settings: object, text: str) -> None:
    found = world(one("permanent-redirect", text), settings=settings)  # type: ignore[arg-type]
    assert "a.example" not in found.config.hosts


@BOTH
@pytest.mark.parametrize(
    "text", ["http://a/#;\nx", "http://a/}", "http://a b/", "http://a/\\", "http://a/`x`", "http://a/'"]
)
def test_cve_2025_24514_auth_url(settings: object, text: str) -> None:
    assert not forwards(one("auth-url", text), settings=settings)


@BOTH
@pytest.mark.parametrize("text", ['CN=a"; #', "CN=(", "CN=x){1}", "CN=a\nx", "a"])
def test_cve_2025_1097_auth_tls_match_cn(settings: object, text: str) -> None:
    assert not forwards(one("auth-tls-match-cn", text), settings=settings)


@pytest.mark.parametrize("name", ["mirror-target", "mirror-host"])
@pytest.mark.parametrize("text", ["http://x$request_uri;", "x;}\n", 'x" x', "http://x/ {"])
def test_cve_2025_1098_mirrors(name: str, text: str) -> None:
    annotations = {"mirror-target": "http://m.example/"} | {name: text}
    item = annotated("a", "a.example", {"/": "s"}, annotations)
    assert not forwards(item, settings=STRICT)
    mirror = route(world(item)).policy.mirror
    assert mirror is None or mirror.host == ("m.example",)


def test_cve_2025_1098_nobody_reads_the_uid() -> None:
    item = annotated("a", "a.example", {"/": "s"}, {})
    plain = world(item)
    item["metadata"]["uid"] = 'x"; }\n'
    assert world(item) == plain


@BOTH
@pytest.mark.parametrize("text", ['a"; x', "$nothing", "a\nb", "{ }", "a\x00"])
def test_cve_2025_15566_headers_of_a_configmap(settings: object, text: str) -> None:
    item = annotated("a", "a.example", {"/": "s"}, {"auth-url": "http://a/", "auth-proxy-set-headers": "h"})
    found = world(item, configmap("h", "t1", {"A": text}), settings=settings)  # type: ignore[arg-type]
    auth = route(found).policy.auth_external
    assert auth is None or dict(auth.request_headers)["A"] == (text,)
    assert auth is None or "\n" not in text
    found = world(item, configmap("h", "t1", {'A"; x': "b"}), settings=settings)  # type: ignore[arg-type]
    assert route(found).policy.auth_external is None
    assert not isinstance(route(found).action, Forward)


@pytest.mark.parametrize("text", ["GET\n", "GET;", "xGET", "GETx", "GET POST"])
def test_cve_2026_1580_auth_method(text: str) -> None:
    with pytest.raises(BadValue):
        ROWS["auth-method"].parse(text)
    assert not forwards(annotated("a", "a.example", {"/": "s"}, {"auth-url": "http://a/", "auth-method": f"x{text}"}))


def test_cve_2026_24513_authentication_and_error_pages() -> None:
    """Where error pages could replace 401 and 403, the strict profile closes; the other one keeps both policies."""
    annotations = {"auth-url": "http://a/", "custom-http-errors": "401,403", "default-backend": "t"}
    item = annotated("a", "a.example", {"/": "s"}, annotations)
    assert not forwards(item, settings=STRICT)
    policy = route(world(item)).policy
    assert policy.auth_external
    assert policy.error_pages


@pytest.mark.parametrize("text", ['/$9"', "/x;", "/{", "http://evil/$1", "/$host{", "/a\nb", "/a?b$1"])
def test_cve_2026_3288_and_42945_rewrite_target(text: str) -> None:
    assert not forwards(one("rewrite-target", text), settings=STRICT)
    assert route(world(one("rewrite-target", text))).policy.rewrite is None
    assert "AnnotationInvalid" in codes(world(one("rewrite-target", text)), "warning")


def test_risk_by_alias() -> None:
    for alias, name in ingress_nginx.ALIASES.items():
        for text in ("10.0.0.0/8", "x"):
            one_way, other = world(one(alias, text)), world(one(name, text))
            assert one_way.config.hosts == other.config.hosts


def test_cve_2026_1580_every_expression_is_matched_as_a_whole() -> None:
    """No validator uses match or search without its end: the exceptions look for what is forbidden, or a beginning."""
    folder = Path(ingress_nginx.__file__).parent.parent
    loose = {
        f"{path.name}:{node.func.attr}"
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"match", "search"}
    }
    assert loose == {
        "directives.py:match",
        "directives.py:search",
        "names.py:search",
        "redirects.py:match",
        "regex.py:search",
        "target.py:match",
        "target.py:search",
        "values.py:search",
    }
