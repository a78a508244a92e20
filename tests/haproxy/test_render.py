"""The files of a configuration: deterministic, complete, the same however they came about."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.haproxy import Haproxy, create
from backends.haproxy.render import Renderer
from backends.haproxy.routes import SHARES, blocks
from gen.backend import Backend, Bundle, Placement
from gen.errors import Rejected
from gen.ir import (
    Action,
    Balance,
    Config,
    Endpoint,
    Forward,
    Host,
    Match,
    Options,
    Policy,
    Redirect,
    Respond,
    Route,
    Source,
    Upstream,
    Weighted,
)
from gen.policy import Retries
from tests.haproxy.configs import certificate, config, host, source, to, upstream
from tests.haproxy.tokens import map_row, words

NAMES = ["a.test", "b.test", "*.a.test", "x.a.test", ""]
PATHS = ["/", "/a", "/a/", "/a/b", "/é", "/a b"]
UPSTREAMS = ["ns/one:80", "ns/two:80", "ns/three:http"]
CERTIFICATES = ["", "first", "second"]

parts = st.builds(Weighted, st.sampled_from(UPSTREAMS), st.integers(0, 3))
actions: st.SearchStrategy[Action] = st.one_of(
    st.lists(parts, min_size=1, max_size=3).map(lambda split: Forward(tuple(split))),
    st.sampled_from(
        [
            Redirect(301, url="https://x.test/"),
            Redirect(302, path="/é"),
            Redirect(302, host="x.test"),
            Respond(404),
            Respond(200, "hi\n"),
        ]
    ),
)
policies = st.sampled_from([Policy(), Policy(upstream_host=("other.test",))])
matches = st.builds(Match, st.sampled_from(["exact", "prefix", "regex"]), st.sampled_from(PATHS))
upstreams = st.builds(
    Upstream,
    st.none(),
    st.lists(
        st.builds(Endpoint, st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1"]), st.just(80)), max_size=3
    ).map(tuple),
    balance=st.sampled_from(["round_robin", "least_connections", "source_hash", "random"]),
)


@st.composite
def hosts(draw: st.DrawFn, name: str) -> Host:
    routes = [
        Route(draw(matches), draw(actions), source(number, name), draw(policies))
        for number in range(draw(st.integers(0, 4)))
    ]
    last = Route(Match("prefix", "/"), draw(actions), source(9, name))
    return Host(name, (*routes, last), draw(st.sampled_from(CERTIFICATES)), (source(0, name),))


@st.composite
def configs(draw: st.DrawFn) -> Config:
    named = [draw(hosts(name)) for name in draw(st.sets(st.sampled_from(NAMES)))]
    known = [msgspec.structs.replace(draw(upstreams), id=name) for name in UPSTREAMS]
    return config(named, known, [certificate(name) for name in CERTIFICATES if name])


@given(configs())
def test_every_value_of_a_map_is_a_backend(whole: Config) -> None:
    """A value that names no backend is served as 503, and no tool says so."""
    files = Renderer().render(whole).files
    lines = [words(line) for line in files["haproxy.cfg"].decode().split("\n")]
    backends = [line[1] for line in lines if line[:1] == ["backend"]]
    rows = {name: [map_row(row) for row in files[f"maps/{name}.map"].decode().splitlines()] for name in MAPS}
    splits = {key.partition("/")[0] for key, _ in rows["splits"]}
    targets = {value for name in ("routes", "regexes") for _, value in rows[name]}
    used = {value for value in targets if value not in splits} | {value for _, value in rows["splits"]}
    assert set(backends) == used
    assert max(Counter(backends).values()) == 1
    assert {value for value in targets if value.startswith("split:")} == splits
    for name in ("hosts", "wildcards", "routes"):
        assert max(Counter(key for key, _ in rows[name]).values(), default=1) == 1
    roots = {
        key.removesuffix("/").removeprefix("~") for key, _ in rows["routes"] if key.count("/") == 1 and key[-1] == "/"
    }
    assert {value for _, value in rows["hosts"] + rows["wildcards"]} | {"*"} == roots


MAPS = ("hosts", "wildcards", "routes", "regexes", "splits")


@given(st.lists(configs(), min_size=2, max_size=4))
def test_a_renderer_with_a_past_gives_the_same(history: list[Config]) -> None:
    used = Renderer()
    for whole in history:
        warm, cold = used.render(whole), Renderer().render(whole)
        assert (warm.files, warm.origins, warm.digest) == (cold.files, cold.origins, cold.digest)


@given(configs())
def test_every_line_of_a_tenant_has_an_owner(whole: Config) -> None:
    bundle = Renderer().render(whole)
    for path in bundle.files.keys() - {"maps/generation.map"}:
        lines = bundle.files[path].decode().split("\n")[:-1]
        first = next((place for place, line in enumerate(lines) if line.startswith("backend ")), 0)
        for number in range(first + 1, len(lines) + 1):
            assert bundle.blame(path, number), (path, number)


def test_lines_belong_to_the_service_or_to_the_ingress() -> None:
    ends = upstream("web", "10.0.0.1", "10.0.0.2")
    bundle = Renderer().render(
        config([host("a.test", ("prefix", "/", to("web")), policy=Policy(upstream_host=("x.test",)))], [ends])
    )
    lines = bundle.files["haproxy.cfg"].decode().split("\n")
    owners = {line.split()[0]: bundle.blame("haproxy.cfg", number) for number, line in enumerate(lines, 1)
              if line.startswith("    ") and bundle.blame("haproxy.cfg", number)}  # fmt: skip
    assert str(owners["http-request"]) == "Ingress tests/a.test, spec.rules[0].http.paths[0].path"
    assert owners["server"] == ends.source
    assert bundle.blame("haproxy.cfg", 1) is None
    assert bundle.blame("maps/routes.map", 2) == source(0, "a.test")


def test_the_same_bytes_in_another_process() -> None:
    script = """
import sys
from backends.haproxy.render import Renderer
from tests.haproxy.configs import config, host, to, upstream
hosts = [host(f"h{n}.test", ("prefix", "/", to("a", "b"))) for n in range(5)]
files = Renderer().render(config(hosts, [upstream("a", "10.0.0.1")])).files
tables = sorted(path for path in files if path.endswith((".map", ".list")) and "generation" not in path)
sys.stdout.buffer.write(b"".join(files[path] for path in tables))
"""
    runs = {
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert all(runs)


def test_the_digest_is_in_the_file_and_covers_the_files() -> None:
    one = Renderer().render(config([], certificates=[certificate("default")]))
    other = Renderer().render(config([], certificates=[certificate("default", "renewed.test")]))
    assert one.files["maps/generation.map"] == f"digest {one.digest}\n".encode()
    assert one.digest != other.digest
    assert one.files["haproxy.cfg"].replace(one.digest.encode(), other.digest.encode()) == other.files["haproxy.cfg"]


def test_keys_are_secret_and_nothing_names_a_place() -> None:
    whole = config([host("a.test", ("prefix", "/", to("web")), secret="first")], certificates=[certificate("first")])
    bundle = Renderer().render(msgspec.structs.replace(whole, options=Options(runtime_dir="/run/of/gen")))
    keys = {path for path in bundle.files if b"PRIVATE KEY" in bundle.files[path]}
    assert bundle.secrets == keys
    assert len(keys) == 2
    text = bundle.files["haproxy.cfg"].decode()
    assert [line.strip() for line in text.split("\n") if "'/" in line or " /" in line] == [
        "stats socket '/run/of/gen/admin.sock' mode 600 level admin",
        "http-request deny deny_status 400 if !{ var(txn.path) -m beg / } or { var(txn.path) -m sub %00 }",
    ]
    assert not any(path.startswith("/") for path in bundle.files)


def test_the_rows_of_the_certificate_list() -> None:
    named = [
        host("b.test", secret="one"),
        host("a.test", secret="one"),
        host("*.a.test", secret="two"),
        host("x.a.test"),
        host("y.test"),
    ]
    whole = config(named, certificates=[certificate("one"), certificate("two")])
    rows = [row.split() for row in Renderer().render(whole).files["crt.list"].decode().splitlines()]
    default = rows[0][0]
    assert rows[0][1:] == ["!*"]
    assert sorted(row[1:] for row in rows[1:]) == [["*.a.test"], ["a.test", "b.test"], ["x.a.test"]]
    assert [row[0] for row in rows[1:] if row[1:] == ["x.a.test"]] == [default]


def test_many_names_of_one_certificate_are_wrapped() -> None:
    named = [host(f"h{number:04}.test", secret="one") for number in range(250)]
    content = Renderer().render(config(named, certificates=[certificate("one")])).files["crt.list"].decode()
    assert [len(row.split()) - 1 for row in content.splitlines()] == [1, 100, 100, 50]


@given(st.lists(st.integers(0, SHARES), min_size=2, max_size=2).map(sorted))
def test_leading_digits_cover_exactly_the_range(bounds: list[int]) -> None:
    start, end = bounds
    covered = 0
    for digits in blocks(start, end):
        low, size = int(digits.ljust(7, "0")) - SHARES, 10 ** (7 - len(digits))
        assert low == start + covered
        covered += size
    assert covered == end - start


def test_what_cannot_be_written_names_its_object() -> None:
    with pytest.raises(Rejected) as of_ingress:
        Renderer().render(config([host("a.test", ("exact", "/x", Redirect(302, url="a\nb")))]))
    assert of_ingress.value.blame == (source(0, "a.test"),)
    with pytest.raises(Rejected) as of_service:
        Renderer().render(config([host("a.test", ("prefix", "/", to("web")))], [upstream("web", "unix@/run/x.sock")]))
    assert of_service.value.blame == (Source("Service", "tests", "web"),)


def test_servers_once_each_and_none_that_drains() -> None:
    ends = (Endpoint("10.0.0.1", 80), Endpoint("10.0.0.1", 80, weight=2), Endpoint("10.0.0.2", 80, draining=True))
    assert servers_of(Upstream("web", ends)) == [
        ["10.0.0.1:80", "10.0.0.1:80"],
        ["10.0.0.2:80", "10.0.0.2:80", "weight", "0"],
    ]
    assert servers_of(Upstream("web", ends[2:])) == [["10.0.0.2:80", "10.0.0.2:80"]]


def servers_of(web: Upstream) -> list[list[str]]:
    text = Renderer().render(config([host("a.test", ("prefix", "/", to("web")))], [web])).files["haproxy.cfg"].decode()
    return [line.split()[1:] for line in text.split("\n") if line.startswith("    server ")]


# ------------------------------------------------------------------ plan


def backend() -> Haproxy:
    return create(Placement("managed", Path("state"), Path("run")))


def test_it_is_a_backend() -> None:
    proxy: Backend = backend()
    assert proxy.name == "haproxy"


def test_plans_say_why() -> None:
    def bundle(*addresses: str, retries: Retries | None = None, **options: int) -> Bundle:
        rule = host("a.test", ("prefix", "/a", to("web")), policy=Policy(retries=retries))
        whole = config([rule], [upstream("web", *addresses)])
        return proxy.render(msgspec.structs.replace(whole, options=Options(**options)))  # type: ignore[arg-type]

    proxy = backend()
    first = bundle("10.0.0.1")
    assert proxy.plan(first, bundle("10.0.0.1")).is_nothing
    assert proxy.plan(None, first).reason == "nothing is known to run"
    assert proxy.plan(first, bundle("10.0.0.1", workers=3)).reason == "options changed"
    assert proxy.plan(first, bundle("10.0.0.1", retries=Retries(()))).reason == "backends changed"


def test_plans_without_a_reload() -> None:
    def bundle(*addresses: str, path: str = "/a", name: str = "a.test", balance: Balance = "round_robin") -> Bundle:
        whole = config([host("a.test", ("prefix", path, to("web")), secret="one")],
                       [upstream("web", *addresses, balance=balance)], [certificate("one", name)])  # fmt: skip
        return proxy.render(whole)

    proxy = backend()
    first = bundle("10.0.0.1")
    web = dict(line.split(" ") for line in first.files["maps/routes.map"].decode().splitlines())["a.test/a/"]
    change = proxy.plan(first, bundle("10.0.0.2"))
    assert (change.reload, change.needs_test) == (False, False)
    assert change.changed == ("haproxy.cfg", "maps/generation.map")
    assert change.commands == (
        f"add server {web}/10.0.0.2:8080 10.0.0.2:8080 weight 1",
        f"enable server {web}/10.0.0.2:8080",
        f"set server {web}/10.0.0.1:8080 state maint",
        f"del server {web}/10.0.0.1:8080",
    )
    assert proxy.plan(first, bundle()).commands == change.commands[2:]
    hashed = proxy.plan(bundle(balance="source_hash"), bundle("10.0.0.1", balance="source_hash"))
    assert re.fullmatch(r"add server \S+ \S+ weight 1 id \d+", hashed.commands[0])
    change = proxy.plan(first, bundle("10.0.0.1", path="/b"))
    assert (change.reload, change.needs_test) == (False, True)
    assert change.commands == (
        f"add map maps/routes.map a.test/b/ {web}",
        f"add map maps/routes.map a.test/b| {web}",
        "del map maps/routes.map a.test/a/",
        "del map maps/routes.map a.test/a|",
    )
    renewed = proxy.plan(first, bundle("10.0.0.1", name="b.test"))
    assert [command.split()[:3] for command in renewed.commands] == [["set", "ssl", "cert"], ["commit", "ssl", "cert"]]


def test_rendering_is_light() -> None:
    """`gen render` needs no asyncio, nothing that runs children, and no Kubernetes."""
    script = """
import sys
from pathlib import Path
from backends.haproxy import create
from gen.backend import Placement
from gen.ir import Certificate, Config, Host, Match, Options, Respond, Route, Source
host = Host("", (Route(Match("prefix", "/"), Respond(404), Source("", "", "")),))
pem = Certificate("default", b"chain", b"key")
create(Placement("managed", Path("s"), Path("r"))).render(Config({"": host}, {}, {"default": pem}, {}, Options()))
heavy = {"kubernetes", "grpc", "cryptography", "subprocess", "gen.process", "backends.haproxy.control"}
print(sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert result.stdout == "[]\n"
