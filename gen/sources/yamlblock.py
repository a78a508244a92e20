"""The short way for plain block YAML: what kubectl, helm and people write nearly always.

It works line by line and remembers what each line says, because manifests repeat themselves.  Whatever is not certain
(flow over several lines, folded text, anchors, tags, escapes, tabs, characters beyond ASCII, any error) is left to
libyaml's events (gen.sources.yamlevents); where this module gives a document it is the one that they give.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from gen.errors import BadValue
from gen.sources.scalars import WORDS, resolve
from gen.sources.yamlevents import MAX_NODES, Document, read_documents

Container = dict[str, object] | list[object]

MAX_DEPTH = 40
MAX_FLOW_DEPTH = 16
MAX_KEY = 500
"""YAML has a limit of 1024 for keys that are not marked by `?`."""
REMEMBERED_LINES = 1 << 16

DOUBLE, SINGLE = r"[ !#-\[\]-~]*", r"[ -&(-~]*"
PLAIN = r"(?:[A-Za-z0-9_./+$^(<;~=\\]|-(?=[!-~]))(?:[!-9;-~]|:(?=[!-~])| +(?=[!\"$-~]))*"
VALUE = rf"\"(?P<double>{DOUBLE})\"|'(?P<single>{SINGLE})'|(?P<literal>\|-?)|(?P<flow>[\[{{][ -~]*)|(?P<plain>{PLAIN})"
LINE = re.compile(
    r" *(?:(?P<dash>-)(?= |$) *)?"
    rf"(?:(?:(?P<key>[A-Za-z_][A-Za-z0-9_./-]*)|\"(?P<double_key>{DOUBLE})\"|'(?P<single_key>{SINGLE})'):(?= |$) *)?"
    rf"(?:{VALUE})?"
    r" *(?:(?<![^ ])\#[ -~]*)?"
)
KEYS = ("key", "double_key", "single_key")


class Unsure(Exception):
    """The text needs the real parser."""


class Literal(NamedTuple):
    """A block of text follows; `clip`: its last line end belongs to it."""

    clip: bool


class Line(NamedTuple):
    """What a line says.

    Shape: `column` is that of its first token and `is_item` whether that is a dash; `inner` is the column of the key,
    if there is one; `value` is HOLE where the value, if any, stands on the lines below.
    """

    column: int
    is_item: bool
    inner: int
    key: str | None
    value: object


HOLE = object()
_remembered: dict[str, Line | None] = {}


def read_document(text: str) -> Document | None:
    """The document that a text holds, None where that takes the real parser."""
    skipped = 0
    if text.startswith("---"):
        marker, _, text = text.partition("\n")
        if marker.rstrip(" ") != "---":
            return None
        skipped = 1
    if not text.isascii() or "\t" in text or text.count("\n") > MAX_NODES:
        return None
    try:
        first, value = build(text.split("\n"))
    except Unsure:
        return None
    return Document(first + skipped, value)


def build(lines: list[str]) -> tuple[int, object]:  # noqa: C901, PLR0912 - one hot loop, half a million lines a second
    """The number of the first line that says something, and the value of all of them; raises Unsure."""
    root: list[object] = [None]
    current: Any = root
    column, hole, first, number, end = -1, True, 0, 0, len(lines)
    hole_key: str | None = None
    stack: list[tuple[Any, int]] = []
    while number < end:
        text = lines[number]
        number += 1
        line = _remembered[text] if text in _remembered else learn(text)
        if line is None:
            continue
        at, is_item, inner, key, value = line
        if at != column or is_item is not (type(current) is list):  # else it is the next key or item
            while at < column:
                current, column = stack.pop()
                hole = False
            if at == column and not is_item and type(current) is list:  # the end of a list indented like its key
                current, column = stack.pop()
                hole = False
            if at > column or (is_item and type(current) is dict):
                if not hole or len(stack) > MAX_DEPTH:
                    raise Unsure
                if current is root:
                    first = number - 1
                opened: Container = [] if is_item else {}
                current[-1 if type(current) is list else hole_key] = opened
                stack.append((current, column))
                current, column = opened, at
            if at != column:
                raise Unsure
        if type(value) is Literal:
            value, number = literal(lines, number, at if key is None else inner, value)
        hole = value is HOLE
        if hole:
            value = None
        if is_item:
            if key is None:
                current.append(value)
                continue
            current.append({key: value})
            stack.append((current, column))
            current, column = current[-1], inner
        elif key in current:
            raise Unsure
        else:
            current[key] = value
        hole_key = key
    if current is root:
        raise Unsure
    return first, root[0]


def learn(text: str) -> Line | None:
    """What a line says, None where it is blank or a comment; raises Unsure."""
    if len(_remembered) >= REMEMBERED_LINES:
        _remembered.clear()
    _remembered[text] = line = scan(text)
    return line


def scan(text: str) -> Line | None:
    """What a line says, worked out."""
    match = LINE.fullmatch(text)
    if match is None:
        raise Unsure
    dash = match.start("dash")
    group = "key" if match["key"] is not None else next((name for name in KEYS if match[name] is not None), None)
    if group is None:
        if dash < 0 and match.lastgroup is not None:
            raise Unsure
        return Line(dash, True, dash, None, value_of(match)) if dash >= 0 else None
    column, key = match.start(group) - (group != "key"), match[group]
    if len(key) > MAX_KEY or (group == "key" and key in WORDS):
        raise Unsure
    return Line(dash if dash >= 0 else column, dash >= 0, column, key, value_of(match))


def value_of(match: re.Match[str]) -> object:
    """The value on a line."""
    group = match.lastgroup
    if group in ("dash", *KEYS):
        return HOLE
    text = match[str(group)]
    if group == "plain":
        try:
            return resolve(text)
        except ValueError:
            raise Unsure from None
    if group == "literal":
        return Literal(clip=text == "|")
    return flow(text) if group == "flow" else text


def flow(text: str) -> object:
    """The value of a flow collection that ends on its line."""
    if text.count("[") + text.count("{") > MAX_FLOW_DEPTH:
        raise Unsure
    try:
        documents = read_documents(text)
    except BadValue:
        raise Unsure from None
    if len(documents) != 1 or not isinstance(documents[0].value, dict | list):
        raise Unsure
    return documents[0].value


def literal(lines: list[str], number: int, parent: int, header: Literal) -> tuple[str, int]:
    """The text of a literal block below a line at column `parent`, and the number of the line after it."""
    content: list[str] = []
    indent = 0
    end = len(lines)
    while number < end:
        line = lines[number]
        width = len(line) - len(line.lstrip(" "))
        if width < len(line):
            indent = indent or width
            if width < indent or indent <= parent:
                break
        elif line and not indent:
            raise Unsure
        content.append(line[indent:])
        number += 1
    text = "\n".join(content).rstrip("\n")
    if not text or (number == end and lines[-1]):
        raise Unsure
    return (text + "\n" if header.clip else text), number
