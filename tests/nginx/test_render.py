"""Rendering: pure, the same everywhere, and no more work than what changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.nginx import create
from backends.nginx.memory import Memory
from backends.nginx.render import render
from backends.nginx.units import file_name
from backends.nginx.version import detect, find_binary, parse
from gen.backend import Bundle, Placement, digest_of_files
from gen.errors import Rejected, UsageError
from gen.ir import (
    Certificate,
    Config,
    DnsName,
    Endpoint,
    Forward,
    Host,
    Match,
    MatchKind,
    Options,
    Policy,
    Redirect,
    Respond,
    Route,
    Source,
    Upstream,
    Weighted,
)
from tests.haproxy.configs import config, host, to, upstream
from tests.nginx.running import Running
from tests.proof.skeleton import of_nginx

FLOOR = (1, 22)
CERTIFICATES = (Certificate("shop", b"chain\n", b"key\n"), Certificate("default", b"chain\n", b"key\n"))
UPSTREAMS = (
    upstream("a", "10.0.0.1", "10.0.0.2"),
    upstream("b", "2001:db8::1"),
    upstream("name", dns="x.test", port=81),
)
HOSTS = (
    host("shop.test", ("exact", "/buy", to("a")), ("prefix", "/cart", to("b")), secret="shop"),
    host("*.test", ("regex", "/[a-z]+", to("a")), ("prefix", "/x", Redirect(302, path="/y"))),
    host("parts.test", ("prefix", "/", Forward((Weighted("a"), Weighted("b", 2), Weighted("name"))))),
)
SHOP = config(HOSTS, UPSTREAMS, CERTIFICATES, Options(resolvers=("10.0.0.10",)))
HOST_FILES = [f"hosts/{file_name(each)}.conf" for each in HOSTS]


def text(bundle: Bundle) -> str:
    """All configuration files as one text."""
    return "\n".join(content.decode() for path, content in bundle.files.items() if path.endswith(".conf"))


def python(code: str, **environment: str) -> str:
    """What a new Python prints."""
    argv = [sys.executable, "-c", code]
    root = Path(__file__).parents[2]
    done = subprocess.run(argv, env={**os.environ, **environment}, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


# ------------------------------------------------------------------ the same bytes


def test_another_process_renders_the_same_bytes() -> None:
    code = "from tests.nginx.test_render import *; print(digest_of_files(render(SHOP, FLOOR).files))"
    places = ({"PYTHONHASHSEED": "0", "TZ": "UTC"}, {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"})
    assert {python(code, **place) for place in places} == {digest_of_files(render(SHOP, FLOOR).files)}


def test_rendering_loads_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; from gen.backend import Placement, load; from gen.ir import *\n"
        "nginx = load('nginx', Placement('managed', Path('/x'), Path('/y'), version='1.22'))\n"
        "nginx.render(Config({'': Host('', ())}, {}, {'default': Certificate('default', b'', b'')}, {}, Options()))\n"
        "print({'asyncio', 'subprocess', 'kubernetes', 'grpc', 'envoy_data_plane'} & sys.modules.keys())"
    )
    assert python(code) == "set()"


def test_what_did_not_change_is_not_rendered_again() -> None:
    memory = Memory()
    first = render(SHOP, FLOOR, memory)
    endpoints = config(HOSTS, (upstream("a", "10.0.0.9"), *UPSTREAMS[1:]), CERTIFICATES, SHOP.options)
    second = render(endpoints, FLOOR, memory)
    assert all(second.files[path] is first.files[path] for path in HOST_FILES)
    changed = {path for path in first.files if second.files[path] != first.files[path]}
    assert changed == {"upstreams.conf", "digest.conf"}


def test_a_failed_rendering_forgets_nothing() -> None:
    memory = Memory()
    first = render(SHOP, FLOOR, memory)
    bad = host("bad.test", ("exact", "no-slash", Respond(200)))
    with pytest.raises(Rejected):
        render(config((*HOSTS, bad), UPSTREAMS, CERTIFICATES, SHOP.options), FLOOR, memory)
    second = render(SHOP, FLOOR, memory)
    assert second.digest == first.digest
    assert all(second.files[path] is first.files[path] for path in HOST_FILES)


def test_an_upstream_that_empties_changes_the_hosts_that_use_it() -> None:
    memory = Memory()
    first = render(SHOP, FLOOR, memory)
    second = render(config(HOSTS, UPSTREAMS[1:], CERTIFICATES, SHOP.options), FLOOR, memory)
    changed = {path.rpartition("-")[0] or path for path in first.files if second.files[path] != first.files[path]}
    assert changed == {"hosts/shop-test", "hosts/wildcard-test", "hosts/parts-test", "upstreams.conf", "digest.conf"}


KINDS: Mapping[MatchKind, tuple[str, ...]] = {
    "exact": ("/", "/a", "/a/"),
    "regex": ("/a.*", "/[0-9]"),
    "prefix": ("/a/b", "/a/", "/a"),
}
actions = st.one_of(
    st.builds(Forward, st.lists(st.builds(Weighted, st.sampled_from("xyz"), st.integers(0, 3)), max_size=3).map(tuple)),
    st.builds(Redirect, st.just(301), path=st.sampled_from(("/", "/q"))),
    st.builds(Respond, st.sampled_from((200, 404)), st.sampled_from(("", "text"))),
)


@st.composite
def hosts(draw: st.DrawFn, name: str) -> Host:
    """A host whose routes are complete and in match order."""
    rules = [Match(kind, path) for kind, paths in KINDS.items() for path in paths if draw(st.booleans())]
    rules.append(Match("prefix", "/"))
    policy = Policy(upstream_host=draw(st.sampled_from((None, ("inner.test",)))))
    at = Source("Ingress", "ns", "name").at
    routes = (Route(rule, draw(actions), at(f"spec.rules[0].http.paths[{n}]"), policy) for n, rule in enumerate(rules))
    return Host(name, tuple(routes), draw(st.sampled_from(("", "shop"))))


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Any configuration of few names, so that histories have much in common."""
    names = draw(st.sets(st.sampled_from(("one.test", "*.test", "two.test"))))
    endpoints = st.lists(st.builds(Endpoint, st.just("10.0.0.1"), st.integers(1, 3)), max_size=2, unique=True)
    upstreams = [Upstream(name, tuple(draw(endpoints))) for name in "xy"]
    upstreams.append(Upstream("z", dns=DnsName("z.test", draw(st.integers(1, 2)))))
    resolvers = draw(st.sampled_from(((), ("10.0.0.10",))))
    return config([draw(hosts(name)) for name in sorted(names)], upstreams, CERTIFICATES, Options(resolvers=resolvers))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(configs(), max_size=5))
def test_any_history_gives_what_a_cold_start_gives(history: list[Config]) -> None:
    memory = Memory()
    for state in history:
        assert render(state, FLOOR, memory) == render(state, FLOOR)


@settings(max_examples=40)
@given(configs())
def test_every_location_is_blamed_on_its_route(state: Config) -> None:
    bundle = render(state, FLOOR)
    for path in bundle.files:
        if not path.startswith("hosts/"):
            continue
        place = ""
        for number, line in enumerate(bundle.files[path].decode().split("\n"), 1):
            if line.startswith("    # Ingress"):
                place = line.rpartition(" ")[2]
            if line.startswith("    location") and "@" not in line and place:
                blamed = bundle.blame(path, number)
                assert blamed
                assert blamed.field.removesuffix(".path") == f"spec.rules[0].http.paths[{place}]"


def test_the_digest_covers_everything() -> None:
    bundle = render(SHOP, FLOOR)
    places = {"http_port": 81, "bind": ("127.0.0.1",), "runtime_dir": "/elsewhere", "tries": 9, "body_limit": 5}
    others = [
        render(msgspec.structs.replace(SHOP, options=msgspec.structs.replace(SHOP.options, **{name: value})), FLOOR)
        for name, value in places.items()
    ]
    renewed = (Certificate("shop", b"chain\n", b"other\n"), CERTIFICATES[1])
    others.append(render(config(HOSTS, UPSTREAMS, renewed, SHOP.options), FLOOR))
    assert len({bundle.digest, *(other.digest for other in others)}) == len(others) + 1
    assert bundle.digest.encode() in bundle.files["digest.conf"]


def test_keys_are_secrets() -> None:
    bundle = render(SHOP, FLOOR)
    assert bundle.secrets == {path for path in bundle.files if path.endswith(".key")}
    assert len(bundle.secrets) == len(CERTIFICATES)


# ------------------------------------------------------------------ names, sizes, versions


def test_names_that_look_alike_stay_apart() -> None:
    names = ("a-b.test", "a.b.test", "*.b.test", "any.b.test", "wildcard.b.test", "default")
    upstreams = [upstream(name, "10.0.0.1") for name in ("a/b-c:1", "a-b/c:1", "a/b:1")]
    bundle = render(
        config([host(name, ("prefix", "/", to(*(u.id for u in upstreams)))) for name in names], upstreams), FLOOR
    )
    assert len([path for path in bundle.files if path.startswith("hosts/")]) == len(names) + 1
    assert bundle.files["upstreams.conf"].count(b"upstream ") == len(upstreams)


def test_many_and_long_names_fit(running: Running) -> None:
    """The hashes of nginx are as large as the names need, so it does not even warn."""
    long = [f"{number}.{'.'.join(['x' * 60] * 4)}"[:253].rstrip(".") for number in range(3)]
    named = [host(name) for name in (*long, *(f"host-{number}.team-{number % 7}.test" for number in range(1500)))]
    upstreams = [upstream(f"ns/service-{number}:80", "10.0.0.1", "10.0.0.2", "10.0.0.3") for number in range(800)]
    split = Forward(tuple(Weighted(each.id) for each in upstreams[:2]))
    named += [host(f"split-{number}.test", ("prefix", "/", split)) for number in range(600)]
    named.append(host("all.test", *(("exact", f"/{each.id}", to(each.id)) for each in upstreams)))
    running.go(config(named, upstreams))
    assert running.log() == ""
    assert running.get(long[0]).body == b"no such page\n"


@pytest.mark.parametrize(
    ("version", "listen", "present", "absent"),
    [
        ("1.22", " ssl http2;", [], ["http2 on;", "keepalive_min_timeout"]),
        ("1.25.0", " ssl http2;", [], ["http2 on;", "keepalive_min_timeout"]),
        ("1.25.1", " ssl;", ["http2 on;"], ["keepalive_min_timeout"]),
        ("1.29.7", " ssl;", ["http2 on;", "keepalive_min_timeout 10s;"], []),
    ],
)
def test_a_version_gets_what_it_knows(version: str, listen: str, present: list[str], absent: list[str]) -> None:
    rendered = text(create(Placement("managed", Path("/s"), Path("/r"), version=version)).render(SHOP))
    assert listen in rendered
    assert all(word in rendered for word in present)
    assert not any(word in rendered for word in absent)


def test_the_binary_says_its_version(binary: str) -> None:
    version = detect(binary)
    assert create(Placement("managed", Path("/s"), Path("/r"), binary=binary)).version == version
    assert version >= (1, 22, 0)


def test_versions_that_are_none() -> None:
    for wrong in ("", "1", "x", "1.22-debian", "1.21.9", "0.8"):
        with pytest.raises(UsageError):
            parse(wrong)
    for wrong in ("/bin/true", "/nowhere/nginx"):
        with pytest.raises(UsageError):
            detect(wrong)
    assert find_binary("/own/nginx") == "/own/nginx"


# ------------------------------------------------------------------ what cannot be written


@pytest.mark.parametrize(
    "route",
    [
        Route(Match("prefix", "/" + "x" * 255), Respond(200), Source("Ingress", "ns", "long")),
        Route(Match("exact", "no-slash"), Respond(200), Source("Ingress", "ns", "slash")),
        Route(Match("exact", "/a\n"), Respond(200), Source("Ingress", "ns", "newline")),
        Route(Match("regex", "/(?<x>a)"), Respond(200), Source("Ingress", "ns", "group")),
        Route(Match("exact", "/"), Redirect(301, url="https://a/\r\nb"), Source("Ingress", "ns", "url")),
        Route(
            Match("exact", "/"),
            Forward((Weighted("x"),)),
            Source("Ingress", "ns", "vhost"),
            Policy(upstream_host=("a\r\nb",)),
        ),
    ],
    ids=lambda route: route.source.name,
)
def test_a_value_that_cannot_be_written_names_its_route(route: Route) -> None:
    state = config([Host("a.test", (route, Route(Match("prefix", "/"), Respond(404), Source("", "", ""))))])
    state = msgspec.structs.replace(state, upstreams={"x": upstream("x", "10.0.0.1")})
    with pytest.raises(Rejected) as refusal:
        render(state, FLOOR)
    assert refusal.value.blame == (route.source,)


def test_an_address_that_is_none_names_its_upstream() -> None:
    bad = Upstream("x", (Endpoint("unix:/run/docker.sock", 80),), source=Source("Service", "ns", "x"))
    with pytest.raises(Rejected) as refusal:
        render(config([host("a.test", ("prefix", "/", to("x")))], [bad]), FLOOR)
    assert refusal.value.blame == (bad.source,)


hostile = st.text(st.one_of(st.sampled_from("\"'\\${}#; ~^é"), st.characters(exclude_categories=["C"])), max_size=20)


@settings(max_examples=40, deadline=None)
@given(hostile, hostile, hostile, hostile)
def test_the_skeleton_stays(
    tmp_path_factory: pytest.TempPathFactory, path: str, url: str, body: str, vhost: str
) -> None:
    def skeleton(path: str, url: str, body: str, vhost: str) -> object:
        rules = (
            Route(Match("exact", f"/e{path}"), Respond(200, f"b{body}"), Source("Ingress", "ns", "a")),
            Route(Match("prefix", f"/p{path}"), Redirect(301, url=f"https://u{url}"), Source("Ingress", "ns", "b")),
            Route(Match("prefix", "/q"), Redirect(301, path=f"/{url}"), Source("Ingress", "ns", "c")),
            Route(Match("prefix", "/"), to("x"), Source("Ingress", "ns", "d"), Policy(upstream_host=(f"v{vhost}",))),
        )
        folder = tmp_path_factory.mktemp("skeleton")
        for name, content in render(config([Host("a.test", rules)], [upstream("x", "10.0.0.1")]), FLOOR).files.items():
            folder.joinpath(name).parent.mkdir(exist_ok=True)
            folder.joinpath(name).write_bytes(content)
        return of_nginx(folder)

    slash = "/" if path.endswith("/") else ""
    assert skeleton(path, url, body, vhost) == skeleton(f"x{slash}", "x", "x", "x")
