"""Rendering by itself: the same bytes, few of them new after a small change, and the owner of each line known."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.envoy import create, syntax
from backends.envoy.parts import parts_of
from backends.envoy.plan import plan
from backends.envoy.render import Renderer
from backends.envoy.snapshot import Encoding
from gen.backend import Bundle, Placement
from gen.errors import BadValue, Rejected
from gen.fit import WORDS
from gen.ir import (
    Certificate,
    Config,
    DnsName,
    Endpoint,
    Host,
    Match,
    Options,
    Policy,
    Redirect,
    Respond,
    Source,
    Upstream,
)
from gen.policy import Fallback
from gen.trees import write_tree
from tests.envoy.configs import certificate, config, host, saying, to, upstream

SHOP = config(
    [
        host("shop.test", ("exact", "/a", to("n/a:80")), ("prefix", "/b", to("n/b:80")), secret="n/shop"),
        host("*.shop.test", ("regex", "/x[0-9]", Redirect(301, path="/y")), ("prefix", "/", to("n/dns:80"))),
        saying("other.test", "other"),
    ],
    [upstream("n/a:80", "192.0.2.1", "2001:db8::1"), upstream("n/dns:80", dns="elsewhere.test")],
    [certificate("n/shop", "shop.test")],
)


PLAIN = msgspec.structs.replace(
    SHOP,
    certificates={"default": Certificate("default", b"chain", b"key")},
    hosts={name: msgspec.structs.replace(each, certificate="") for name, each in SHOP.hosts.items()},
)
"""The same without real keys, which are new in every process."""


def render(config: Config) -> Bundle:
    return Renderer().render(config)


# ------------------------------------------------------------------ bytes


def test_the_same_config_gives_the_same_bytes_in_any_process() -> None:
    script = "from tests.envoy.test_render import *; print(render(PLAIN).digest)"
    found = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env).stdout
        for env in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"})
    }
    assert found == {f"{render(PLAIN).digest}\n"}


@functools.cache
def said(name: str, text: str) -> Host:
    """The very same host for the same words."""
    return saying(name, text)


@given(steps=st.lists(st.dictionaries(st.sampled_from(["a.test", "*.a.test", ""]), st.sampled_from("xy")), max_size=4))
def test_rendering_one_after_the_other_is_like_rendering_each_anew(steps: list[dict[str, str]]) -> None:
    renderer, encoding = Renderer(), Encoding()
    for number, step in enumerate(steps):
        hosts = [said(name, text) for name, text in step.items()]
        one = config(hosts, [upstream("x", f"192.0.2.{number // 2}")])
        bundle = renderer.render(one)
        assert bundle == render(one)
        assert encoding.snapshot(bundle) == Encoding().snapshot(bundle)


BROKEN = host("d.test", ("prefix", "/", Respond(99)))
HOSTS = [
    host("a.test", ("prefix", "/", to("n/a:80"))),
    host("a.test", ("prefix", "/", to("n/a:80")), secret="n/shop"),
    host("*.a.test", ("prefix", "/", to("n/b:80"))),
    host("b.test", ("prefix", "/", to("n/a:80")), policy=Policy(protocol="https", fallback=Fallback("n/b:80"))),
    saying("c.test", "c"),
    saying("", "others"),
    BROKEN,
]
CERTIFICATES = [[certificate("n/shop", "a.test")], [certificate("n/shop", "b.test")]]


@given(
    steps=st.lists(
        st.tuples(
            st.lists(st.sampled_from(HOSTS), unique_by=lambda each: each.name),
            st.sampled_from([(), ("192.0.2.1",), ("192.0.2.2",)]),
            st.sampled_from(CERTIFICATES),
            st.sampled_from([Options(), Options(tries=2), Options(connect_timeout=2)]),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_a_change_of_anything_is_rendered(
    steps: list[tuple[list[Host], tuple[str, ...], list[Certificate], Options]],
) -> None:
    renderer, encoding = Renderer(), Encoding()
    for hosts, addresses, certificates, options in steps:
        upstreams = [upstream("n/a:80", *addresses), upstream("n/b:80", "192.0.2.3")]
        one = msgspec.structs.replace(config(hosts, upstreams, certificates), options=options)
        if BROKEN in hosts:
            with pytest.raises(Rejected):
                renderer.render(one)
            continue
        bundle, anew = renderer.render(one), render(one)
        assert bundle == anew
        assert encoding.snapshot(bundle) == Encoding().snapshot(anew)
        assert parts_of(bundle) == parts_of(msgspec.structs.replace(bundle, files=dict(bundle.files)))


def test_a_change_that_came_with_a_refused_one_is_rendered() -> None:
    renderer, others, changed = Renderer(), saying("", "others"), saying("a.test", "new")
    renderer.render(config([others, saying("a.test", "old")]))
    with pytest.raises(Rejected):
        renderer.render(config([others, changed, BROKEN]))
    one = config([others, changed])
    assert renderer.render(one) == render(one)


def test_an_unchanged_host_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer, path_match = Renderer(), syntax.path_match
    first = renderer.render(SHOP)
    made: list[Match] = []

    def counted(match: Match) -> syntax.Json:
        made.append(match)
        return path_match(match)

    monkeypatch.setattr(syntax, "path_match", counted)
    other = {**SHOP.hosts, "other.test": saying("other.test", "new")}
    second = renderer.render(msgspec.structs.replace(SHOP, hosts=other))
    assert made == [Match("prefix", "/")]
    before, after = (set(bundle.files["routes.json"].splitlines()) for bundle in (first, second))
    assert len(after - before) == 1


def test_everything_that_matters_is_in_the_digest_and_the_digest_in_the_file() -> None:
    bundle = render(SHOP)
    assert json.loads(bundle.files["envoy.json"])["node"]["metadata"]["gen"]["digest"] == bundle.digest
    others = (
        msgspec.structs.replace(SHOP, options=Options(workers=3)),
        msgspec.structs.replace(SHOP, options=Options(tries=1)),
        msgspec.structs.replace(SHOP, certificates={**SHOP.certificates, "n/shop": certificate("n/shop", "x.test")}),
        msgspec.structs.replace(SHOP, upstreams={**SHOP.upstreams, "n/a:80": upstream("n/a:80", "192.0.2.9")}),
    )
    assert len({bundle.digest, *(render(other).digest for other in others)}) == 5


def test_no_path_leads_out_of_the_directory() -> None:
    bundle = render(SHOP)
    assert not [path for path in bundle.files if path.startswith("/") or ".." in path]
    assert b'"/run' not in bundle.files["envoy.json"]
    assert b"BEGIN" not in bundle.files["envoy.json"]


def test_the_bundle_is_accepted_from_any_directory(binary: str, tmp_path: Path) -> None:
    write_tree(tmp_path / "one", render(SHOP))
    shutil.move(tmp_path / "one", tmp_path / "two")
    command = [binary, "--mode", "validate", "-c", "envoy.json", "--disable-hot-restart", "-l", "warning"]
    found = subprocess.run(command, cwd=tmp_path / "two", capture_output=True, text=True, check=False)
    assert (found.returncode, "eprecated" in found.stderr, "rejected" in found.stderr) == (0, False, False), (
        found.stderr
    )


def test_rendering_needs_neither_grpc_nor_message_classes() -> None:
    code = """
import sys
sys.modules.update({"grpc": None, "betterproto2": None, "envoy_data_plane": None})
from pathlib import Path
from backends.envoy import create
from gen.backend import Placement
from gen.ir import *
host = Host("", (Route(Match("prefix", "/"), Respond(404), Source("Ingress", "n", "x")),))
config = Config({"": host}, {}, {"default": Certificate("default", b"c", b"k")}, {}, Options())
backend = create(Placement("managed", Path("x"), Path("y")))
bundle = backend.render(config)
print(backend.plan(None, bundle).reload, backend.plan(bundle, bundle).is_nothing)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "True True\n"


# ------------------------------------------------------------------ whose each line is


def test_every_line_of_a_resource_has_its_owner() -> None:
    bundle = render(SHOP)
    for file, lines in ((file, bundle.files[file].decode().splitlines()) for file in ("envoy.json", "routes.json")):
        for number, text in enumerate(lines, start=1):
            owner = bundle.blame(file, number)
            if text.startswith('{"match": {"path": "/a"'):
                assert owner == SHOP.hosts["shop.test"].routes[0].source
            if text.startswith('{"name": "n/a:80"'):
                assert owner == SHOP.upstreams["n/a:80"].source
            if text.startswith('{"name": "n/shop"'):
                assert owner == SHOP.certificates["n/shop"].source
            if text.startswith('{"name": "shop.test"'):
                assert owner == SHOP.hosts["shop.test"].sources[0]
    assert bundle.blame("envoy.json", 1) is None
    assert bundle.blame("routes.json", 1) is None


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (config([host("UPPER.test")]), "DNS name"),
        (config([host("a b")]), "DNS name"),
        (config([host("*.a.*")]), "DNS name"),
        (config([host("a.test", ("exact", "a", Respond(200)))]), "begins with /"),
        (config([host("a.test", ("exact", "/\n", Respond(200)))]), "control characters"),
        (config([host("a.test", ("exact", "/\ud800", Respond(200)))]), "UTF-8"),
        (config([host("a.test", ("exact", "/", Respond(99)))]), "status"),
        (config([host("a.test", ("exact", "/", Redirect(200, url="https://x")))]), "status"),
        (config([host("a.test", ("exact", "/", Redirect(301, url="javascript:x")))]), "URL"),
        (config([host("a.test", ("exact", "/", Redirect(301, url="https://x\r\ny: z")))]), "control characters"),
        (config([host("a.test", ("exact", "/", Redirect(301, path="/x", query="a\nb")))]), "control characters"),
        (config([host("a.test", ("exact", "/", Redirect(301, host="a\nb")))]), "control characters"),
    ],
)
def test_what_cannot_be_written_is_blamed_on_its_object(broken: Config, code: str) -> None:
    with pytest.raises(Rejected, match=code) as refusal:
        render(broken)
    assert [source.kind for source in refusal.value.blame] == ["Ingress"]


@pytest.mark.parametrize(
    "broken",
    [
        Upstream("x", (Endpoint("not-an-ip", 80),)),
        Upstream("x", (Endpoint("fe80::1%eth0", 80),)),
        Upstream("x", (Endpoint("192.0.2.1", 0),)),
        Upstream("x", (Endpoint("192.0.2.1", 65536),)),
        Upstream("x", dns=DnsName("a b", 80)),
        Upstream("x", dns=DnsName("x" * 300, 80)),
        Upstream("x\n"),
    ],
)
def test_what_cannot_be_reached_is_blamed_on_its_service(broken: Upstream) -> None:
    owner = Source("Service", "n", "x")
    with pytest.raises(Rejected) as refusal:
        render(
            config([host("a.test", ("prefix", "/", to(broken.id)))], [msgspec.structs.replace(broken, source=owner)])
        )
    assert refusal.value.blame == (owner,)


# ------------------------------------------------------------------ encoders


def test_formats_are_ours_alone() -> None:
    with pytest.raises(TypeError, match="not a format"):
        syntax.set_header("x-any", "%REQ(x)%")  # type: ignore[arg-type]
    with pytest.raises(BadValue):
        syntax.set_header("x any", syntax.Format("x"))
    constants = set(formats(json.loads(render(SHOP).files["routes.json"])))
    assert len(constants) == 5
    assert all(re.fullmatch(r"%[A-Z_]+(?:\([A-Z:-]+\))?%", text) for text in constants)


def formats(value: Any) -> list[str]:
    """All substitution formats within a JSON value."""
    if isinstance(value, list):
        return [text for item in value for text in formats(item)]
    if not isinstance(value, dict):
        return []
    own = [value["header"]["value"]] if "header" in value else []
    return own + [text for item in value.values() for text in formats(item)]


def test_durations() -> None:
    assert [syntax.duration(seconds) for seconds in (0, 5.0, 0.25, 1e7, -1, 1.0004)] == [
        "0s",
        "5s",
        "0.250s",
        "10000000s",
        "0s",
        "1s",
    ]


@pytest.mark.parametrize(
    ("text", "address", "number"),
    [
        ("192.0.2.1", "192.0.2.1", 53),
        ("192.0.2.1:5353", "192.0.2.1", 5353),
        ("[::1]:5353", "::1", 5353),
        ("::1", "::1", 53),
    ],
)
def test_resolvers(text: str, address: str, number: int) -> None:
    assert syntax.resolver(text) == {"socket_address": {"address": address, "port_value": number}}


# ------------------------------------------------------------------ plans


def test_plans() -> None:
    old = render(SHOP)
    assert plan(None, old).reload
    assert plan(old, render(SHOP)).is_nothing
    moved = render(
        msgspec.structs.replace(SHOP, upstreams={**SHOP.upstreams, "n/a:80": upstream("n/a:80", "192.0.2.9")})
    )
    step = plan(old, moved)
    assert (step.reload, step.changed, step.commands) == (
        False,
        ("envoy.json",),
        ("push clusters: 1 new or changed, 1 gone or replaced",),
    )
    more = plan(
        old,
        render(
            config(
                [*(each for name, each in SHOP.hosts.items() if name), saying("new.test", "x")],
                SHOP.upstreams.values(),
                SHOP.certificates.values(),
            )
        ),
    )
    assert more.commands == ("push hosts: 1 new or changed, 0 gone or replaced",)
    workers = plan(old, render(msgspec.structs.replace(SHOP, options=Options(workers=3))))
    assert (workers.reload, workers.commands) == (True, ())


def test_features_are_words() -> None:
    assert create(Placement("managed", Path("x"), Path("y"))).features <= WORDS


def test_hidden_headers_are_removed_from_all_answers() -> None:
    shown = msgspec.structs.replace(SHOP, options=Options(hidden_headers=("Server", "X-Powered-By")))
    text = b"".join(render(shown).files.values()).decode()
    assert re.search(r'"response_headers_to_remove": ?\[\s*"server",\s*"x-powered-by"\s*\]', text)
    with pytest.raises(BadValue):
        render(msgspec.structs.replace(SHOP, options=Options(hidden_headers=("a: b",))))
