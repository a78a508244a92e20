from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gen.backend import Bundle, Plan
from gen.ir import Config, Host, Issue, Options, Source
from gen.report.events import Attempt, Event, Fault, IssuesFound, ProxyGone, ProxyResumed, Restored, SourceFailed
from gen.report.log import MOST_LINES, JsonLines, Log, TextLines

CONFIG = Config({"": Host("", ())}, {}, {}, {}, Options())
BUNDLE = Bundle({"proxy.conf": b"x"}, "00112233445566aa", CONFIG)
PLAN = Plan(None, BUNDLE, ("proxy.conf",), reload=True, reason="first configuration")
APPLIED = Attempt("applied", "input", 0.25, BUNDLE, PLAN)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextLines())
    logger = logging.getLogger("gen")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("gen", logging.INFO, "", 0, message, None, None)
    made.fields = fields
    made.created, made.msecs = 0.0, 7
    return made


def test_applied_is_one_line_with_what_why_and_how_long(lines: io.StringIO) -> None:
    Log().observe(APPLIED)
    (line,) = lines.getvalue().splitlines()
    assert line.partition(" INFO ")[2] == (
        "the configuration is live cause=input seconds=0.25 effect=reload "
        'reason="first configuration" files=1 digest=00112233445566aa hosts=1'
    )


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Attempt("held", "input", 0.0, error="not yet"), "WARNING on hold: nothing is changed"),
        (Attempt("rejected", "input", 0.0, error="line 3"), "ERROR the proxy refused the configuration"),
        (Attempt("failed", "retry", 0.0, error="no"), "ERROR the configuration did not go live"),
        (Restored(PLAN), "WARNING back to the last accepted configuration digest=00112233445566aa"),
        (Restored(PLAN, "port taken"), 'no way back to the last accepted configuration error="port taken"'),
        (ProxyResumed(BUNDLE), "INFO the proxy runs what it accepted last digest=00112233445566aa"),
        (ProxyResumed(None), "INFO there is no accepted configuration yet"),
        (ProxyGone("status 1", 0.5), 'ERROR the proxy is not there error="status 1" retry_in=0.5'),
        (SourceFailed("EACCES", 2.04), "ERROR the source failed error=EACCES retry_in=2.0"),
    ],
)
def test_each_event_has_its_line(lines: io.StringIO, event: Event, words: str) -> None:
    Log().observe(event)
    (line,) = lines.getvalue().splitlines()
    assert words in line


def test_an_issue_is_told_once_and_again_when_it_is_gone(lines: io.StringIO) -> None:
    log, issue = Log(), Issue(Source("Ingress", "a", "b"), "InvalidHost", "no")
    for issues in ((issue,), (issue,), ()):
        log.observe(IssuesFound(issues))
    told = [line.partition("Z ")[2] for line in lines.getvalue().splitlines()]
    assert told == [
        "WARNING error InvalidHost: no (Ingress a/b)",
        "INFO no longer: error InvalidHost: no (Ingress a/b)",
    ]


def test_a_flood_of_issues_is_cut(lines: io.StringIO) -> None:
    Log().observe(IssuesFound(tuple(Issue(Source("Ingress", "a", f"i{n}"), "X", "y") for n in range(1000))))
    told = lines.getvalue().splitlines()
    assert len(told) == MOST_LINES + 1
    assert "900 more issues" in told[-1]


def test_a_defect_is_told_without_the_values_in_its_message(lines: io.StringIO) -> None:
    try:
        raise ValueError("-----BEGIN PRIVATE KEY-----")  # noqa: TRY301
    except ValueError as error:
        Log().observe(Fault(error))
    assert "PRIVATE KEY" not in lines.getvalue()
    assert "ValueError at" in lines.getvalue()


def test_text_lines_quote_and_escape() -> None:
    line = TextLines().format(record("two\nlines", a="x y", b='say "hi"', c="", d="\x1b[31m", e=3))
    assert line == '1970-01-01T00:00:00.007Z INFO two\\nlines a="x y" b="say \\"hi\\"" d="\\x1b[31m" e=3'


def test_json_lines_are_json() -> None:
    line = json.loads(JsonLines().format(record("two\nlines", a="x", c="", e=3)))
    assert line == {"time": "1970-01-01T00:00:00.007Z", "level": "info", "message": "two\nlines", "a": "x", "e": 3}
