"""Envoy's words, made fit to be shown, and whom they name."""

from __future__ import annotations

import msgspec
import pytest

from backends.envoy import refusal
from backends.envoy.control import raise_refusal
from backends.envoy.render import Renderer
from gen.errors import NotConfirmed, Rejected
from gen.ir import Certificate, Source
from tests.envoy.configs import certificate, config, host, saying, to, upstream
from tests.envoy.running import Running

LOGGED = """\
[2026-11-23 01:20:17.400][18793][warning][main] [source/server/server.cc:1059] There is no configured limit to the \
number of allowed active downstream connections.
[2026-11-23 01:20:52.608][18869][critical][main] [source/server/config_validation/server.cc:76] error initializing \
configuration '/x/.validate-abc.json': goo.gle/debugonly  missing ]: [
"""
CONFIG = config([host("main", ("prefix", "/", to("n/web:80"))), host("b.test", ("prefix", "/", to("n/we:80")))])


def test_only_the_message_is_left() -> None:
    assert refusal.scrubbed(LOGGED) == "missing ]: ["


def test_keys_are_left_out_even_if_they_are_cut() -> None:
    key = certificate("default").key.decode()
    for text in (key, key[: len(key) // 2], f"{key}{key}"):
        cleaned = refusal.scrubbed(f"bad:\n{text}")
        assert cleaned.startswith("bad:\n(a private key)")
        assert not [line for line in key.splitlines() if line in cleaned]


def test_it_is_cut() -> None:
    assert len(refusal.scrubbed("x" * 10_000)) == refusal.OUTPUT_LIMIT


@pytest.mark.parametrize(
    ("text", "blamed"),
    [
        ("Error adding/updating cluster(s) n/web:80: no such thing", ["n/web:80"]),
        ("Error adding/updating cluster(s) n/we:80: one, n/web:80: two", ["n/we:80", "n/web:80"]),
        ("cluster \"n/we:80\" and 'n/web:80'", ["n/we:80", "n/web:80"]),
        ("Failed to load certificate chain from certificates/default-9d623296f1.crt", ["default"]),
        ("the main thread", []),
    ],
)
def test_who_is_named(text: str, blamed: list[str]) -> None:
    upstreams = [
        msgspec.structs.replace(upstream(name), source=Source("Service", "n", name)) for name in ("n/web:80", "n/we:80")
    ]
    bundle = Renderer().render(config(CONFIG.hosts.values(), upstreams))
    assert [source.name for source in refusal.named(text, bundle)] == blamed


def test_ports_may_be_free_later_everything_else_is_refused() -> None:
    bundle = Renderer().render(CONFIG)
    with pytest.raises(NotConfirmed):
        raise_refusal(
            "Error adding/updating listener(s) http: cannot bind '127.0.0.1:80': Address already in use", bundle
        )
    with pytest.raises(Rejected):
        raise_refusal("missing ]: [", bundle)


def test_a_certificate_that_envoy_cannot_read_is_blamed(running: Running) -> None:
    owner = Source("Secret", "n", "junk")
    junk = Certificate("n/junk", b"junk", b"junk", source=owner)
    with pytest.raises(Rejected) as found:
        running.go(config([saying("a.test", "x", "n/junk")], certificates=[junk]))
    assert found.value.blame == (owner,)


def test_a_cluster_that_envoy_does_not_take_is_blamed(running: Running) -> None:
    owner = Source("Service", "n", "odd")
    odd = msgspec.structs.replace(upstream("n/odd:80", dns=f"{'x' * 250}.a"), source=owner)
    bundle = running.bundle(config([host("a.test", ("prefix", "/", to("n/odd:80")))], [odd]))
    broken = bundle.files["envoy.json"].replace(b'"lb_policy": "ROUND_ROBIN"', b'"lb_policy": "NONE_OF_THESE"')
    with pytest.raises(Rejected, match="NONE_OF_THESE") as found:
        running.run(
            running.backend.validate(msgspec.structs.replace(bundle, files={**bundle.files, "envoy.json": broken}))
        )
    assert found.value.blame == (owner,)
