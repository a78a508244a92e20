"""Which route takes a request: the model's order against a real nginx, on random hosts."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import pytest

from backends.nginx.parts import Target
from backends.nginx.routes import locations
from backends.nginx.syntax import Word
from gen.ir import Action, Forward, Host, Match, MatchKind, Policy, Respond, Route, Source, Weighted
from tests.haproxy.configs import config, host, to, upstream
from tests.live.client import Connection, Request
from tests.live.echo import EchoNet
from tests.live.net import HTTP_PORT, fresh_address
from tests.nginx.running import Running

HOSTS, REQUESTS = 60, 25
PIECES = ("a", "b", "ab", "A", "a b", "é", "a.b", "$a", '"', "a\\b", "(a", "%41", "a*")
PATTERNS = ("/a", "/A", "/[ab]+", "/a/[^/]*$", r"/a\.b", "/(a|ab)/b", r"/.*\$", "/a b")


def takes(match: Match, path: str) -> bool:
    """The model's own words, once more."""
    if match.kind == "exact":
        return path == match.path
    if match.kind == "regex":
        return re.match(match.path, path, re.IGNORECASE) is not None
    return path == match.path or path.startswith(match.path.rstrip("/") + "/")


def normalised(path: str) -> str:
    """A decoded path without dot segments and double slashes."""
    kept: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            del kept[-1:]
        elif part not in {"", "."}:
            kept.append(part)
    return "/" + "/".join(kept) + ("/" if kept and parts[-1] in {"", ".", ".."} else "")


def paths(choice: random.Random) -> Iterator[str]:
    """Decoded paths of few pieces, so that they often meet."""
    while True:
        pieces = "/".join(choice.choices(PIECES, weights=[5, 5, 3, *[1] * (len(PIECES) - 3)], k=choice.randint(0, 3)))
        yield f"/{pieces}" + ("/" if pieces and choice.random() < 0.3 else "")


def random_host(number: int, choice: random.Random, kinds: int) -> Host:
    """A host with routes of all kinds, complete and in match order, which do so many different things."""
    some = paths(choice)
    exact = {next(some) for _ in range(choice.randint(0, 4))}
    prefixes = {next(some) for _ in range(choice.randint(0, 6))} - {"/"}
    patterns = choice.sample(PATTERNS, choice.randint(1, 3)) if choice.random() < 0.4 else []
    matches = [
        *(Match("exact", path) for path in sorted(exact)),
        *(Match("regex", pattern) for pattern in patterns),
        *(Match("prefix", path) for path in sorted(prefixes, key=lambda path: (-len(path), path))),
        Match("prefix", "/"),
    ]
    at = Source("Ingress", "ns", "random").at
    forward = Forward((Weighted("echo"),))
    policies = [Policy(upstream_host=(f"route-{place % kinds}",)) for place in range(len(matches))][:kinds]
    routes = (
        Route(match, forward, at(f"spec.rules[0].http.paths[{place}]"), policies[place % kinds])
        for place, match in enumerate(matches)
    )
    return Host(f"host-{number}.test", tuple(routes))


def request_paths(one: Host, choice: random.Random) -> list[str]:
    """Paths near those of the routes, and others."""
    near = [route.match.path for route in one.routes if route.match.kind != "regex"]
    near += [path + more for path in near for more in ("/", "/a", "x", "/./b")]
    near += [f"{path}/../a" for path in near if path.strip("/")]  # above the root there is only a 400
    near += [path.rstrip("/") or "/" for path in near]
    some = paths(choice)
    return [*choice.sample(near, min(len(near), REQUESTS)), *(next(some) for _ in range(REQUESTS))]


def wire(path: str, choice: random.Random) -> str:
    """A path as some client may send it."""
    safe = choice.choice(("/", "/a", "/$'()*+,:@-._~=!&"))
    return quote(path if path.startswith("/") else f"/{path}", safe=safe)


@pytest.mark.parametrize(("seed", "kinds"), [(1, 99), (2, 2)])
def test_random_hosts_are_routed_as_the_model_says(running: Running, echo: EchoNet, seed: int, kinds: int) -> None:
    choice = random.Random(seed)
    address = fresh_address(8080)
    echo.listen(address, 8080, "echo")
    hosts = [random_host(number, choice, kinds) for number in range(HOSTS)]
    running.go(config(hosts, (upstream("echo", address),)))
    faults = []
    for one in hosts:
        with Connection(running.address, HTTP_PORT) as connection:
            for path in request_paths(one, choice):
                target = wire(path, choice)
                reply = connection.exchange(Request(one.name, target))
                wanted = next(at for at, route in enumerate(one.routes) if takes(route.match, normalised(path)))
                got = reply.seen.value("host") if reply.seen else f"{reply.status}"
                if got != f"route-{wanted % kinds}":
                    faults.append(
                        f"{target}: {got}, not {one.routes[wanted].match}, of {[r.match for r in one.routes]}"
                    )
    assert faults == []


# ------------------------------------------------------------------ the locations that come out


def words(*rules: tuple[str, str], target: str = "group") -> list[Sequence[str]]:
    """The location words of each route."""
    routes = [(kind, path, to(f"x{number}")) for number, (kind, path) in enumerate(rules)]
    targets = {f"x{number}": Target(Word(f"{target}{number}")) for number in range(len(rules))}
    found = locations(host("a.test", *routes), targets)  # type: ignore[arg-type]
    return [location.matches for location in found]


def test_a_prefix_is_two_locations_and_each_is_given_once() -> None:
    assert words(("exact", "/a"), ("prefix", "/a"), ("prefix", "/")) == [['= "/a"'], ['"/a/"'], ['"/"']]
    assert words(("prefix", "/a/"), ("prefix", "/a"), ("prefix", "/")) == [['"/a/"'], ['= "/a"'], ['"/"']]
    assert words(("exact", "/a"), ("exact", "/a"), ("prefix", "/")) == [['= "/a"'], ['"/"']]


def test_nginx_is_kept_from_redirects_of_its_own() -> None:
    assert words(("prefix", "/a/"), ("prefix", "/")) == [['"/a/"'], ['"/"', '= "/a"']]
    assert words(("exact", "/a/b/"), ("prefix", "/a"), ("prefix", "/")) == [
        ['= "/a/b/"'],
        ['= "/a"', '"/a/"', '= "/a/b"'],
        ['"/"'],
    ]


def test_where_there_is_a_pattern_all_routes_stand_in_order() -> None:
    assert words(("exact", "/a.b"), ("regex", "/a.*"), ("prefix", "/a/"), ("prefix", "/")) == [
        [r'~ "^/a\\.b\\z"'],
        ['~* "^/a.*"'],
        ['~ "^/a/"'],
        ['"/"'],
    ]


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ((1, 1), ["50.00%", "*"]),
        ((1, 2), ["33.33%", "*"]),
        ((1, 1, 1), ["33.33%", "33.33%", "*"]),
        ((1, 99999), ["*"]),
        ((99999, 1), ["99.99%", "*"]),
        ((0, 5), []),
    ],
)
def test_weights_become_shares(weights: tuple[int, ...], shares: list[str]) -> None:
    split = Forward(tuple(Weighted(f"u{number}", weight) for number, weight in enumerate(weights)))
    targets = {f"u{number}": Target(Word(f"group-{number}")) for number in range(len(weights))}
    (location,) = locations(host("a.test", ("prefix", "/", split)), targets)
    assert [share for share, _ in location.handler.shares] == shares


def test_own_answers_need_no_upstream() -> None:
    (location,) = locations(host("a.test", ("prefix", "/", Respond(200, "x"))), {})
    assert location.handler.in_short == 'return 200 "x";'


def test_a_place_that_changes_nothing_is_left_out() -> None:
    rules: list[tuple[MatchKind, str, Action]] = [
        ("exact", "/x", to("u")), ("prefix", "/a/b", to("u")), ("prefix", "/a", to("v")), ("prefix", "/c/", to("v")),
        ("exact", "/a/b/d/", to("u")), ("exact", "/e/", to("v")), ("prefix", "/", to("u")),
    ]  # fmt: skip
    found = locations(host("a.test", *rules), {name: Target(Word(name)) for name in "uv"})
    assert [[*each.matches] for each in found] == [
        [], ['= "/a/b"', '"/a/b/"'], ['= "/a"', '"/a/"'], ['"/c/"'], [], ['= "/e/"'], ['"/"', '= "/c"', '= "/e"'],
    ]  # fmt: skip
