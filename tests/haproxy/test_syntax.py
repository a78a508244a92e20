"""Encoders: what they write reads back as it was, or they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.haproxy import syntax
from backends.haproxy.render import Renderer
from backends.haproxy.sections import TEMPLATES
from backends.haproxy.syntax import Encoded
from gen.errors import BadValue, Rejected
from gen.ir import Action, MatchKind, Policy, Redirect, Respond
from tests.haproxy.configs import config, host, to, upstream
from tests.haproxy.running import Running
from tests.haproxy.tokens import literal, map_row, skeleton, words
from tests.live.client import Request
from tests.live.echo import EchoNet
from tests.live.net import fresh_address

LINES = Path(__file__).parents[1].joinpath("data", "nasty-strings.jsonl").read_text().splitlines()
NASTY = sorted({case["s"] for case in map(json.loads, LINES) if isinstance(case["s"], str)})
TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("'\"\\%$#{}[] ;\n\t"), max_size=60)


# ------------------------------------------------------------------ laws


@given(TEXT | st.sampled_from(NASTY))
def test_a_word_is_one_word(text: str) -> None:
    if refused(syntax.word, text):
        assert not text or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text) or len(text.encode()) > 4000
    else:
        assert words(f"key {syntax.word(text)} next") == ["key", text, "next"]


@given(TEXT | st.sampled_from(NASTY))
def test_a_header_is_literal(text: str) -> None:
    if not refused(syntax.header, text):
        (word,) = words(syntax.header(text))
        assert literal(word) == text


@given(TEXT | st.sampled_from(NASTY))
def test_a_body_is_one_word(text: str) -> None:
    if text and not refused(syntax.body, text):
        assert words(f"string {syntax.body(text)} if") == ["string", text, "if"]
    elif text:
        assert re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", text) or len(text) > 1000


@given(TEXT.map(lambda text: f"/{text}"))
def test_a_path_is_one_key(text: str) -> None:
    line = syntax.row(syntax.key_of(syntax.host("a.test"), syntax.path(text)), syntax.name("b")).decode()
    key, value = map_row(line.removesuffix("\n"))
    assert (value, line.count("\n")) == ("b", 1)
    assert unquote_to_bytes(key.removeprefix("a.test").removesuffix("|")).decode() == text
    assert "|" not in key[:-1]


@given(TEXT.map(lambda text: f"/{text}"))
def test_a_location_is_an_encoded_path(text: str) -> None:
    (word,) = words(syntax.location(text))
    assert unquote_to_bytes(literal(word)).decode() == text
    assert re.fullmatch(r"[\x21-\x7e]+", literal(word))


@given(TEXT | st.sampled_from(NASTY))
def test_hosts_and_names_are_what_they_must_be(text: str) -> None:
    if not refused(syntax.host, text):
        assert re.fullmatch(r"[a-z0-9_.*-]{1,}", text)
    if not refused(syntax.name, text):
        assert re.fullmatch(r"[A-Za-z0-9_.:-]+", text)


@pytest.mark.parametrize(
    "pattern", ["a)|(?:b", "(", "a)(", "x\n", "[", "(?P<n>x", "a\\", "a)b(", "y(?i)x", "x(?#", "\ud800"]
)
def test_a_regex_cannot_leave_its_host(pattern: str) -> None:
    assert refused(lambda text: syntax.regex(Encoded("a.test"), text), pattern)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [("/a b", r"/a\x20b"), (r"/a\ b", r"/a\x20b"), (r"/a\\ b", r"/a\\\x20b"), ("/[ \t]", r"/[\x20\x09]"), ("#x", "#x")],
)
def test_blanks_in_a_regex(pattern: str, wanted: str) -> None:
    assert syntax.regex(syntax.host("*.a.test"), pattern) == rf"^\*\.a\.test(?i:{wanted})"


@pytest.mark.parametrize(
    "address", ["/run/docker.sock", "unix@x", "abns@x", "a.test", "::1%lo", "127.0.0.01", "1.2.3", "", "fd@3"]
)
def test_only_ip_addresses_are_servers(address: str) -> None:
    assert refused(lambda text: syntax.address(text, 80), address)


@pytest.mark.parametrize("port", [0, 65536, -1, True, 80.0])
def test_only_ports_are_ports(port: int) -> None:
    with pytest.raises(BadValue):
        syntax.address("127.0.0.1", port)


def test_addresses() -> None:
    assert syntax.address("2001:DB8::1", 80) == "[2001:db8::1]:80"
    assert syntax.addresses(["0.0.0.0", "::"], 80) == "0.0.0.0:80,[::]:80"
    assert syntax.dns_name("db.example.org.", 5432) == "db.example.org:5432"
    for text in ("1.2.3.4", "a b", "-a", "x/../y", "a..b", ""):
        assert refused(lambda name: syntax.dns_name(name, 80), text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1.2.3.4", "1.2.3.4:53"), ("1.2.3.4:5353", "1.2.3.4:5353"), ("::1", "[::1]:53"), ("[::1]:5353", "[::1]:5353")],
)
def test_name_servers(text: str, wanted: str) -> None:
    assert syntax.name_server(text) == wanted


@given(st.floats(0, 1e9))
def test_durations(seconds: float) -> None:
    text = syntax.duration(seconds)
    milliseconds = int(text[:-2]) if text.endswith("ms") else int(text[:-1]) * 1000
    assert (milliseconds > 0) == (seconds > 0)
    assert milliseconds < 2**31
    assert milliseconds == pytest.approx(min(seconds, 24 * 86400) * 1000, abs=1)


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_weights_keep_their_order_and_zero(weights: list[int]) -> None:
    scaled = syntax.scaled(weights)
    assert all(0 <= weight <= 256 for weight in scaled)
    assert [bool(weight) for weight in scaled] == [bool(weight) for weight in weights]
    assert sorted(range(len(weights)), key=lambda place: (scaled[place], weights[place])) == sorted(
        range(len(weights)), key=weights.__getitem__
    )


@pytest.mark.parametrize("value", ["text", 1.5, True, None, b"x", jinja2.Undefined()])
def test_templates_print_only_what_is_encoded(value: object) -> None:
    with pytest.raises(TypeError):
        TEMPLATES.from_string("{{ value }}").render(value=value)
    assert TEMPLATES.from_string("{{ a }} {{ b }}").render(a=Encoded("x"), b=5) == "x 5"


def test_templates_know_no_undefined() -> None:
    with pytest.raises((jinja2.UndefinedError, TypeError)):
        TEMPLATES.from_string("{{ nothing }}").render()


def refused(encode: Callable[[str], object], text: str) -> bool:
    """Whether an encoder refuses a text."""
    try:
        encode(text)
    except BadValue:
        return True
    return False


# ------------------------------------------------------------------ the real HAProxy


def test_what_is_accepted_arrives(running: Running, echo: EchoNet) -> None:
    """Path, redirect URL, body and upstream host: byte for byte, for every nasty string that is accepted at all."""
    address = fresh_address(8080)
    echo.listen(address, 8080, "echo")
    urls = [text for text in NASTY if not refused(syntax.header, text) and text]
    bodies = [text for text in NASTY if not refused(syntax.body, text) and text]
    paths = [text for text in NASTY if not refused(syntax.path, f"/{text}") and is_plain(text)]
    assert min(len(urls), len(bodies), len(paths)) > 150
    running.go(
        config(
            [
                *(host(f"u{n}.test", ("prefix", "/", Redirect(302, url=text))) for n, text in enumerate(urls)),
                *(host(f"b{n}.test", ("prefix", "/", Respond(200, text))) for n, text in enumerate(bodies)),
                *(host(f"p{n}.test", ("exact", f"/{text}", Respond(200, "it"))) for n, text in enumerate(paths)),
                *(host(f"h{n}.test", ("prefix", "/", to("echo")), policy=Policy(upstream_host=(text,)))
                  for n, text in enumerate(urls)),
            ],
            [upstream("echo", address)],
        )
    )  # fmt: skip
    with running.connect() as connection:
        for number, text in enumerate(urls):
            sent = text.encode().decode("latin-1")
            assert connection.exchange(Request(f"u{number}.test")).value("location") == sent.strip()
            seen = connection.exchange(Request(f"h{number}.test")).seen
            assert seen
            assert seen.value("host") == sent.strip()
        for number, text in enumerate(bodies):
            assert connection.exchange(Request(f"b{number}.test")).body == text.encode()
        for number, text in enumerate(paths):
            reply = connection.exchange(Request(f"p{number}.test", f"/{quote(text, safe='')}"))
            assert reply.body == b"it", text
            assert connection.exchange(Request(f"p{number}.test", f"/{quote(text, safe='')}x")).status == 404


def is_plain(text: str) -> bool:
    """Whether a path has this form after normalisation (others are refused before they come here)."""
    segments = text.split("/")
    return "\0" not in text and not {"", ".", ".."} & set(segments[:-1]) and segments[-1] not in {".", ".."}


@pytest.mark.parametrize("field", ["path", "regex", "url", "location", "query", "body", "host", "id"])
def test_no_string_changes_the_skeleton(field: str) -> None:
    wanted, same = shape(field, "benign"), 0
    blamed: set[str] = set()
    for text in filter(None, NASTY):
        try:
            found = shape(field, text)
        except Rejected as error:
            blamed.update(source.kind for source in error.blame)
        else:
            same += 1
            assert found == wanted, text
    assert blamed <= {"Ingress"}
    assert same > 100


def shape(field: str, text: str) -> tuple[object, ...]:
    """The skeleton of all files that one string in one field gives."""
    rules: dict[str, tuple[MatchKind, str, Action]] = {
        "path": ("exact", f"/{text}", to("web")),
        "regex": ("regex", text, to("web")),
        "url": ("exact", "/x", Redirect(302, url=text)),
        "location": ("exact", "/x", Redirect(302, path=f"/{text}")),
        "query": ("exact", "/x", Redirect(302, query=text)),
        "body": ("exact", "/x", Respond(200, text)),
        "host": ("exact", "/x", to("web")),
        "id": ("exact", "/x", to(text)),
    }
    policy = Policy(upstream_host=(text,) if field == "host" else None)
    whole = config([host("a.test", rules[field], policy=policy)], [upstream("web", "192.0.2.1"), upstream(text)])
    files = Renderer().render(whole).files
    rows = [len(row.split()) for path in sorted(files) if path.startswith("maps/") for row in lines(files[path])]
    return sorted(skeleton(files["haproxy.cfg"].decode())), rows, sorted(files)


def lines(content: bytes) -> list[bytes]:
    """Lines as HAProxy sees them: a carriage return ends one, too."""
    return re.split(rb"[\r\n]", content.removesuffix(b"\n")) if content else []
