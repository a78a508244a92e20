"""Certificates of clients on a real Envoy: each host has its own rule, whatever the handshake said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trustme

from backends.envoy.clients import identity
from gen.ir import Config, Host, HostPolicy
from gen.policy import ClientCertificate
from tests.envoy.configs import config, host, to, upstream
from tests.envoy.running import Running
from tests.live.client import Connection, Reply, Request
from tests.live.echo import EchoNet
from tests.live.net import HTTPS_PORT, fresh_address

OURS, THEIRS = trustme.CA(), trustme.CA()
CA, OTHER = OURS.cert_pem.bytes(), THEIRS.cert_pem.bytes()
RULES = {
    "on": ClientCertificate(CA, pass_upstream=True),
    "same": ClientCertificate(CA),
    "other": ClientCertificate(OTHER),
    "optional": ClientCertificate(CA, verify="optional"),
    "unchecked": ClientCertificate(CA, verify="unchecked"),
    "page": ClientCertificate(CA, error_page="http://errors.test/why"),
    "subject": ClientCertificate(CA, match_subject="O=(nobody|ours)$"),
    "stranger": ClientCertificate(CA, match_subject="CN=nobody"),
    "closed": ClientCertificate(b""),
}


def ruled(name: str, rule: ClientCertificate) -> Host:
    """A host with a rule for certificates."""
    plain = host(name, ("prefix", "/", to("echo")))
    return msgspec.structs.replace(plain, policy=HostPolicy(client_certificate=rule))


def world(address: str) -> Config:
    hosts = [ruled(f"{name}.test", rule) for name, rule in RULES.items()]
    hosts += [ruled("*.wild.test", RULES["on"]), host("open.test", ("prefix", "/", to("echo")))]
    return config(hosts, [upstream("echo", address)])


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files with the certificates and keys of clients."""
    folder: Path = tmp_path_factory.mktemp("clients")
    for name, authority in {"ours": OURS, "theirs": THEIRS}.items():
        leaf = authority.issue_cert("client.test", organization_name=name)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / name))
    return {"": "", **{name: str(folder / name) for name in ("ours", "theirs")}}


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    echo.listen(address := fresh_address(8080), 8080, "echo")
    with Running(binary, tmp_path_factory.mktemp("envoy") / "state") as running:
        running.go(world(address))
        yield running


def ask(proxy: Running, name: str, shows: str = "", sni: str = "", *headers: tuple[str, str]) -> Reply:
    """A request over TLS; the name in the handshake is that of the host, or another one."""
    with Connection(proxy.address, HTTPS_PORT, server_name=sni or name, shows=shows) as connection:
        return connection.exchange(Request(name, scheme="https", headers=headers))


@pytest.mark.parametrize(
    ("name", "shows", "status"),
    [
        *(
            ("on", "", 400),
            ("on", "ours", 200),
            ("on", "theirs", 400),
            ("other", "ours", 400),
            ("other", "theirs", 200),
        ),
        *(("optional", "", 200), ("optional", "ours", 200), ("optional", "theirs", 400)),
        *(("unchecked", "", 200), ("unchecked", "theirs", 200), ("page", "", 302), ("page", "ours", 200)),
        *(("subject", "ours", 200), ("stranger", "ours", 403), ("closed", "ours", 403), ("a.wild", "", 400)),
        *(("a.wild", "ours", 200), ("open", "", 200)),
    ],
)
def test_rules(proxy: Running, shown: dict[str, str], name: str, shows: str, status: int) -> None:
    for _ in range(2):
        assert ask(proxy, f"{name}.test", shown[shows]).status == status


@pytest.mark.parametrize(
    ("names", "shows", "status"),
    [
        *((("on", "other"), "theirs", 421), (("on", "open"), "", 421), (("on", "nobody"), "ours", 421)),
        *((("optional", "open"), "", 421), (("open", "on"), "", 200), (("on", "same"), "ours", 200)),
        *((("a.wild", "other"), "theirs", 421), (("subject", "other"), "theirs", 421)),
    ],
)
def test_the_handshake_has_to_be_that_of_the_host(
    proxy: Running, shown: dict[str, str], names: tuple[str, str], shows: str, status: int
) -> None:
    name, sni = names
    assert ask(proxy, f"{name}.test", shown[shows], f"{sni}.test").status == status


def test_what_clients_claim_does_not_count(proxy: Running, shown: dict[str, str]) -> None:
    claims = (
        *(("X-Gen-Client", identity(RULES["on"])), ("ssl-client-verify", "SUCCESS")),
        *(("ssl-client-subject-dn", "CN=nobody"), ("ssl-client-cert", "forged"), ("X-Forwarded-Proto", "https")),
    )
    assert ask(proxy, "on.test", shown["theirs"], "other.test", *claims).status == 421
    assert ask(proxy, "stranger.test", shown["ours"], "", *claims).status == 403
    assert proxy.get("stranger.test", "/", *claims).status == 403
    seen = ask(proxy, "optional.test", "", "", *claims).seen
    assert seen
    told = ("ssl-client-verify", "ssl-client-subject-dn", "ssl-client-cert", "x-gen-client")
    assert [seen.value(name) for name in told] == ["NONE", None, None, None]


def test_the_upstream_is_told_of_the_certificate(proxy: Running, shown: dict[str, str]) -> None:
    seen = ask(proxy, "on.test", shown["ours"]).seen
    assert seen
    assert seen.value("ssl-client-verify") == "SUCCESS"
    assert "O=ours" in (seen.value("ssl-client-subject-dn") or "")
    assert (seen.value("ssl-client-cert") or "").startswith("-----BEGIN%20CERTIFICATE-----%0A")
    unchecked = ask(proxy, "unchecked.test", shown["theirs"]).seen
    assert unchecked
    assert (unchecked.value("ssl-client-verify") or "").startswith("FAILED:")
