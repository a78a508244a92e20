"""The truth table of protections (truths.yaml) on every real proxy: honoured, or closed; never open by accident."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from msgspec import Struct

from gen.backend import Placement, load
from tests.live import certificates
from tests.live.client import Reply, Request
from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.manifests import Manifest, endpoint_slice, ingress, manifest, path, service
from tests.live.net import fresh_address
from tests.live.proxies import BACKENDS, need_proxy
from tests.proof.case import read

NAMESPACE, DOMAIN, PREFIX = "truths", "truths.example", "nginx.ingress.kubernetes.io"
PROFILES = ("ingress-nginx", "spec")
CLOSED = frozenset((400, 401, 403, 404, 421, 500, 502, 503))
UNFINISHED = frozenset(("envoy",))
"""Proxies that may close what they do not honour yet."""
NOWHERE = Placement("managed", Path("/nonexistent"), Path("/nonexistent"))
FEATURES = {name: load(name, NOWHERE).features for name in BACKENDS}
Annotations = Mapping[str, str]


class Row(Struct, frozen=True, forbid_unknown_fields=True):
    """A route with these annotations, a request, and its answer."""

    given: Annotations
    want: int | tuple[int, ...]
    path: str = "/"
    headers: Mapping[str, str] = {}
    sni: str | None = None
    shows: str = ""
    service: str = ""
    upstream: Mapping[str, str | None] = {}
    spec: int | None = None

    def statuses(self, profile: str) -> tuple[int, ...]:
        """Those that are right."""
        wanted = self.spec if profile == "spec" and self.spec else self.want
        return (wanted,) if isinstance(wanted, int) else wanted


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """Rows that have something in common; `paths` are routes of one host with annotations of their own.

    Shape: `needs` is a word of gen.fit without which nothing is closed, so that proxies without it are not asked.
    """

    about: str
    rows: tuple[Row, ...]
    given: Annotations = {}
    headers: Mapping[str, str] = {}
    scheme: str = "http"
    tls: bool = False
    service: str = "web"
    needs: str = ""
    paths: Mapping[str, Annotations] = {}


GROUPS: tuple[Group, ...] = read(Path(__file__).with_name("truths.yaml"), tuple[Group, ...])
ROWS = [(group, row) for group in GROUPS for row in group.rows]


def host_of(number: int) -> str:
    return f"t{number}.{DOMAIN}"


# ---------------------------------------------------------------- the world


class World(Struct, frozen=True):
    """A gen with all routes, and the files of the clients' certificates."""

    gen: GenRun
    shown: Mapping[str, str]

    def ask(self, number: int) -> Reply | OSError:
        """Send a row."""
        group, row = ROWS[number]
        request = Request(
            host_of(number),
            row.path,
            scheme=group.scheme,
            headers=tuple({**group.headers, **row.headers}.items()),
            sni=row.sni,
            shows=self.shown.get(row.shows, ""),
        )
        try:
            return self.gen.send(request)
        except OSError as error:
            return error


def objects(class_name: str, echo: EchoNet, authority: trustme.CA) -> Iterator[Manifest]:
    """Services, Secrets, and an Ingress or two for each row."""
    yield from upstreams(echo, authority)
    yield from secrets(authority)
    settings = {"proxy-read-timeout": "1", "proxy-connect-timeout": "1", "hsts": "false"}
    yield manifest("v1", "ConfigMap", "settings", NAMESPACE, data=settings)
    for number, (group, row) in enumerate(ROWS):
        for place, (spot, own) in enumerate((group.paths or {"/": {}}).items()):
            given = {f"{PREFIX}/{name}": value for name, value in {**group.given, **row.given, **own}.items()}
            host = host_of(number)
            tls = {"certificate": [host]} if group.tls else None
            rules = {host: [path(spot, group.service)]}
            yield ingress(f"t{number}-{place}", NAMESPACE, rules, class_name=class_name, annotations=given, tls=tls)
    plain = {f"plain.{DOMAIN}": [path("/", "web")]}
    yield ingress("plain", NAMESPACE, plain, class_name=class_name, tls={"certificate": [f"plain.{DOMAIN}"]})


def upstreams(echo: EchoNet, authority: trustme.CA) -> Iterator[Manifest]:
    """The Services: what is protected, who is asked, who explains errors."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(f"secure.{DOMAIN}").configure_cert(context)
    kinds: dict[str, dict[str, Any]] = {
        "web": {},
        "errors": {},
        "auth-slow": {"delay": 3.0},
        "secure": {"speaks": context},
    }
    kinds |= {f"auth-{status}": {"status": status} for status in (200, 204, 302, 400, 401, 403, 404, 500, 503)}
    for name, kind in kinds.items():
        address = fresh_address(8080)
        echo.listen(address, 8080, name, **kind)
        yield service(name, NAMESPACE)
        yield endpoint_slice(name, NAMESPACE, [address])
    for name, addresses in (("auth-refused", [fresh_address(8080)]), ("auth-empty", [])):
        yield service(name, NAMESPACE)
        yield endpoint_slice(name, NAMESPACE, addresses)


def secrets(authority: trustme.CA) -> Iterator[Manifest]:
    """Passwords and certificates, some of them in another namespace."""
    users = "ann:{SHA}" + base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
    contents = {
        "users": {"auth": users.encode()},
        "keyless": {"x": b"y"},
        "ca": {"ca.crt": authority.cert_pem.bytes()},
        "wrong-ca": {"ca.crt": trustme.CA().cert_pem.bytes()},
    }
    for namespace in (NAMESPACE, "other"):
        for name, content in contents.items():
            data = {key: base64.b64encode(value).decode() for key, value in content.items()}
            yield manifest("v1", "Secret", name, namespace, type="Opaque", data=data)
    yield certificates.secret("certificate", NAMESPACE, f"*.{DOMAIN}")


def client_certificate(folder: Path, name: str, authority: trustme.CA) -> str:
    """A file with a certificate and its key."""
    file = folder / f"{name}.pem"
    authority.issue_cert(f"{name}.{DOMAIN}", common_name=name).private_key_and_cert_chain_pem.write_to_path(file)
    return str(file)


@pytest.fixture(scope="module")
def worlds(echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], World]]:
    """One gen for each proxy and profile."""
    found: dict[tuple[str, str], World] = {}
    authority = trustme.CA()
    folder = tmp_path_factory.mktemp("truths")
    shown = {
        "right": client_certificate(folder, "right", authority),
        "foreign": client_certificate(folder, "foreign", trustme.CA()),
    }

    def of(backend: str, profile: str) -> World:
        need_proxy(backend)
        if (backend, profile) not in found:
            class_name = "nginx" if profile == "ingress-nginx" else "gen"
            flags = (f"--profile={profile}", f"--configmap={NAMESPACE}/settings")
            gen = GenRun(backend, folder / f"{backend}-{profile}", echo, *flags, class_name=class_name)
            found[backend, profile] = World(gen, shown)
            gen.apply(objects(class_name, echo, authority))
        return found[backend, profile]

    yield of
    for world in found.values():
        world.gen.stop()


# ---------------------------------------------------------------- the rows


@pytest.mark.parametrize("number", range(len(ROWS)), ids=lambda number: f"{number}-{ROWS[number][0].about[:30]}")
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_protection_holds_or_closes(
    backend: str, profile: str, number: int, worlds: Callable[[str, str], World]
) -> None:
    group, row = ROWS[number]
    if group.needs and group.needs not in FEATURES[backend]:
        pytest.skip(f"{backend} has no {group.needs}, which is told and closes nothing")
    statuses = row.statuses(profile)
    reply = worlds(backend, profile).ask(number)
    may_close = backend in UNFINISHED or profile == "spec"
    if isinstance(reply, OSError):
        assert may_close, f"{row.given}: {reply!r}"
        return
    told = f"{row.given} {row.path}: {reply.status} by {reply.service or 'the proxy'}, wanted {row.want}"
    if may_close and reply.service is None and reply.status in CLOSED:
        return
    assert reply.status in statuses, told
    right = {group.service} if statuses == (200,) else {row.service or None, None}
    assert reply.service in right, told
    for name, value in row.upstream.items():
        assert reply.seen is not None
        assert reply.seen.value(name) == value, f"{told}: {name}"


def test_the_table_knows_both_answers() -> None:
    """A table of nothing but refusals would be met by a proxy that is switched off."""
    assert msgspec.json.encode(GROUPS)
    wanted = [status for _, row in ROWS for status in row.statuses("ingress-nginx")]
    assert wanted.count(200) > 20
    assert len(ROWS) > 100
