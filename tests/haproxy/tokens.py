"""A reader of HAProxy's syntax that is written from its manual, not from our encoders."""

from __future__ import annotations

from collections.abc import Iterator

ESCAPES = {"n": "\n", "r": "\r", "t": "\t", " ": " ", "#": "#", "\\": "\\", '"': '"', "'": "'"}


def words(line: str) -> list[str]:
    """The words of a line of haproxy.cfg; raises ValueError where HAProxy would complain or expand something."""
    found: list[str] = []
    word: str | None = None
    rest = iter(line)
    for char in rest:
        if char in " \t":
            found += [] if word is None else [word]
            word = None
        elif char == "#":
            break
        elif char == "'":
            word = (word or "") + "".join(until_quote(rest))
        elif char == '"':
            word = (word or "") + "".join(in_double_quotes(rest))
        elif char == "\\":
            word = (word or "") + ESCAPES[next(rest)]
        else:
            word = (word or "") + char
    return found if word is None else [*found, word]


def until_quote(rest: Iterator[str]) -> Iterator[str]:
    """All up to the next single quote."""
    for char in rest:
        if char == "'":
            return
        yield char
    raise ValueError("the quote does not end")


def in_double_quotes(rest: Iterator[str]) -> Iterator[str]:
    """All up to the next double quote, with what backslashes stand for."""
    for char in rest:
        if char == '"':
            return
        if char == "$":
            raise ValueError("a variable of the environment")
        yield ESCAPES[next(rest)] if char == "\\" else char
    raise ValueError("the quote does not end")


def literal(text: str) -> str:
    """What a log-format word stands for that has no variables; raises ValueError for any other."""
    plain, parts = "", iter(text)
    for char in parts:
        if char == "%" and next(parts, "") != "%":
            raise ValueError("a variable")
        plain += char
    return plain


def map_row(line: str) -> tuple[str, str]:
    """Key and value of a row of a map; raises ValueError for a comment."""
    key, _, value = line.strip(" \t").partition(" ")
    if key.startswith("#"):
        raise ValueError("a comment")
    return key, value.strip(" \t")


def skeleton(configuration: str) -> list[tuple[str, ...]]:
    """What no tenant may change: keywords and the number of words of each line."""
    shape = []
    for line in configuration.split("\n"):
        found = words(line)
        depth = 2 if found[:1] in (["http-request"], ["http-response"]) else 1
        shape.append((*found[:depth], str(len(found))))
    return shape
