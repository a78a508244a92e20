"""Every annotation with every nasty string: refused with a reason, or a value that was checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gen.dialects.ingress_nginx import ROWS
from gen.ir import Config, Host, Respond
from gen.policy import Variable
from gen.translate import Settings, Translation
from tests.dialects.samples import SAMPLES
from tests.live.manifests import endpoint_slice, ingress, path, service
from tests.translate.translating import translate

STRINGS = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "data" / "nasty-strings.jsonl").read_text().splitlines()
]
TEXTS = tuple(dict.fromkeys(text for entry in STRINGS if isinstance(text := entry.get("value", entry.get("s")), str)))
PREFIX = "nginx.ingress.kubernetes.io/"
COMPANIONS = {
    "session-cookie": {"affinity": "cookie"},
    "affinity-": {"affinity": "cookie"},
    "cors-": {"enable-cors": "true"},
    "auth-tls-": {"auth-tls-secret": "t1/ca"},
    "auth-": {"auth-url": "http://a.example/"},
    "mirror-": {"mirror-target": "http://a.example/"},
    "proxy-redirect-": {"proxy-redirect-from": "http://a/", "proxy-redirect-to": "http://b/"},
    "fastcgi-": {"backend-protocol": "FCGI"},
    "x-forwarded-prefix": {"rewrite-target": "/x"},
    "canary-": {"canary": "true"},
}
PROFILES = [Settings(assume_class=True, profile=profile, ingress_class="gen") for profile in ("spec", "ingress-nginx")]
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
BREAKS_OUT = re.compile(r"[\"'`;{}\\#<>]")
SPEAKS_FREELY = frozenset(("auth-realm", "auth-tls-match-cn", "canary-by-header-pattern", "cors-allow-headers"))
"""Whose values may hold quotes or blanks; their encoders are tested with the proxies."""


def asking(name: str, text: str) -> dict[str, str]:
    others = next((others for lead, others in COMPANIONS.items() if name.startswith(lead)), {})
    return {PREFIX + key: value for key, value in {**others, name: text}.items()}


def translated(name: str, settings: Settings) -> Translation:
    """One Ingress a string, each with a host of its own."""
    items = [service("s", "t1"), endpoint_slice("s", "t1", ["10.0.0.1"])]
    items.extend(
        ingress(f"i{number}", "t1", {f"h{number}.example": [path("/", "s")]}, annotations=asking(name, text))
        for number, text in enumerate(TEXTS)
    )
    return translate(items, settings)


def strings(value: object) -> Iterator[str]:
    """All texts within a value of the model."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Variable):
        yield value.argument
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            if field not in {"source", "sources"}:
                yield from strings(getattr(value, field))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from strings(item)


def is_open(host: Host | None) -> bool:
    return host is not None and not all(isinstance(route.action, Respond) for route in host.routes)


def blamed(found: Translation) -> set[str]:
    return {issue.source.name for issue in found.issues if issue.source.kind == "Ingress"}


def test_there_are_strings() -> None:
    assert len(TEXTS) > 300


@pytest.mark.parametrize("settings", PROFILES, ids=["spec", "ingress-nginx"])
@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_nasty_string_is_refused_or_harmless(name: str, settings: Settings) -> None:
    found = translated(name, settings)
    assert not [issue for issue in found.issues if issue.code == "InternalError"]
    told = blamed(found)
    for number, text in enumerate(TEXTS):
        host = found.config.hosts.get(f"h{number}.example")
        if host is None:
            assert f"i{number}" in told or name.startswith("canary"), f"{text!r} silently costs the host"
            continue
        for value in strings(host):
            assert not CONTROL.search(value), f"{text!r} became {value!r}"
            if name not in SPEAKS_FREELY and value == text.strip() and value not in SAMPLES[name][0]:
                assert not BREAKS_OUT.search(value), f"{text!r} was taken as it is"
        if settings.rules.is_strict and is_open(host) and f"i{number}" not in told:
            assert not text.strip() or accepts(name, text.strip())


def accepts(name: str, text: str) -> bool:
    ROWS[name].parse(text)
    return True


def test_nobody_else_is_touched() -> None:
    plain = [ingress("b", "t1", {"b.example": [path("/", "s")]}), service("s", "t1")]
    expected = translate(plain, PROFILES[0]).config.hosts["b.example"]
    for name in sorted(ROWS):
        hostile = [
            ingress(f"i{number}", "t1", {f"h{number}.example": [path("/", "s")]}, annotations=asking(name, text))
            for number, text in enumerate(TEXTS[::17])
        ]
        config: Config = translate([*plain, *hostile], PROFILES[0]).config
        assert config.hosts["b.example"] == expected
