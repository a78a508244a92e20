"""Exact line numbers: which line of a document a field stands on.

Objects are read without them, which is much cheaper; a document is read once more only to tell of it.
"""

from __future__ import annotations

import yaml
from yaml.events import (
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from gen.sources.entries import Steps
from gen.sources.scalars import key_of, resolve
from gen.sources.yamlevents import MAX_DEPTH, Parser, parser_of

Lines = dict[Steps, int]


def lines_of(text: str) -> dict[int, Lines]:
    """The line (from 0) of every field, as far as the text can be read; by the first lines of its documents."""
    documents: dict[int, Lines] = {}
    try:
        parser = parser_of(text)
        try:
            while (event := parser.get_event()) is not None:
                if type(event) is DocumentStartEvent:
                    root = parser.get_event()
                    walk(parser, root, (), documents.setdefault(root.start_mark.line, {}))
        finally:
            parser.dispose()
    except (yaml.YAMLError, UnicodeEncodeError):
        pass  # what was found before is still right
    return documents


def walk(parser: Parser, start: object, path: Steps, lines: Lines) -> None:
    """Note the lines of the fields below one node."""
    if type(start) is MappingStartEvent and len(path) < MAX_DEPTH:
        while type(event := parser.get_event()) is not MappingEndEvent:
            below = (*path, key_in(event))
            lines[below] = event.start_mark.line
            walk(parser, parser.get_event(), below, lines)
    elif type(start) is SequenceStartEvent and len(path) < MAX_DEPTH:
        number = 0
        while type(event := parser.get_event()) is not SequenceEndEvent:
            below = (*path, number)
            lines[below] = event.start_mark.line
            walk(parser, event, below, lines)
            number += 1
    elif type(start) in (MappingStartEvent, SequenceStartEvent):
        pass_over(parser)


def pass_over(parser: Parser) -> None:
    """Read on to the end of a node whose start was read."""
    depth = 1
    while depth:
        kind = type(parser.get_event())
        depth += (kind in (MappingStartEvent, SequenceStartEvent)) - (kind in (MappingEndEvent, SequenceEndEvent))


def key_in(event: object) -> str:
    """The key that an event stands for; one that is none has been refused before."""
    if not isinstance(event, ScalarEvent):
        return ""
    try:
        return key_of(resolve(event.value)) if event.implicit[0] else str(event.value)
    except ValueError:
        return ""


def nearest(lines: Lines, path: Steps, default: int) -> int:
    """The line of a path, else that of the nearest field around it."""
    for length in range(len(path), 0, -1):
        steps = path[:length]
        for candidate in (steps, (*steps[:-1], str(steps[-1]))):
            if candidate in lines:
                return lines[candidate]
    return default
