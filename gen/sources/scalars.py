"""Plain YAML scalars, read as the API server reads them.

YAML reaches Kubernetes through go-yaml and then JSON: `yes`, `on` and `y` are booleans; 0777, 0o777, 1_000, 0x1F and
1e3 are numbers; dates, 12:30:45 and `=` are strings.  Keys are strings in the end, whatever they were before.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

TRUE = ("true", "yes", "on", "y")
FALSE = ("false", "no", "off", "n")
SPELLINGS = (str.lower, str.capitalize, str.upper)

WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **{spell("null"): None for spell in SPELLINGS},
    **{spell(word): True for word in TRUE for spell in SPELLINGS},
    **{spell(word): False for word in FALSE for spell in SPELLINGS},
}
NOT_IN_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
INTEGER = re.compile(r"(?P<sign>[-+]?)(?:0[xX](?P<x>[0-9a-fA-F]+)|0[bB](?P<b>[01]+)|0[oO]?(?P<o>[0-7]+)|(?P<d>[0-9]+))")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
BASES = {"x": 16, "b": 2, "o": 8, "d": 10}
LONGEST_INTEGER = 67
"""A sign, a prefix and 64 binary digits: what is longer does not fit into 64 bits."""


def resolve(text: str) -> Scalar:
    """The value of a plain scalar.

    Raises: ValueError for `.inf` and `.nan`, which JSON does not have.
    """
    if text in WORDS:
        return WORDS[text]
    may_be_number = text[0] in "0123456789+-." and text.count(".") < 2
    return number(text) if may_be_number else text


def number(text: str) -> Scalar:
    """The number that a text stands for, or the text itself."""
    if NOT_IN_JSON.fullmatch(text):
        raise ValueError(f"{text} is not a number that JSON has")
    digits = text if text[0] == "." else text.replace("_", "")
    whole = integer(digits)
    if whole is not None:
        return whole
    if not FLOAT.fullmatch(digits):
        return text
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        return text
    return int(value) if value.is_integer() else value  # Go writes 80.0 as 80


def integer(digits: str) -> int | None:
    """The integer of a text, None where it is none or does not fit into 64 bits."""
    match = INTEGER.fullmatch(digits) if len(digits) <= LONGEST_INTEGER else None
    if match is None:
        return None
    base = str(match.lastgroup)
    figures = match[base]
    if base == "d" and figures[0] == "0" and figures != "0":
        return None  # 08: not octal, and Go's parser of integers refuses it; it is a float
    value = int(match["sign"] + figures, BASES[base])
    return value if -(2**63) <= value < 2**64 else None


def key_of(value: Scalar) -> str:
    """The key that a scalar becomes in JSON: `on: x` is `"true": x`.

    Raises: ValueError for null.
    """
    if isinstance(value, str):
        return value
    if value is None:
        raise ValueError("null cannot be a key")
    return str(value).lower() if isinstance(value, bool) else str(value)
