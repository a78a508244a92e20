"""The encoders: what they write, nginx reads as what they were given."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.nginx import syntax
from backends.nginx.syntax import Word
from backends.nginx.template import templates
from gen.errors import BadValue
from gen.ir import DnsName, Endpoint, Redirect, Source

SPECIAL = "\"'\\${}#; \t\n\r~^@=/*%()[].|?+<>é\u2028\x00\x7f\ud800ntr"
hostile = st.text(st.one_of(st.sampled_from(SPECIAL), st.characters()), max_size=40)
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def words(text: str) -> list[str]:
    """The words of one directive as nginx reads them; nothing of this comes from the encoders."""
    found, position = [], 0
    while position < len(text):
        if text[position] in " \t\r\n":
            position += 1
        elif text[position] == '"':
            word, position = quoted(text, position + 1)
            found.append(word)
        else:
            bare = re.compile(r"[^\s;{\"]+").match(text, position)
            assert bare, text
            found.append(bare[0])
            position = bare.end()
    return found


def quoted(text: str, position: int) -> tuple[str, int]:
    """The word up to the next double quote, and where that is."""
    word = ""
    while text[position] != '"':
        sign = text[position]
        if sign == "\\" and text[position + 1] in "\\\"'ntr":
            position += 1
            sign = {"n": "\n", "t": "\t", "r": "\r"}.get(text[position], text[position])
        word += sign
        position += 1
    assert position + 1 == len(text) or text[position + 1] in " \t\r\n", "a word must end after its quote"
    return word, position + 1


def expanded(word: str) -> str:
    """A word whose variables nginx expands; there may be none but ours."""
    assert not re.search(r"\$(?!\{gen_dollar\}|gen_nothing\Z)", word)
    return word.replace("$gen_nothing", "").replace("${gen_dollar}", "$")


def written(encode: Callable[[str], Word], text: str) -> Word | None:
    """The encoded text, None where it is refused."""
    try:
        return encode(text)
    except BadValue:
        return None


@given(hostile)
def test_a_literal_comes_back(text: str) -> None:
    word = written(syntax.literal, text)
    assert (word is None) == bool(UNWRITABLE.search(text))
    assert word is None or words(word) == [text]


@given(hostile)
def test_a_value_comes_back_and_nothing_expands(text: str) -> None:
    word = written(syntax.value, text)
    assert (word is None) == bool(UNWRITABLE.search(text))
    assert word is None or [expanded(one) for one in words(word)] == [text]


@given(hostile)
def test_a_body_comes_back(text: str) -> None:
    word = written(syntax.body, text)
    assert (word is None) == bool(UNWRITABLE.search(text.replace("\n", "").replace("\t", "")))
    assert word is None or [expanded(one) for one in words(word)] == [text]


@given(hostile)
def test_a_location_comes_back(text: str) -> None:
    assert written(syntax.prefix_location, text) is None or text.startswith("/")
    word = written(syntax.exact_location, f"/{text}")
    assert word is None or words(word) == ["=", f"/{text}"]


@given(hostile, hostile)
def test_the_pattern_of_a_path_takes_that_path_alone(text: str, other: str) -> None:
    path, other = f"/{text}", f"/{other}"
    if exact := written(syntax.exact_pattern, path):
        sign, pattern = words(exact)
        assert sign == "~"
        assert bool(re.search(pattern.replace(r"\z", r"\Z"), other)) == (other == path)
    if prefix := written(syntax.prefix_pattern, path):
        sign, pattern = words(prefix)
        below = path if path.endswith("/") else f"{path}/"
        assert re.search(pattern.replace(r"\z", r"\Z"), f"{below}{other}")
        takes = other == path or other.startswith(below)
        assert bool(re.search(pattern.replace(r"\z", r"\Z"), other)) == takes


@pytest.mark.parametrize(
    "text", ["", "a..b", ".a", "a.", "*", "*.", "a.*.b", "**.a", "A.b", "a b", "a;b", "~a", "$hostname", "é.x", "a\n"]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    if text:
        with pytest.raises(BadValue):
            syntax.server_name(text)
    else:
        assert syntax.server_name(text) == '"_"'


@given(st.from_regex(r"(\*\.)?[a-z0-9_-]{1,5}(\.[a-z0-9-]{1,5}){1,3}", fullmatch=True), st.text("ab.-x", max_size=12))
def test_a_wildcard_is_one_label(name: str, other: str) -> None:
    (word,) = words(syntax.server_name(name))
    if not name.startswith("*."):
        assert word == name
        return
    assert word.startswith("~")
    for host in (f"{other}{name[1:]}", other, f"{other}.{name[2:]}"):
        is_one_label = host.endswith(name[1:]) and "." not in host.removesuffix(name[1:]) and host != name[1:]
        assert bool(re.search(word[1:], host)) == is_one_label


@pytest.mark.parametrize(
    "text",
    [
        "unix:/x",
        "/x",
        "1.2.3.4 down",
        "a.b",
        "::1%a;b",
        "[::1]",
        "1.2.3.4:5",
        "",
        "1.2.3",
        "1.2.3.256",
        "01.2.3.4",
        ":",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        syntax.address(Endpoint(text, 80))


def test_addresses() -> None:
    assert [syntax.address(Endpoint(text, 80)) for text in ("1.2.3.4", "::1")] == ["1.2.3.4:80", "[::1]:80"]
    resolvers = ("1.2.3.4", "1.2.3.4:53", "::1", "[::1]:53")
    assert [syntax.resolver(text) for text in resolvers] == ["1.2.3.4", "1.2.3.4:53", "[::1]", "[::1]:53"]
    assert syntax.dns_target(DnsName("a-b.example.", 80)) == "a-b.example.:80"


@pytest.mark.parametrize(
    "refused",
    [
        lambda: syntax.address(Endpoint("1.2.3.4", 0)),
        lambda: syntax.address(Endpoint("1.2.3.4", 65536)),
        lambda: syntax.dns_target(DnsName("a b", 80)),
        lambda: syntax.dns_target(DnsName("$x", 80)),
        lambda: syntax.resolver("dns.example"),
        lambda: syntax.prefix_location("/" + "é" * 128),
        lambda: syntax.literal('"' * 2001),
        lambda: syntax.value("$" * 400),
        lambda: syntax.body("\n" * 2001),
        lambda: syntax.redirect(Redirect(301, query="\r\nX: 1")),
        lambda: syntax.redirect(Redirect(301, url="https://a/\r\nX: 1")),
        lambda: syntax.redirect(Redirect(200, url="https://a/")),
        lambda: syntax.regex_pattern("/(?<gen_dollar>x)"),
        lambda: syntax.regex_pattern("/(?P<a>x)"),
        lambda: syntax.regex_pattern("/(?'a'x)"),
        lambda: syntax.name("a;b"),
    ],
)
def test_what_a_position_cannot_hold_is_refused(refused: Callable[[], object]) -> None:
    with pytest.raises(BadValue):
        refused()


def test_what_just_fits_is_taken() -> None:
    assert len(syntax.prefix_location("/" + "x" * 254)) == 257
    assert len(syntax.literal("x" * 4000)) == 4002
    assert words(syntax.regex_pattern(r"/(?<=a)\d(?:b)")) == ["~*", r"^/(?<=a)\d(?:b)"]


@given(st.floats(0, 1e6))
def test_seconds(duration: float) -> None:
    number, unit = re.fullmatch("([0-9]+)(m?s)", syntax.seconds(duration)).groups()  # type: ignore[union-attr]
    assert abs(int(number) / (1000 if unit == "ms" else 1) - duration) <= 0.0005


@pytest.mark.parametrize(
    ("source", "comment"),
    [
        (Source("Ingress", "shop", "web", "spec.rules[2].http.paths[1].path"), "Ingress shop/web, rule 2, path 1"),
        (Source("Ingress", "shop", "web", "spec.defaultBackend"), "Ingress shop/web, default backend"),
        (Source("Ingress", "shop", "web", "metadata.annotations[x\ny]"), "Ingress shop/web"),
        (Source("IngressClass", "", "gen"), "IngressClass gen"),
        (Source("Ingress", "shop", "web\n}"), "no object of its own"),
        (Source("Ingress", "sh op", "web"), "no object of its own"),
        (Source("Ing\nress", "shop", "web"), "no object of its own"),
        (Source("", "", ""), "no object of its own"),
    ],
)
def test_a_comment_has_checked_names_alone(source: Source, comment: str) -> None:
    assert syntax.origin(source) == comment


@pytest.mark.parametrize("value", ["text", None, 1.5, True, ["x"], b"x"])
def test_a_template_prints_nothing_unencoded(value: object) -> None:
    template = templates().from_string("a {{ value }};")
    assert template.render(value=Word("x")) == "a x;"
    with pytest.raises(TypeError, match="without an encoder"):
        template.render(value=value)
