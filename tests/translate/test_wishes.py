"""What annotations ask of Secrets, ConfigMaps and Services; whoever cannot have it is closed, never open."""

from __future__ import annotations

import pytest

from gen.ir import Forward, Redirect, Respond, Weighted
from gen.policy import BasicAuth, ErrorPages, Fallback, Policy, Variable
from gen.translate import Settings
from gen.translate.references import references
from tests.live.certificates import authority, issue
from tests.live.manifests import Manifest, tls_secret
from tests.translate.profile import NGINX, PREFIX, STRICT, annotated, configmap, host, keys, route, secret, world
from tests.translate.translating import codes, objects

BOTH = pytest.mark.parametrize("settings", [NGINX, STRICT], ids=["ingress-nginx", "spec"])
BASIC = {"auth-type": "basic", "auth-secret": "users", "auth-realm": "my realm"}
HASH = "$apr1$abcdefgh$ABCDEFGHIJKLMNOPQRSTU/"
CLOSED = Respond(503)


def one(annotations: dict[str, str]) -> Manifest:
    return annotated("a", "a.example", {"/": "s"}, annotations)


# ---------------------------------------------------------------- passwords


@BOTH
def test_users_of_a_file_and_of_a_map(settings: Settings) -> None:
    expected = BasicAuth("my realm", (("bob", HASH), ("eve", "{SHA}" + "a" * 27 + "=")))
    lines = f"eve:{expected.users[1][1]}\n\n# nobody\nbob:{HASH}:a comment\n"
    found = world(one(BASIC), secret("users", "t1", {"auth": lines}), settings=settings)
    assert route(found).policy.auth_basic == expected
    found = world(
        one(BASIC | {"auth-secret-type": "auth-map"}), secret("users", "t1", dict(expected.users)), settings=settings
    )
    assert route(found).policy.auth_basic == expected


@pytest.mark.parametrize(
    "lines", ["bob", "bob:", "bob:secret", ":x", "bob pw:x", f"b\0b:{HASH}", "bob:$9$x", "bob:{MD5}x"]
)
def test_a_line_that_is_no_user_lets_nobody_in(lines: str) -> None:
    found = world(one(BASIC), secret("users", "t1", {"auth": lines}))
    assert route(found).policy.auth_basic == BasicAuth("my realm", ())
    assert "AuthFileInvalid" in codes(found, "error")
    assert lines.strip("\0") not in " ".join(one.message for one in found.issues) or len(lines) < 5


def test_hashes_are_never_shown() -> None:
    found = world(one(BASIC), secret("users", "t1", {"auth": f"bob:{HASH}"}))
    assert HASH not in repr(found)


FAIL_CLOSED = {
    "no secret": (BASIC, []),
    "no key": (BASIC, [secret("users", "t1", {"other": "x"})]),
    "not base64": (BASIC, [secret("users", "t1", {}) | {"data": {"auth": "%%%"}}]),
    "a map with a bad user": (BASIC | {"auth-secret-type": "auth-map"}, [secret("users", "t1", {"bob": "plain"})]),
    "another namespace": (BASIC | {"auth-secret": "t2/users"}, [secret("users", "t2", {"auth": f"b:{HASH}"})]),
    "no name": (BASIC | {"auth-secret": "../users"}, []),
    "a type alone": ({"auth-type": "basic"}, []),
    "an unknown type": ({"auth-type": "bearer", "auth-secret": "users"}, []),
    "a misspelt type": ({"auth-tpye": "basic", "auth-secret": "users"}, []),
    "a url without a scheme": ({"auth-url": "a.example/x"}, []),
    "a url without a host": ({"auth-url": "http:///x"}, []),
    "a url with code": ({"auth-url": "http://a/\n;x"}, []),
    "an unknown method": ({"auth-url": "http://a/", "auth-method": "FETCH"}, []),
    "a bad header": ({"auth-url": "http://a/", "auth-response-headers": "a:b"}, []),
    "a bad duration": ({"auth-url": "http://a/", "auth-cache-key": "x", "auth-cache-duration": "x"}, []),
    "a bad cookie switch": ({"auth-url": "http://a/", "auth-always-set-cookie": "perhaps"}, []),
    "a bad redirect": ({"auth-url": "http://a/", "auth-request-redirect": "a b"}, []),
    "no headers": ({"auth-url": "http://a/", "auth-proxy-set-headers": "absent"}, []),
    "bad headers": (
        {"auth-url": "http://a/", "auth-proxy-set-headers": "h"},
        [configmap("h", "t1", {"A": "$nothing"})],
    ),
    "an allow list": ({"allowlist-source-range": "10.0.0.0/8,x"}, []),
    "a deny list": ({"denylist-source-range": "x"}, []),
    "no certificate for us": ({"backend-protocol": "HTTPS", "proxy-ssl-secret": "absent"}, []),
    "no authority": (
        {"backend-protocol": "HTTPS", "proxy-ssl-secret": "c", "proxy-ssl-verify": "on"},
        [secret("c", "t1", {})],
    ),
    "custom headers": ({"custom-headers": "absent"}, []),
    "a header that is not allowed": ({"custom-headers": "h"}, [configmap("h", "t1", {"X-A": "b"})]),
}


@BOTH
@pytest.mark.parametrize(("annotations", "items"), FAIL_CLOSED.values(), ids=list(FAIL_CLOSED))
def test_what_cannot_be_had_closes(settings: Settings, annotations: dict[str, str], items: list[Manifest]) -> None:
    """Closed, or left out altogether: but never a route that forwards or redirects."""
    found = world(one(annotations | {"permanent-redirect": "https://x.example"}), *items, settings=settings)
    routes = found.config.hosts["a.example"].routes if "a.example" in found.config.hosts else ()
    assert {one.action for one in routes} <= {CLOSED}
    assert codes(found, "error")


@pytest.mark.parametrize("text", ["true", "false", "", "junk"])
def test_global_authentication_is_only_switched_off_by_false(text: str) -> None:
    found = world(one({"enable-global-auth": text}), keys(global_auth_url="http://auth.example/x"))
    if text == "junk":
        assert route(found).action == CLOSED or route(found).policy.auth_external
    else:
        assert bool(route(found).policy.auth_external) is (text != "false")


def test_other_namespaces_by_leave_of_the_administrator() -> None:
    items = one(BASIC | {"auth-secret": "t2/users"}), secret("users", "t2", {"auth": f"bob:{HASH}"})
    assert route(world(*items, keys(allow_cross_namespace_resources="true"))).policy.auth_basic


# ---------------------------------------------------------------- external authentication


@BOTH
def test_external_authentication(settings: Settings) -> None:
    wanted = {
        "auth-url": "https://auth.example/check?u=$remote_user",
        "auth-method": "POST",
        "auth-signin": "https://login.example/start?x=y",
        "auth-response-headers": "X-User, X-Group",
        "auth-proxy-set-headers": "h",
        "auth-cache-key": "$host",
    }
    found = world(one(wanted), configmap("h", "t1", {"X-From": "$host", "X-Json": '{"a"}'}), settings=settings)
    auth = route(found).policy.auth_external
    assert auth
    assert (auth.upstream, auth.tls, auth.host, auth.method) == ("auth.example:443", True, ("auth.example",), "POST")
    assert auth.path == ("/check?u=", Variable("remote_user"))
    assert auth.signin[0] == "https://login.example/start?x=y"
    assert auth.signin[1] == "&rd="
    assert auth.response_headers == ("X-User", "X-Group")
    assert dict(auth.request_headers) == {
        "X-Original-URI": (Variable("request_uri"),),
        "X-Scheme": (Variable("scheme"),),
        "X-From": (Variable("host"),),
        "X-Json": ('{"a"}',),
    }
    assert auth.cache_valid == (((200, 202, 401), 300.0),)
    upstream = found.config.upstreams["auth.example:443"]
    assert upstream.dns
    assert (upstream.dns.name, upstream.dns.port) == ("auth.example", 443)


def test_a_signin_url_with_its_parameter_stays() -> None:
    found = world(one({"auth-url": "http://a.example/", "auth-signin": "https://b.example/?rd=https://c.example"}))
    auth = route(found).policy.auth_external
    assert auth
    assert auth.signin == ("https://b.example/?rd=https://c.example",)


def test_a_name_of_the_cluster_is_resolved_here() -> None:
    found = world(one({"auth-url": "http://t.t1.svc.cluster.local/x"}))
    (endpoint,) = found.config.upstreams["t.t1.svc.cluster.local:80"].endpoints
    assert (endpoint.address, endpoint.port) == ("10.0.0.1", 8080)


def test_locations_without_authentication() -> None:
    item = annotated("a", "a.example", {"/": "s", "/open": "s", "/.well-known/acme-challenge": "s"}, BASIC)
    users = secret("users", "t1", {"auth": f"bob:{HASH}"})
    found = world(item, users, keys(no_auth_locations="/open"))
    secured = {one.match.path: bool(one.policy.auth_basic) for one in host(found).routes}
    assert secured == {"/": True, "/open": False, "/.well-known/acme-challenge": True}


# ---------------------------------------------------------------- the rest


def test_a_default_backend() -> None:
    found = world(one({"default-backend": "t", "custom-http-errors": "404,503"}))
    headers = (("X-Namespace", "t1"), ("X-Ingress-Name", "a"), ("X-Service-Name", "s"), ("X-Service-Port", "80"))
    assert route(found).policy == Policy(
        error_pages=ErrorPages((404, 503), "t1/t:80", headers), fallback=Fallback("t1/t:80", headers)
    )
    assert "t1/t:80" in found.config.upstreams


def test_a_default_backend_that_is_missing() -> None:
    found = world(one({"default-backend": "absent", "custom-http-errors": "404"}))
    pages = route(found).policy.error_pages
    assert pages
    assert (pages.upstream, route(found).policy.fallback) == ("", None)
    assert "ServiceNotFound" in codes(found, "warning")


def test_custom_headers() -> None:
    headers = configmap("h", "t2", {"X-A": "$literal", "X-B": "c"})
    found = world(one({"custom-headers": "t2/h"}), headers, keys(global_allowed_response_headers="x-a,X-B"))
    assert route(found).policy.response_headers == (("X-A", "$literal"), ("X-B", "c"))


@BOTH
def test_tls_to_the_upstream(settings: Settings) -> None:
    chain, key = issue("client.example")
    item = tls_secret("c", "t1", chain, key)
    item["data"] |= secret("x", "t1", {"ca.crt": authority().cert_pem.bytes()})["data"]
    wanted = {"backend-protocol": "HTTPS", "proxy-ssl-secret": "t1/c", "proxy-ssl-verify": "on", "proxy-ssl-name": "u"}
    found = world(one(wanted), item, settings=settings)
    tls = route(found).policy.upstream_tls
    assert tls
    assert (tls.verify, tls.certificate, tls.server_name) == (True, "t1/c", "u")
    assert tls.ca.count(b"BEGIN CERTIFICATE") == 1
    assert "t1/c" in found.config.certificates
    assert host(found).certificate == ""


def test_fastcgi() -> None:
    wanted = {"backend-protocol": "FCGI", "fastcgi-index": "index.php", "fastcgi-params-configmap": "p"}
    found = world(one(wanted), configmap("p", "t1", {"SCRIPT_FILENAME": "/x/$uri"}))
    fastcgi = route(found).policy.fastcgi
    assert fastcgi
    assert (fastcgi.index, fastcgi.params) == ("index.php", (("SCRIPT_FILENAME", ("/x/", Variable("uri"))),))


def test_the_service_itself() -> None:
    found = world(one({"service-upstream": "true"}))
    assert route(found).action == Forward((Weighted("t1/s:80@service"),))


def test_variables_of_the_route() -> None:
    found = world(one({"upstream-vhost": "$service_name.$namespace.svc"}))
    assert route(found).policy.upstream_host == ("s.t1.svc",)


def test_redirects_win_over_wishes_that_work() -> None:
    found = world(one({"permanent-redirect": "https://x.example"}))
    assert route(found).action == Redirect(301, url="https://x.example")


def test_the_objects_that_an_ingress_names() -> None:
    names = {"auth-secret": "users", "auth-tls-secret": "t2/ca", "custom-headers": "h", "proxy-ssl-secret": "a b"}
    (item,) = objects([annotated("a", "a.example", {"/": "s"}, names, tls={"c": ["a.example"]})])
    assert {str(ref) for ref in references(NGINX)(item)} == {
        "Secret t1/users",
        "Secret t2/ca",
        "Secret t1/c",
        "ConfigMap t1/h",
    }
    assert PREFIX + "auth-secret" in (item.metadata.annotations or {})
    (item,) = objects([configmap("gen", "infra", {"add-headers": "x/y", "proxy-set-headers": "z"})])
    assert {str(ref) for ref in references(NGINX)(item)} == {"ConfigMap x/y", "ConfigMap infra/z"}
