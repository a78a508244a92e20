"""Random YAML: values, the ways to write them, and texts that may be anything."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import strategies as st

from gen.sources.scalars import resolve

NAMES = st.from_regex(r"[a-z][a-zA-Z0-9./-]{0,12}", fullmatch=True)
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029"), max_size=20),
    NAMES,
    st.sampled_from(
        ["y", "on", "0777", "1e3", "2026-01-02", "12:30", "=", "<<", "~", "", "a: b", "a #b", "- a", "---"]
    ),
    st.sampled_from(
        ["one\ntwo\n", "one\n\ntwo", " indented\nless\n", "#!/bin/sh\necho\n", "trailing \n", "\n\n", "\ttab\n"]
    ),
)
SCALARS = st.one_of(
    TEXTS, st.booleans(), st.none(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXTS, inner, max_size=4),
    max_leaves=20,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=5)
PLAIN_VALUES = st.recursive(
    NAMES
    | st.integers(0, 99)
    | st.booleans()
    | st.sampled_from(["a b", "words that go on " * 3, "one\ntwo\n", "a: b", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
PLAIN_DOCUMENTS = st.dictionaries(NAMES, PLAIN_VALUES, min_size=1, max_size=4)


class Dumper(yaml.SafeDumper):
    """Quotes what Kubernetes would take for something else than a string."""

    indented = False

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless and not self.indented)

    def ignore_aliases(self, _data: object) -> bool:
        return True


class IndentedDumper(Dumper):
    """Writes lists deeper than their keys."""

    indented = True


def represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        is_plain = resolve(text) == text
    except ValueError:
        is_plain = False
    literal = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=literal if is_plain else '"')


for dumper_type in (Dumper, IndentedDumper):
    dumper_type.add_representer(str, represent_str)

STYLES = st.fixed_dictionaries(
    {
        "Dumper": st.sampled_from([Dumper, IndentedDumper]),
        "default_flow_style": st.sampled_from([False, False, None, True]),
        "width": st.just(10_000),  # PyYAML folds texts with odd characters into something else
        "indent": st.sampled_from([2, 4]),
        "explicit_start": st.booleans(),
        "allow_unicode": st.booleans(),
        "sort_keys": st.booleans(),
    }
)


def dump(value: object, style: dict[str, Any]) -> str:
    """The value as YAML."""
    return str(yaml.dump(value, **style))


SNIPPETS = [
    *(
        "",
        " ",
        "# c",
        "---",
        "--- # c",
        "...",
        "%YAML 1.1",
        "text",
        "-",
        "- ",
        "- a",
        "- - a",
        "- k: v",
        "- k:",
        "-   k: v",
    ),
    *(
        "- |",
        "- [a]",
        "- 'q': v",
        "- # c",
        "-a",
        "k:",
        "k: v",
        "k: v # c",
        "k: v #",
        "k: v#c",
        "k: a: b",
        "k: a:",
        "k: :a",
    ),
    *(
        "k : v",
        "k:v",
        "j: w",
        "'q': v",
        '"q": v',
        "k: 'a'",
        "k: 'a''b'",
        "k: 'a",
        'k: "b"',
        'k: "b\\n"',
        'k: "b',
        "k: 'a' b",
    ),
    *(
        "k: |",
        "k: |-",
        "k: |+",
        "k: |2",
        "k: >",
        "k: | # c",
        "k: ''",
        "k: [a, b]",
        "k: [a",
        "k: {a: 1}",
        "k: {a: 1}: b",
        "k: []",
    ),
    *("k: {} # c", "k: {a: 1, a: 2}", "k: [a] b", "? x", ": y", "&a k: v", "k: &a v", "k: *a", "k: !t v", "k: !!str 1"),
    *(
        "\tk: v",
        "k:\tv",
        "k: a\tb",
        "k: -",
        "k: - a",
        "k: -1",
        "k: ---",
        "k: ...",
        "k: %a",
        "k: @a",
        "k: `a",
        "k: ,a",
        "k: a, b",
    ),
    *(
        "<<: {a: 1}",
        "k: <<",
        "k: ~",
        "k: yes",
        "on: x",
        "k: 0777",
        "k: .inf",
        "k: é",
        "k.a/b-c: v",
        "1: x",
        "k: v  ",
        "k: a  b",
    ),
]
LINES = st.builds(lambda indent, text: " " * indent + text, st.integers(0, 6), st.sampled_from(SNIPPETS))
TEXT_OF_LINES = st.lists(LINES, min_size=1, max_size=10).map("\n".join)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A dumped document with a few lines taken out, doubled, moved, indented otherwise, or replaced."""
    style = {**draw(STYLES), "default_flow_style": draw(st.sampled_from([False, False, None])), "width": 20}
    lines = dump(draw(PLAIN_DOCUMENTS), style).split("\n")
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["drop", "double", "deeper", "shallower", "insert", "cut"]))
        if change == "drop":
            del lines[place : place + 1]
        elif change == "double":
            lines.insert(place, lines[place])
        elif change == "deeper":
            lines[place] = draw(st.sampled_from([" ", "  ", "- "])) + lines[place]
        elif change == "shallower":
            lines[place] = lines[place][1:]
        elif change == "insert":
            lines.insert(place, draw(LINES))
        else:
            lines[place] = lines[place][: draw(st.integers(0, len(lines[place])))]
        if not lines:
            lines.append("")
    return "\n".join(lines)
