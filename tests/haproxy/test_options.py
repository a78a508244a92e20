"""What holds for a whole proxy or a whole host, on a real HAProxy with echoing upstreams."""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import unquote

import msgspec
import pytest
import trustme

from gen.ir import Host, HostPolicy, Match, Policy, Route
from gen.policy import ClientCertificate, Forwarded, Gzip, HttpsRedirect, UpstreamTls
from tests.haproxy.configs import certificate, config, source, to, upstream
from tests.haproxy.running import Running
from tests.live.certificates import authority
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.net import HTTPS_PORT, fresh_address


def leaf_only(issued: trustme.LeafCert) -> trustme.LeafCert:
    """A certificate that is shown without those above it."""
    return trustme.LeafCert(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes(), [])


OURS, THEIRS = trustme.CA(), trustme.CA()
KNOWN = OURS.issue_cert("client.test", common_name="client.test")
STRANGER = THEIRS.issue_cert("client.test", common_name="client.test")
BELOW = OURS.create_child_ca()
CLIENTS = {
    "known": KNOWN,
    "stranger": STRANGER,
    "below": BELOW.issue_cert("client.test", common_name="client.test"),
    "deep": BELOW.create_child_ca().issue_cert("client.test", common_name="client.test"),
    "stored": leaf_only(BELOW.issue_cert("client.test", common_name="client.test")),
}


def host(name: str, policy: Policy | None = None, secret: str = "", **asked: object) -> Host:
    client = ClientCertificate(**{"ca": OURS.cert_pem.bytes(), **asked}) if asked else None  # type: ignore[arg-type]
    route = Route(Match("prefix", "/"), to("echo"), source(0, name), policy or Policy())
    return Host(name, (route,), secret, (source(0, name),), HostPolicy(client_certificate=client))


HOSTS = (
    host("plain.test"),
    host("https.test", Policy(https_redirect=HttpsRedirect())),
    host("on.test", verify="on"),
    host("optional.test", verify="optional", pass_upstream=True),
    host("unchecked.test", verify="unchecked"),
    host("deep.test", verify="on", depth=2),
    host("direct.test", verify="on", depth=0),
    host("stored.test", verify="on", ca=OURS.cert_pem.bytes() + BELOW.cert_pem.bytes()),
    host("stored-direct.test", verify="on", ca=OURS.cert_pem.bytes() + BELOW.cert_pem.bytes(), depth=0),
    host("closed.test", ca=b""),
    host("page.test", verify="on", error_page="https://errors.test/why"),
    host("subject.test", verify="on", match_subject="CN=(client|other).test"),
    host("wrong-subject.test", verify="on", match_subject="CN=nobody"),
)


@pytest.fixture
def served(running: Running, echo: EchoNet) -> Running:
    running.echo = fresh_address(8080)  # type: ignore[attr-defined]
    echo.listen(running.echo, 8080, "echo")  # type: ignore[attr-defined]
    return running


def go(running: Running, **options: object) -> None:
    running.go(config(HOSTS, (upstream("echo", running.echo),)), **options)  # type: ignore[attr-defined]


def told(running: Running, *headers: tuple[str, str], name: str = "plain.test") -> dict[str, str]:
    reply = running.get(name, "/", *headers)
    assert reply.seen, reply
    return dict(reply.seen.headers)


def test_forwarded_headers_are_believed(served: Running) -> None:
    everybody = Forwarded(headers=True, networks=("0.0.0.0/0",))
    go(served, forwarded=everybody)
    claims = (("X-Forwarded-For", "1.2.3.4, 5.6.7.8"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "1234"))
    seen = told(served, *claims, ("X-Forwarded-Host", "other.test, x"))
    expected = {"x-real-ip": "1.2.3.4", "x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https",
                "x-forwarded-port": "1234", "host": "other.test", "x-forwarded-host": "other.test"}  # fmt: skip
    assert {name: seen[name] for name in expected} == expected
    assert served.get("https.test", "/", ("X-Forwarded-Proto", "https")).status == 200
    assert served.get("https.test").status == 308
    assert told(served)["x-forwarded-proto"] == "http"
    some = Forwarded(networks=("127.0.0.0/8", "5.6.7.8/32"), append=True)
    go(served, forwarded=some)
    seen = told(served, ("X-Forwarded-For", "9.9.9.9, 1.2.3.4, 5.6.7.8"), ("X-Forwarded-Proto", "https"))
    assert (seen["x-real-ip"], seen["x-forwarded-proto"]) == ("1.2.3.4", "http")
    assert seen["x-forwarded-for"] == "9.9.9.9, 1.2.3.4, 5.6.7.8, 127.0.0.1"
    go(served, forwarded=Forwarded(networks=("10.0.0.0/8",)))
    assert told(served, ("X-Forwarded-For", "1.2.3.4"))["x-real-ip"] == "127.0.0.1"


def test_the_proxy_protocol(served: Running) -> None:
    go(served, proxy_protocol=("0.0.0.0/0",))
    line = b"PROXY TCP4 1.2.3.4 5.6.7.8 1234 443\r\n"
    with served.connect() as connection:
        connection.write(line + Request("plain.test").encode())
        reply = connection.read_reply()
    assert reply.seen
    seen = dict(reply.seen.headers)
    assert (seen["x-real-ip"], seen["x-forwarded-port"], seen["x-forwarded-proto"]) == ("1.2.3.4", "443", "https")


def test_blocked_clients(served: Running) -> None:
    go(served, block_user_agents=((True, "bad.*bot"), (False, "Exactly This")), block_referers=((False, "-f x"),))
    for name, value, status in (
        ("User-Agent", "x BAD yes BOT y", 403), ("User-Agent", "exactly this", 403),
        ("User-Agent", "exactly this 2", 200),
        ("Referer", "-F x", 403), ("Referer", "x", 200),
    ):  # fmt: skip
        with served.connect() as connection:
            connection.write(f"GET / HTTP/1.1\r\nHost: plain.test\r\n{name}: {value}\r\n\r\n".encode())
            assert connection.read_reply().status == status, value
    go(served, block_networks=("127.0.0.0/8",))
    assert served.get("plain.test").status == 403


def test_headers_of_everybody(served: Running) -> None:
    go(
        served, hsts="max-age=1", hidden_headers=("Server", "X-Hide"), response_headers=(("X-All", "a: 'b'"),),
        request_headers=(("X-To-All", ("yes",)),), request_id=False, underscores_in_headers=True,
    )  # fmt: skip
    reply = served.get("plain.test", "/", ("X_Under", "1"), ("X-Echo-Header", "X-Hide: 1"))
    assert (reply.value("server"), reply.value("x-hide"), reply.value("x-all")) == (None, None, "a: 'b'")
    assert reply.value("strict-transport-security") is None
    assert served.send(Request("plain.test", scheme="https")).value("strict-transport-security") == "max-age=1"
    seen = dict(reply.seen.headers) if reply.seen else {}
    assert (seen.get("x-to-all"), seen.get("x-request-id"), seen.get("x_under")) == ("yes", None, "1")
    assert served.get("nobody.test").value("x-all") == "a: 'b'"


def test_compression(served: Running) -> None:
    go(served, gzip=Gzip(types=("application/json",)))
    reply = served.get("plain.test", "/", ("Accept-Encoding", "gzip"))
    assert (reply.value("content-encoding"), reply.value("vary")) == ("gzip", "Accept-Encoding")
    assert served.get("plain.test").value("content-encoding") is None


def test_versions_of_tls_and_unknown_names(served: Running) -> None:
    go(served, tls_protocols=("TLSv1.2",), reject_unknown_names=True)
    assert handshake(served, "plain.test") == "TLSv1.2"
    for name in ("nobody.test", ""):
        with pytest.raises(ssl.SSLError):
            handshake(served, name)
    go(served, tls_protocols=("TLSv1.3", "TLSv1.2"), http2=False)
    assert handshake(served, "nobody.test") == "TLSv1.3"


def handshake(running: Running, name: str) -> str | None:
    """The version of TLS that a client gets."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((running.address, HTTPS_PORT), 10) as plain,
        context.wrap_socket(plain, server_hostname=name or None) as secure,
    ):
        return secure.version()


# ------------------------------------------------------------------ certificates of clients


def client_context(shown: str) -> ssl.SSLContext:
    """How a client shows a certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if shown:
        CLIENTS[shown].configure_cert(context)
    return context


def get(running: Running, name: str, shown: str = "", sni: str = "") -> tuple[int, dict[str, str]]:
    """The status of a request with a certificate, and the headers that the upstream saw, or those of the answer."""
    context = client_context(shown)
    with (
        socket.create_connection((running.address, HTTPS_PORT), 10) as plain,
        context.wrap_socket(plain, server_hostname=sni or name) as secure,
    ):
        secure.sendall(
            f"GET / HTTP/1.1\r\nHost: {name}\r\nssl-client-verify: SUCCESS\r\nConnection: close\r\n\r\n".encode()
        )
        answer = http.client.HTTPResponse(secure)
        answer.begin()
        body = answer.read()
        seen = (
            dict(msgspec.json.decode(body)["headers"]) if answer.getheader("server") == "echo" else dict(answer.headers)
        )
        return answer.status, seen


def test_certificates_of_clients(served: Running) -> None:
    go(served)
    statuses = {
        ("on.test", ""): 400, ("on.test", "known"): 200, ("on.test", "stranger"): 400,
        ("optional.test", ""): 200, ("optional.test", "known"): 200, ("optional.test", "stranger"): 400,
        ("unchecked.test", ""): 200, ("unchecked.test", "stranger"): 200, ("closed.test", "known"): 403,
        ("page.test", ""): 302, ("page.test", "known"): 200,
        ("subject.test", "known"): 200, ("wrong-subject.test", "known"): 403, ("plain.test", "known"): 200,
    }  # fmt: skip
    assert {key: get(served, *key)[0] for key in statuses} == statuses
    seen = get(served, "optional.test", "known")[1]
    assert seen["ssl-client-verify"] == "SUCCESS"
    assert seen["ssl-client-subject-dn"].startswith("CN=client.test,")
    assert unquote(seen["ssl-client-cert"]).strip() == KNOWN.cert_chain_pems[0].bytes().decode().strip()
    assert get(served, "optional.test")[1]["ssl-client-verify"] == "NONE"
    assert get(served, "unchecked.test", "stranger")[1]["ssl-client-verify"].startswith("FAILED")
    assert served.get("subject.test").status == 403
    assert served.get("on.test").status == 200


def test_chains_of_clients(served: Running) -> None:
    """The chain of `deep` is leaf, two authorities, root; that of `presented` the same, all of it presented."""
    go(served)
    statuses = {
        ("on.test", "below"): 200, ("on.test", "deep"): 400, ("deep.test", "deep"): 200, ("direct.test", "known"): 200,
        ("direct.test", "below"): 400, ("stored.test", "stored"): 200, ("stored-direct.test", "stored"): 400,
        ("optional.test", "deep"): 400, ("unchecked.test", "deep"): 200,
    }  # fmt: skip
    assert {key: get(served, *key)[0] for key in statuses} == statuses


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_has_the_chain_of_its_first_handshake(served: Running, version: ssl.TLSVersion) -> None:
    go(served, tls_session_tickets=True)
    for name, shown, status in (("on.test", "deep", 400), ("deep.test", "deep", 200), ("on.test", "below", 200)):
        context = client_context(shown)
        context.maximum_version = version
        session, resumed = None, []
        for _ in range(3):
            with (
                socket.create_connection((served.address, HTTPS_PORT), 10) as plain,
                context.wrap_socket(plain, server_hostname=name, session=session) as secure,
            ):
                secure.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                answer = http.client.HTTPResponse(secure)
                answer.begin()
                answer.read()
                session = secure.session
                resumed.append(secure.session_reused)
                assert answer.status == status, (name, shown, resumed)
        assert any(resumed)


def test_a_host_takes_only_handshakes_of_its_own(served: Running) -> None:
    go(served)
    assert get(served, "on.test", "known", sni="plain.test")[0] == 421
    assert get(served, "on.test", "known", sni="optional.test")[0] == 200  # asks for the same
    assert get(served, "plain.test", "", sni="on.test")[0] == 200


# ------------------------------------------------------------------ upstreams over TLS


def test_upstreams_over_tls(running: Running, echo: EchoNet) -> None:
    inner = certificate("inner", "inner.test")
    with Running(running.binary, running.state.parent / "inner") as upstream_proxy:
        place = fresh_address(8080)
        echo.listen(place, 8080, "echo")
        behind = (host("a.test", secret="inner"), host("inner.test", secret="inner"))
        upstream_proxy.go(config(behind, (upstream("echo", place),), (inner,)))
        wishes = {
            "blind.test": UpstreamTls(),
            "verified.test": UpstreamTls(
                verify=True, ca=authority().cert_pem.bytes(), server_name="inner.test", send_name=True
            ),
            "wrong-name.test": UpstreamTls(
                verify=True, ca=authority().cert_pem.bytes(), server_name="other.test", send_name=True
            ),
            "wrong-authority.test": UpstreamTls(
                verify=True, ca=THEIRS.cert_pem.bytes(), server_name="inner.test", send_name=True
            ),
        }
        hosts = [
            host(name, Policy(protocol="https", upstream_tls=wish, upstream_host=("inner.test",)))
            for name, wish in wishes.items()
        ]
        secure = upstream("echo", upstream_proxy.address, port=HTTPS_PORT)
        both = host("as-client.test", Policy(protocol="as_client", upstream_host=("inner.test",)))
        running.go(config((*hosts, both), (secure,)))
        assert running.send(Request("as-client.test", scheme="https")).status == 200
        assert running.get("as-client.test").status >= 400  # what stands at that port speaks TLS only
        found = {name: running.get(name).status for name in wishes}
    assert found == {"blind.test": 200, "verified.test": 200, "wrong-name.test": 503, "wrong-authority.test": 503}
