"""The skeleton of a configuration: everything about it but the texts in its leaves.

Two configurations that differ only in values have the same skeleton; a value that leaves its place changes it.  The
lexers here are written anew, so that they do not share a mistake with the encoders that they judge.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import crossplane

Skeleton = Counter[Any]
TABLES = frozenset(("geo", "map", "split_clients", "types"))
"""Blocks of nginx whose directives are entries."""
OWN_TO_TABLES = frozenset(("default", "delete", "hostnames", "include", "proxy", "ranges", "volatile"))


def of_nginx(folder: Path) -> Skeleton:
    """Nested directives, each with its name and the number of its arguments."""
    parsed = crossplane.parse(
        str(folder / "nginx.conf"), single=False, comments=False, check_ctx=False, check_args=False
    )
    assert parsed["status"] == "ok", parsed["errors"]
    return Counter(shape for file in parsed["config"] for shape in map(of_directive, file["parsed"]))


def of_directive(directive: Mapping[str, Any], *, is_entry: bool = False) -> Any:
    """One directive with its block; the order within a block does not count.

    Shape: the name of an entry of a table is a text like others, unless it has a meaning of its own there.
    """
    name, is_table = directive["directive"], directive["directive"] in TABLES
    block = Counter(of_directive(inner, is_entry=is_table) for inner in directive.get("block", ()))
    own = "" if is_entry and name not in OWN_TO_TABLES else name
    return own, len(directive["args"]), tuple(sorted(block.items(), key=repr))


def of_haproxy(folder: Path) -> Skeleton:
    """The keyword and the number of words of each line; of maps and lists the words of each line."""
    skeleton: Skeleton = Counter()
    for path in folder.rglob("*"):
        if path.suffix == ".cfg":
            lines = (list(words(line)) for line in path.read_text().split("\n"))
            skeleton.update((line[0], len(line)) for line in lines if line)
        elif path.suffix in {".map", ".list"}:
            rows = (line.split() for line in path.read_bytes().split(b"\n"))
            skeleton.update((path.name, len(row)) for row in rows if row)
    return skeleton


def words(line: str) -> Iterator[str]:
    """The words of a line of haproxy.cfg (configuration manual, section 2.2)."""
    word, started, quote, position = "", False, "", 0
    while position < len(line):
        sign = line[position]
        position += 1
        if quote == "'" and sign != "'":
            word += sign
        elif sign == "\\" and position < len(line):
            word, started, position = word + line[position], True, position + 1
        elif sign in "'\"" and quote in {"", sign}:
            quote, started = ("" if quote else sign), True
        elif quote:
            word += sign
        elif sign == "#":
            break
        elif sign in " \t":
            if started:
                yield word
            word, started = "", False
        else:
            word, started = word + sign, True
    assert not quote, f"an open quote: {line!r}"
    if started:
        yield word


def of_envoy(folder: Path) -> Skeleton:
    """The shape of each JSON file: keys, and the types of leaves."""
    return Counter(of_json(json.loads(path.read_bytes())) for path in folder.rglob("*.json"))


def of_json(value: object) -> Any:
    """The shape of one value; the order within a list does not count."""
    if isinstance(value, dict):
        return tuple(sorted((key, of_json(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", *sorted(Counter(map(of_json, value)).items(), key=repr))
    return type(value).__name__


OF: Mapping[str, Callable[[Path], Skeleton]] = {"nginx": of_nginx, "haproxy": of_haproxy, "envoy": of_envoy}
