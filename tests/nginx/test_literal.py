"""Hostile strings in every field, on a real nginx: what is written arrives byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from backends.nginx.parts import Target
from backends.nginx.routes import locations
from backends.nginx.syntax import Word
from gen.errors import Rejected
from gen.ir import Host, Match, Policy, Redirect, Respond, Route, Source
from tests.haproxy.configs import NOT_FOUND, config, to, upstream
from tests.live.client import Connection, Reply, Request
from tests.live.echo import EchoNet
from tests.live.net import HTTP_PORT, fresh_address
from tests.nginx.running import Running

CORPUS = Path(__file__).parent.parent / "data" / "nasty-strings.jsonl"
STRINGS = [text for line in CORPUS.read_text().splitlines() if (text := json.loads(line)["s"]) is not None]
SOURCE = Source("Ingress", "ns", "literal")
PATTERN = Route(Match("regex", "/a pattern makes all routes patterns"), Respond(200, "pattern"), SOURCE)
LAST = Route(Match("prefix", "/"), NOT_FOUND, SOURCE)
UNASKED = re.compile(r"//|/\.\.?(/|\Z)")
PATH_SAFE = "/!$&'()*+,:@-._~="


class Case(Struct, frozen=True):
    """A string in a field: the routes that hold it, the path to ask for, and what then arrives."""

    field: str
    text: str
    wanted: str
    routes: tuple[Route, ...]
    target: str = "/literal"

    def arrived(self, reply: Reply) -> str | None:
        """What came of the string."""
        if self.field == "upstream host":
            return decoded(reply.seen.value("host") if reply.seen else None)
        return decoded(reply.value("location")) if self.field.startswith("redirect") else reply.body.decode()


def decoded(header: str | None) -> str | None:
    """A header as text."""
    return None if header is None else header.encode("latin-1").decode()


def cases(text: str) -> Iterator[Case]:
    """A string in each field; a sign at either end keeps its blanks from being trimmed on the way."""
    at, url, host = Match("exact", "/literal"), f"https://u/{text};", f"h{text};"
    path, target = f"/{text}", quote(f"/{text}", errors="replace")
    yield Case("body", text, text, (Route(at, Respond(200, text), SOURCE),))
    yield Case("redirect url", text, url, (Route(at, Redirect(301, url), SOURCE),))
    yield Case("upstream host", text, host, (Route(at, to("echo"), SOURCE, Policy(upstream_host=(host,))),))
    by_path = f"http://{{host}}{quote(path, safe=PATH_SAFE, errors='replace')}"
    yield Case("redirect path", text, by_path, (Route(at, Redirect(301, path=path), SOURCE),))
    if not UNASKED.search(path):
        exact = Route(Match("exact", path), Respond(200, "found"), SOURCE)
        prefix = Route(Match("prefix", path), Respond(200, "found"), SOURCE)
        yield Case("exact", text, "found", (exact,), target)
        yield Case("exact pattern", text, "found", (exact, PATTERN), target)
        yield Case("prefix", text, "found", (prefix,), f"{target}/x")
        yield Case("prefix pattern", text, "found", (PATTERN, prefix), f"{target}/x")


def is_written(case: Case) -> bool:
    """Whether the renderer takes it."""
    try:
        locations(Host("a.test", (*case.routes, LAST)), {"echo": Target(Word("echo"))})
    except Rejected:
        return False
    return True


def test_what_is_written_arrives(running: Running, echo: EchoNet) -> None:
    address = fresh_address(8080)
    echo.listen(address, 8080, "echo")
    written = [case for text in STRINGS for case in cases(text) if is_written(case)]
    named = {f"case-{number}.test": case for number, case in enumerate(written)}
    running.go(config([Host(name, (*case.routes, LAST)) for name, case in named.items()], [upstream("echo", address)]))
    assert len(named) > 6 * len(STRINGS)
    faults = []
    for name, case in named.items():
        with Connection(running.address, HTTP_PORT) as connection:
            arrived = case.arrived(connection.exchange(Request(name, case.target)))
        if arrived != case.wanted.replace("{host}", name):
            faults.append((case.field, case.text, arrived))
    assert faults == []


def test_what_cannot_be_written_is_refused() -> None:
    for text in ("a\x00b", "a\rb", "a\x1bb", "a\x7fb", "\ud800"):
        assert not any(is_written(case) for case in cases(text)), text
    assert not any(is_written(case) for case in cases("a\nb") if case.field != "body")
