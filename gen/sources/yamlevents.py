"""YAML documents, built from the events of libyaml: any YAML, exactly, and safe with hostile text.

Nothing recurses deeper than MAX_DEPTH, aliases cannot multiply, a duplicate key is an error as it is in kubectl, and
scalars are Kubernetes' (gen.sources.scalars).  Where libyaml is missing the pure parser does the same, much slower.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, Protocol

import yaml
from msgspec import Struct
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from gen.sources.entries import BadText
from gen.sources.scalars import Scalar, key_of, resolve

MAX_DEPTH = 64
MAX_NODES = 10_000_000
MAX_ALIASED = 100_000
"""How many nodes the aliases of a document may stand for."""

TAG = "tag:yaml.org,2002:"
MERGE = object()
TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}
log = logging.getLogger(__name__)


class Document(Struct, frozen=True):
    """A YAML document as plain values; `line` is that of its first node, counted from 0."""

    line: int
    value: object


class Parser(Protocol):
    """What both parsers of PyYAML can do."""

    def get_event(self) -> Any:
        """The next of yaml.events, None at the end."""
        ...

    def dispose(self) -> None:
        """Free what the parser holds."""
        ...


@cache
def parser_type() -> Any:
    """The parser of libyaml, or the pure one where it is missing."""
    try:
        from yaml._yaml import CParser
    except ImportError:
        log.warning("PyYAML was built without libyaml: reading YAML takes ten times as long")
        return yaml.SafeLoader
    return CParser


def parser_of(text: str) -> Parser:
    """A parser of that text; raises yaml.YAMLError or UnicodeEncodeError for characters that YAML does not have."""
    parser: Parser = parser_type()(text)
    return parser


def read_documents(text: str) -> list[Document]:
    """All documents of a text.

    Raises: BadText (YamlInvalid, DuplicateKey, TooDeep, TooLarge).
    """
    try:
        parser = parser_of(text)
        try:
            return Composer(parser).documents()
        finally:
            parser.dispose()
    except yaml.YAMLError as error:
        raise syntax_error(error) from None
    except UnicodeEncodeError as error:
        raise BadText("YamlInvalid", "the text is not UTF-8", text.count("\n", 0, error.start)) from None


def syntax_error(error: yaml.YAMLError) -> BadText:
    """The words and the place of PyYAML's exceptions, which come in two shapes."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    if mark is None:
        return BadText("YamlInvalid", str(problem), 0)
    return BadText("YamlInvalid", f"column {mark.column + 1}: {problem}", mark.line)


def bad(event: Any, message: str, code: str = "YamlInvalid") -> BadText:
    """A fault at the place of an event."""
    return BadText(code, f"column {event.start_mark.column + 1}: {message}", event.start_mark.line)


class Composer:
    """Plain values from the events of one text."""

    def __init__(self, parser: Parser) -> None:
        self._next = parser.get_event
        self._nodes = 0
        self._aliased = 0
        self._anchors: dict[str, tuple[object, int]] = {}

    def documents(self) -> list[Document]:
        """Every document up to the end of the stream."""
        found: list[Document] = []
        while not isinstance(event := self._next(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                self._anchors.clear()
                first = self._following()
                found.append(Document(first.start_mark.line, self._node(first, 0)))
        return found

    def _following(self) -> Any:
        event = self._next()
        if event is None:
            raise BadText("YamlInvalid", "the text ends too early", 0)
        return event

    def _node(self, event: Any, depth: int) -> object:
        kind = type(event)
        if kind is ScalarEvent:
            value: object = self._scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = (value, 1)
            return value
        if kind is AliasEvent:
            return self._alias(event)
        if depth >= MAX_DEPTH:
            raise bad(event, f"nested deeper than {MAX_DEPTH} levels", "TooDeep")
        before = self._nodes
        value = self._mapping(event, depth + 1) if kind is MappingStartEvent else self._sequence(event, depth + 1)
        if self._nodes > MAX_NODES:
            raise bad(event, f"more than {MAX_NODES} values in one document", "TooLarge")
        if event.anchor:
            self._anchors[event.anchor] = (value, self._nodes - before)
        return value

    def _sequence(self, start: Any, depth: int) -> list[object]:
        if start.tag not in (None, "!", TAG + "seq"):
            raise bad(start, f"the tag {shown(start.tag)} is not supported")
        items: list[object] = []
        while type(event := self._following()) is not SequenceEndEvent:
            items.append(self._node(event, depth))
        self._nodes += len(items) + 1
        return items

    def _mapping(self, start: Any, depth: int) -> dict[str, object]:
        if start.tag not in (None, "!", TAG + "map"):
            raise bad(start, f"the tag {shown(start.tag)} is not supported")
        result: dict[str, object] = {}
        merged: list[object] = []
        while type(event := self._following()) is not MappingEndEvent:
            key = self._key(event)
            value = self._node(self._following(), depth)
            if key is MERGE:
                merged.extend(value if isinstance(value, list) else [value])
            elif key in result:
                raise bad(event, f"the key {str(key)[:60]!r} is there twice", "DuplicateKey")
            else:
                result[str(key)] = value
        for source in merged:
            if not isinstance(source, dict):
                raise bad(start, "`<<` takes a mapping or a list of mappings")
            for key, value in source.items():
                result.setdefault(key, value)
        self._nodes += len(result) + 1
        return result

    def _key(self, event: Any) -> object:
        if type(event) is ScalarEvent and event.value == "<<" and (event.implicit[0] or event.tag == TAG + "merge"):
            return MERGE
        value = self._node(event, MAX_DEPTH - 1) if isinstance(event, ScalarEvent | AliasEvent) else event
        if not isinstance(value, str | int | float | None):
            raise bad(event, "a key must be a scalar")
        try:
            return key_of(value)
        except ValueError as error:
            raise bad(event, str(error)) from None

    def _alias(self, event: Any) -> object:
        if event.anchor not in self._anchors:
            raise bad(event, f"*{shown(event.anchor)} has no anchor before it, or it would contain itself")
        value, weight = self._anchors[event.anchor]
        self._nodes += weight
        self._aliased += weight
        if self._aliased > MAX_ALIASED:
            raise bad(event, f"aliases stand for more than {MAX_ALIASED} values", "TooLarge")
        return value

    def _scalar(self, event: Any) -> Scalar:
        text: str = event.value
        if not event.implicit[0] and event.tag in (None, "!", TAG + "str"):
            return text
        try:
            value = resolve(text)
        except ValueError as error:
            raise bad(event, str(error)) from None
        return value if event.implicit[0] else tagged(event, value)


def tagged(event: Any, value: Scalar) -> Scalar:
    """The value of a scalar with an explicit tag other than !!str."""
    tag = str(event.tag).removeprefix(TAG)
    if tag == "timestamp":
        return str(event.value)
    if tag == "binary":
        raise bad(event, "!!binary is not supported: write base64 text, which is what `data` of a Secret holds")
    if tag not in TYPES:
        raise bad(event, f"the tag {shown(str(event.tag))} is not supported")
    if not isinstance(value, TYPES[tag]) or (isinstance(value, bool) and tag != "bool"):
        raise bad(event, f"{shown(event.value)} is not a value of !!{tag}")
    return value


def shown(text: str) -> str:
    """A short form of a text from outside, safe to print."""
    return ascii(text.replace(TAG, "!!"))[1:61].rstrip("'")
