"""Text in the syntax of nginx's configuration files, read as nginx reads it, into a tree."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gen.dialects.values import shown
from gen.errors import BadValue
from gen.policy import Directive

LIMIT = 16 * 1024
DEPTH = 3

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\n\t]")
_BETWEEN = re.compile(r"(?:\s|#[^\n]*)*")
_SIGN = re.compile(r"[;{}]")
_QUOTED = re.compile(r""""((?:[^"\\]|\\.)*)"(?=[\s;{)])|'((?:[^'\\]|\\.)*)'(?=[\s;{)])""", re.DOTALL)
_BARE = re.compile(r"""(?!["'])(?:\$\{|\\.|[^\s;{\\])+""", re.DOTALL)
_ESCAPE = re.compile(r"""\\(["'\\trn])""")
_MEANINGS = {"t": "\t", "r": "\r", "n": "\n"}

Token = tuple[str, bool]
"""A sign or a word, and whether it is a word."""


def parse(text: str) -> tuple[Directive, ...]:
    """The directives of a text, their arguments without quotes and escapes; variables in them stay as they are.

    Raises: BadValue (SnippetDenied) for what nginx would not read as whole directives in one block.
    """
    text = text.replace("\r\n", "\n")
    if len(text) > LIMIT or _UNPRINTABLE.search(text):
        raise denied("it is too long or has characters that are not printable ASCII")
    return _block(_tokens(text), 0)


def denied(why: str) -> BadValue:
    """The refusal of a text."""
    return BadValue("SnippetDenied", f"the snippet cannot be used: {why}")


def _tokens(text: str) -> Iterator[Token]:
    place = 0
    while found := _BETWEEN.match(text, place):
        if (place := found.end()) == len(text):
            return
        if sign := _SIGN.match(text, place):
            yield sign[0], False
        elif (sign := _QUOTED.match(text, place)) or (sign := _BARE.match(text, place)):
            word = next((group for group in sign.groups() if group is not None), sign[0])
            yield _ESCAPE.sub(lambda escape: _MEANINGS.get(escape[1], escape[1]), word), True
        else:
            raise denied(f"{shown(text[place : place + 20])} is not nginx's syntax")
        place = sign.end()


def _block(tokens: Iterator[Token], depth: int) -> tuple[Directive, ...]:
    found: list[Directive] = []
    words: list[str] = []
    for piece, is_word in tokens:
        if is_word:
            words.append(piece)
        elif piece == ";" and words:
            found.append(Directive(words[0], tuple(words[1:])))
            words = []
        elif piece == "{" and words and depth < DEPTH:
            found.append(Directive(words[0], tuple(words[1:]), _block(tokens, depth + 1)))
            words = []
        elif piece == "}" and not words and depth:
            return tuple(found)
        else:
            raise denied("its braces or semicolons do not match")
    if words or depth:
        raise denied("it ends within a directive or a block")
    return tuple(found)
