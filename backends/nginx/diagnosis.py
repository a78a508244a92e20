"""Reading nginx's own words: whether a test passed, what it complains of, and whose object that is."""

from __future__ import annotations

import re

from gen.backend import Bundle
from gen.ir import Source

OUTPUT_LIMIT = 4000
STAMP = re.compile(r"^(?:nginx: |\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )(?=\[)", re.MULTILINE)
PROCESS = re.compile(r"(?<=\] )\d+#\d+: (?:\*\d+ )?")
COMPLAINT = re.compile(r"^\[(?:warn|error|crit|alert|emerg)\] .*", re.MULTILINE)
SECRET = re.compile(r"-----BEGIN.*|[A-Za-z0-9+/=]{64,}")

PARSED = "syntax is ok"
MACHINE = re.compile(r"\[emerg\] (?:bind|socket)\(\) .*failed")
"""A test binds its addresses for a moment.  Whether it may is a question of the machine; nginx itself will tell."""
LOST = re.compile(r"conflicting server name|protocol options redefined|duplicate")
"""Warnings that mean that part of the configuration is ignored."""
FATAL = re.compile(r"\[emerg\] (?!bind\(\))")
"""A reload or a start has failed for good; a busy address alone is tried some times."""


def complaints(text: str) -> list[str]:
    """The lines by which nginx complains, without time and process, each once, and without anything secret."""
    lines = COMPLAINT.findall(PROCESS.sub("", STAMP.sub("", text)))
    return list(dict.fromkeys(SECRET.sub("[...]", line) for line in lines))


def faults(returncode: int, output: str) -> list[str]:
    """Why a test of the configuration did not pass, empty when it did."""
    lines = complaints(output)
    lost = [line for line in lines if LOST.search(line)]
    serious = [line for line in lines if line.startswith("[emerg]") and not MACHINE.match(line)]
    if returncode == 0 or (PARSED in output and not serious and lines):
        return lost
    return serious + lost or lines or [SECRET.sub("[...]", output.strip()) or f"nginx ended with status {returncode}"]


def cut(lines: list[str]) -> str:
    """Lines as one text of bounded size."""
    return "\n".join(lines)[:OUTPUT_LIMIT]


def blame(text: str, bundle: Bundle, directory: str) -> tuple[Source, ...]:
    """The objects behind the places that a text names: `FILE:LINE` in a generation directory, or just a file."""
    places = re.findall(rf'{re.escape(directory)}/([a-z0-9./-]+?)(?::(\d+))?(?=["\s:,]|$)', text)
    found = (bundle.blame(file, int(line or 1)) for file, line in places)
    return tuple(dict.fromkeys(source for source in found if source))
