"""YAML documents: what they mean, what is refused, that nothing hostile does harm, and that both ways agree."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.sources import yamlblock, yamlevents
from gen.sources.entries import BadText
from gen.sources.yamlevents import MAX_DEPTH, Document, read_documents
from tests.sources.yamls import DOCUMENTS, STYLES, TEXT_OF_LINES, damaged, dump


def read(text: str) -> Any:
    """The value of a text with one document, read both ways."""
    (document,) = read_documents(text)
    assert yamlblock.read_document(text) in (None, document)
    return document.value


MEANINGS: dict[str, tuple[str, object]] = {
    "booleans": ("a: yes\nb: on\nc: y\nd: No\n", {"a": True, "b": True, "c": True, "d": False}),
    "quoted words stay strings": ("a: 'yes'\nb: \"80\"\n", {"a": "yes", "b": "80"}),
    "numbers": ("a: 0777\nb: 1_000\nc: 80.0\n", {"a": 511, "b": 1000, "c": 80}),
    "dates and times stay strings": ("a: 2026-01-02\nb: 12:30:45\n", {"a": "2026-01-02", "b": "12:30:45"}),
    "null": ("a:\nb: ~\nc: null\n", {"a": None, "b": None, "c": None}),
    "keys become strings": ("on: a\n8080: b\n1.5: c\n", {"true": "a", "8080": "b", "1.5": "c"}),
    "list as deep as its key": ("a:\n- b\n- c\nd: e\n", {"a": ["b", "c"], "d": "e"}),
    "list deeper than its key": ("a:\n  - b: 1\n    c: 2\n  - d: 3\n", {"a": [{"b": 1, "c": 2}, {"d": 3}]}),
    "list of lists": ("- - a\n  - b\n- - c\n", [["a", "b"], ["c"]]),
    "empty items": ("a:\n-\n- b\n-\n", {"a": [None, "b", None]}),
    "literal": ("a: |\n  one\n    two\n\n  three\nb: 1\n", {"a": "one\n  two\n\nthree\n", "b": 1}),
    "literal without its last line end": ("a: |-\n  one\n\nb: 1\n", {"a": "one", "b": 1}),
    "literal in a list": ("a:\n- |\n  one\n- b: |\n    two\n", {"a": ["one\n", {"b": "two\n"}]}),
    "literal with a marker in it": ("a: |\n  ---\n  # no comment\n", {"a": "---\n# no comment\n"}),
    "literal up to the end of the text": ("a: |\n  one", {"a": "one"}),
    "literal that keeps": ("a: |+\n  one\n\n", {"a": "one\n\n"}),
    "folded": ("a: >\n  one\n  two\n", {"a": "one two\n"}),
    "plain over two lines": ("a: one\n  two\nb: 3\n", {"a": "one two", "b": 3}),
    "flow": ('a: {b: [1, "x"], c: {}}\nd: []\n', {"a": {"b": [1, "x"], "c": {}}, "d": []}),
    "flow over two lines": ("a: [1,\n  2]\n", {"a": [1, 2]}),
    "comments": ("# one\na: b # two\n  # three\nc: d#e\n", {"a": "b", "c": "d#e"}),
    "colons": ("a: b:c\nd: http://e:80/f\n", {"a": "b:c", "d": "http://e:80/f"}),
    "anchors": ("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
    "merge": ("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
    "merge, the key before": ("a: &x {b: 1}\nd: {b: 2, <<: *x}\n", {"a": {"b": 1}, "d": {"b": 2}}),
    "merge of several, the first wins": ("- &x {a: 1}\n- &y {a: 2}\n- <<: [*x, *y]\n", [{"a": 1}, {"a": 2}, {"a": 1}]),
    "a quoted merge key is a key": ('"<<": {a: 1}\n', {"<<": {"a": 1}}),
    "tags": ("a: !!str 123\nb: !!int '7'\nc: !!float 3\nd: !!null ''\n", {"a": "123", "b": 7, "c": 3, "d": None}),
    "timestamp tag": ("a: !!timestamp 2026-01-02\n", {"a": "2026-01-02"}),
    "escapes": ('a: "x\\ty\\u00e9\\"\\n"\n', {"a": 'x\ty\u00e9"\n'}),
    "tabs within": ("a:\t1\nb: x\ty\n", {"a": 1, "b": "x\ty"}),
    "json": ('{"a": [1, 2.5, true, null, "\\/x"]}', {"a": [1, 2.5, True, None, "/x"]}),
    "no final line end": ("a: b", {"a": "b"}),
    "explicit start": ("--- # here\na: b\n...\n", {"a": "b"}),
    "a scalar": ("--- x\n", "x"),
    "trailing spaces": ("a: b  \nc:  \n  d: e\n", {"a": "b", "c": {"d": "e"}}),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_meaning(name: str) -> None:
    text, value = MEANINGS[name]
    assert read(text) == value


FAULTS: dict[str, tuple[str, str, int, str]] = {
    "duplicate key": ("a: 1\nb:\n  c: 1\n  c: 2\n", "DuplicateKey", 3, "'c' is there twice"),
    "duplicate key once resolved": ("on: 1\n'true': 2\n", "DuplicateKey", 1, "'true'"),
    "duplicate key in flow": ("a: {b: 1, b: 2}\n", "DuplicateKey", 0, "'b'"),
    "unclosed quote": ("a: 'b\nc: d\n", "YamlInvalid", 2, "unexpected end"),
    "bad indentation": ("a:\n  b: 1\n c: 2\n", "YamlInvalid", 2, "column 2"),
    "tab as indentation": ("a:\n\tb: 1\n", "YamlInvalid", 1, "cannot start any token"),
    "two values on a line": ("a: b: c\n", "YamlInvalid", 0, "mapping values are not allowed"),
    "binary": ("a: !!binary aGk=\n", "YamlInvalid", 0, "!!binary is not supported"),
    "own tag": ("a: !Ref x\n", "YamlInvalid", 0, "the tag !Ref is not supported"),
    "own tag of a mapping": ("a: !!set {b}\n", "YamlInvalid", 0, "!!set"),
    "own tag of a list": ("a: !x [b]\n", "YamlInvalid", 0, "!x"),
    "wrong tag": ("a: !!int x\n", "YamlInvalid", 0, "x is not a value of !!int"),
    "wrong tag of a boolean": ("a: !!int yes\n", "YamlInvalid", 0, "yes is not a value of !!int"),
    "no number": ("a: .inf\n", "YamlInvalid", 0, ".inf is not a number"),
    "null key": ("~: a\n", "YamlInvalid", 0, "null cannot be a key"),
    "mapping as a key": ("? {a: b}\n: c\n", "YamlInvalid", 0, "a key must be a scalar"),
    "list as a key": ("x: &l [1]\n*l : c\n", "YamlInvalid", 1, "a key must be a scalar"),
    "unknown alias": ("a: *b\n", "YamlInvalid", 0, "*b has no anchor"),
    "alias of itself": ("a: &b [*b]\n", "YamlInvalid", 0, "contain itself"),
    "merge of a scalar": ("<<: 1\n", "YamlInvalid", 0, "`<<` takes a mapping"),
    "control character": ("a: \x01\n", "YamlInvalid", 0, "control characters"),
    "not UTF-8": ("a: b\nc: \udcff\n", "YamlInvalid", 1, "not UTF-8"),
    "too deep": ("[" * (MAX_DEPTH + 1), "TooDeep", 0, "64 levels"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    text, code, line, words = FAULTS[name]
    assert yamlblock.read_document(text) is None
    with pytest.raises(BadText) as caught:
        read_documents(text)
    assert (caught.value.code, caught.value.line) == (code, line)
    assert words in str(caught.value)


def test_several_documents() -> None:
    text = "# c\n---\na: 1\n---\n---\n# only a comment\n...\n---\nb: 2\n"
    assert [document.value for document in read_documents(text)] == [{"a": 1}, None, None, {"b": 2}]
    assert [document.line for document in read_documents(text) if document.value] == [2, 8]


def test_anchors_end_with_their_document() -> None:
    with pytest.raises(BadText, match="no anchor"):
        read_documents("a: &x 1\n---\nb: *x\n")


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
BOMBS: dict[str, tuple[str, str]] = {
    "open lists": ("[" * 200_000, "TooDeep"),
    "open mappings": ('{"a":' * 200_000, "TooDeep"),
    "deep block": ("\n".join(" " * n + "a:" for n in range(300)), "TooDeep"),
    "dashes": ("- " * 100_000, "TooDeep"),
    "questions": ("? " * 100_000, ""),
    "a billion laughs": (LAUGHS, "TooLarge"),
    "laughs by merging": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 10)),
        "TooLarge",
    ),
    "one long line": ("a: " + "b: " * 100_000, "YamlInvalid"),
    "one long key": ("a" * 1_000_000 + ": 1\n", "YamlInvalid"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb(name: str) -> None:
    text, code = BOMBS[name]
    started = time.process_time()
    assert yamlblock.read_document(text) is None
    with pytest.raises(BadText) as caught:
        read_documents(text)
    assert not code or caught.value.code == code
    assert len(str(caught.value)) < 200
    assert time.process_time() - started < 10


def test_large_but_honest() -> None:
    text = "a:\n" + "".join(f"- b{number}: {{c: {number}}}\n" for number in range(5000))
    assert read(text)["a"][4999] == {"b4999": {"c": 4999}}


def test_the_memory_of_lines_is_bounded() -> None:
    for start in range(0, 2 * yamlblock.REMEMBERED_LINES, 1 << 14):
        yamlblock.read_document("".join(f"k{number}: v\n" for number in range(start, start + (1 << 14))))
    assert len(yamlblock._remembered) <= yamlblock.REMEMBERED_LINES


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS, STYLES)
def test_yaml_is_json(value: dict[str, object], style: dict[str, Any]) -> None:
    assert read(dump(value, style)) == json.loads(json.dumps(value))


@settings(max_examples=1500, deadline=None)
@given(damaged() | TEXT_OF_LINES | st.builds("{}\n".format, TEXT_OF_LINES))
def test_the_short_way_gives_what_the_events_give(text: str) -> None:
    document = yamlblock.read_document(text)
    if document is not None:
        assert read_documents(text) == [document]


def test_the_short_way_is_taken() -> None:
    text = dump({"spec": {"rules": [{"host": "a.example", "http": {"paths": [{"path": "/"}]}}]}}, {})
    assert yamlblock.read_document(text) is not None


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, STYLES)
def test_the_pure_parser_gives_the_same(value: dict[str, object], style: dict[str, Any]) -> None:
    text = dump(value, style)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yamlevents, "parser_type", lambda: yaml.SafeLoader)
        pure = read_documents(text)
    assert pure == read_documents(text)


def test_without_libyaml_there_is_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml._yaml", None)
    yamlevents.parser_type.cache_clear()
    try:
        assert read_documents("a: 1\n") == [Document(0, {"a": 1})]
        with pytest.raises(BadText, match="end of stream"):
            read_documents("a: 'b\n")
    finally:
        yamlevents.parser_type.cache_clear()
    assert "without libyaml" in caplog.text
