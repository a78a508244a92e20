"""Hostile text in every field that tenants write: refused, or it arrives byte for byte and changes nothing else.

The strings are those of tests/data/nasty-strings.jsonl, written into a Config as they are: nothing before the backend
has looked at them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.envoy.render import Renderer
from gen.errors import Rejected
from gen.ir import Config, Host, Match, Policy, Redirect, Respond, Route
from tests.envoy.configs import config, source, to, upstream
from tests.envoy.running import Running
from tests.live.echo import EchoNet
from tests.live.net import fresh_address

CORPUS = Path(__file__).parent.parent / "data" / "nasty-strings.jsonl"
HOST = "a.test"
FIELDS = ("path", "url", "upstream_host", "body")


def nasty_strings() -> list[str]:
    found = [json.loads(line)["s"] for line in CORPUS.read_text().splitlines()]
    return [text for text in found if text is not None]


def route(field: str, number: int, text: str) -> Route:
    """A route that has a text in one of its fields."""
    blamed = source(HOST, number)
    place = Match("exact", f"/{field}/{number}")
    if field == "path":
        return Route(Match("exact", f"/{text}"), Respond(200, f"path {number}"), blamed)
    if field == "url":
        return Route(place, Redirect(302, url=f"https://x.test/{text}"), blamed)
    if field == "body":
        return Route(place, Respond(200, text), blamed)
    return Route(place, to("echo"), blamed, Policy(upstream_host=(text,)))


def config_of(*routes: Route) -> Config:
    last = Route(Match("prefix", "/"), Respond(404), source(HOST, 9999))
    return config([Host(HOST, (*routes, last))])


def is_accepted(one: Route) -> bool:
    """Whether a route can be rendered; one that is refused without blame is taken for accepted, and fails later."""
    try:
        Renderer().render(config_of(one))
    except Rejected as refusal:
        return refusal.blame != (one.source,)
    return True


ACCEPTED = {
    field: {number: text for number, text in enumerate(nasty_strings()) if is_accepted(route(field, number, text))}
    for field in FIELDS
}


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = fresh_address(8080)
    echo.listen(place, 8080, "echo")
    routes = [route(field, number, text) for field in FIELDS for number, text in ACCEPTED[field].items()]
    with Running(binary, tmp_path_factory.mktemp("envoy") / "state") as running:
        whole = config_of(*routes)
        running.go(Config(whole.hosts, {"echo": upstream("echo", place)}, whole.certificates, {}, whole.options))
        yield running


def as_read(text: str) -> str:
    """A header value as client and upstream of these tests read it."""
    return text.encode().decode("latin-1").strip()


def test_most_are_accepted_and_control_characters_never() -> None:
    assert all(len(accepted) > 250 for accepted in ACCEPTED.values())
    for field in ("path", "url", "upstream_host"):
        assert not [
            text for text in ACCEPTED[field].values() if any(ord(sign) < 32 or ord(sign) == 127 for sign in text)
        ]


def test_paths_match_themselves(proxy: Running) -> None:
    first: dict[str, int] = {}
    for number, text in ACCEPTED["path"].items():
        if not ({"", ".", ".."} & set(text.split("/")[:-1]) or text.split("/")[-1] in {".", ".."}):
            first.setdefault(text, number)
    answers = {text: proxy.says(HOST, f"/{quote(text)}") for text in first}
    assert answers == {text: f"path {number}" for text, number in first.items()}


def test_urls_are_sent_as_they_are(proxy: Running) -> None:
    for number, text in ACCEPTED["url"].items():
        assert proxy.get(HOST, f"/url/{number}").value("location") == as_read(f"https://x.test/{text}")


def test_hosts_for_the_upstream_are_sent_as_they_are(proxy: Running) -> None:
    for number, text in ACCEPTED["upstream_host"].items():
        seen = proxy.get(HOST, f"/upstream_host/{number}").seen
        assert seen, text
        assert seen.value("host") == as_read(text)
        assert seen.value("x-forwarded-host") == HOST


def test_texts_are_sent_as_they_are(proxy: Running) -> None:
    for number, text in ACCEPTED["body"].items():
        assert proxy.says(HOST, f"/body/{number}") == text


# ------------------------------------------------------------------ the skeleton


@given(field=st.sampled_from(FIELDS), text=st.text() | st.sampled_from(nasty_strings()))
def test_the_skeleton_stays(field: str, text: str) -> None:
    """Whatever the text, the files differ from those for a harmless one in the place of that text alone."""
    hostile, harmless = route(field, 0, text), route(field, 0, "harmless")
    if is_accepted(hostile):
        assert skeleton(hostile) == skeleton(harmless)


def skeleton(one: Route) -> list[Any]:
    """The shape of both files, without any text of theirs."""
    files = Renderer().render(config_of(one)).files
    return [shape(json.loads(files[path])) for path in ("envoy.json", "routes.json")]


def shape(value: Any) -> Any:
    """A JSON value whose texts are left out."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items() if name != "body"}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return "" if isinstance(value, str) else value
