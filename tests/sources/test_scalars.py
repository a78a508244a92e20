"""Plain scalars as a real API server resolved them, and as go-yaml's rules say."""

from __future__ import annotations

import pytest

from gen.sources.scalars import key_of, resolve

ROWS: dict[str, object] = {
    # words
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "nULL": "nULL",
    "true": True,
    "yes": True,
    "On": True,
    "y": True,
    "Y": True,
    "false": False,
    "NO": False,
    "off": False,
    "n": False,
    "tRue": "tRue",
    "yess": "yess",
    # integers
    "0": 0,
    "80": 80,
    "-1": -1,
    "+5": 5,
    "0777": 511,
    "0o777": 511,
    "0x1F": 31,
    "0X1f": 31,
    "-0x10": -16,
    "0b101": 5,
    "1_000": 1000,
    "1_": 1,
    "9223372036854775808": 2**63,
    "18446744073709551615": 2**64 - 1,
    # floats
    "1.5": 1.5,
    ".5": 0.5,
    "-.5": -0.5,
    "1.": 1,
    "1e3": 1000,
    "1E-2": 0.01,
    "80.0": 80,
    "08": 8,
    "0.08": 0.08,
    "1e21": 10**21,
    "18446744073709551616": 18446744073709551616,
    "1" * 400: "1" * 400,
    "1e999": "1e999",
    # strings
    "2026-01-02": "2026-01-02",
    "2026-01-02T03:04:05Z": "2026-01-02T03:04:05Z",
    "12:30:45": "12:30:45",
    "=": "=",
    "<<": "<<",
    "1.2.3": "1.2.3",
    "10.0.0.1": "10.0.0.1",
    "0x": "0x",
    "0xg": "0xg",
    "0o8": "0o8",
    "_1": "_1",
    "1e": "1e",
    "-": "-",
    "+": "+",
    ".": ".",
    "...": "...",
    ".5_0": ".5_0",
    "8m": "8m",
    "8_0m": "8_0m",
    "\uff11\uff18": "\uff11\uff18",
    "²": "²",
    "0x" + "f" * 17: "0x" + "f" * 17,
    ".infinity": ".infinity",
}


@pytest.mark.parametrize("text", ROWS, ids=lambda text: text[:24] or "empty")
def test_scalar(text: str) -> None:
    value = resolve(text)
    assert value == ROWS[text]
    assert type(value) is type(ROWS[text])


@pytest.mark.parametrize("text", [".inf", "-.inf", "+.Inf", ".INF", ".nan", ".NaN", ".NAN"])
def test_what_json_does_not_have(text: str) -> None:
    with pytest.raises(ValueError, match="not a number that JSON has"):
        resolve(text)


@pytest.mark.parametrize(
    ("value", "key"), [("a", "a"), (True, "true"), (False, "false"), (8080, "8080"), (1.5, "1.5"), (-1, "-1")]
)
def test_key(value: str | float, key: str) -> None:
    assert key_of(value) == key


def test_null_is_no_key() -> None:
    with pytest.raises(ValueError, match="null"):
        key_of(None)
