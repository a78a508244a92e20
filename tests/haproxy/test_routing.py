"""Who answers: hosts, paths and their precedence, on a real HAProxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gen.ir import Host, Respond
from tests.haproxy.configs import config, host
from tests.haproxy.running import Running
from tests.live.client import Request


def says(text: str) -> Respond:
    return Respond(200, text)


HOSTS: tuple[Host, ...] = (
    host(
        "paths.test",
        ("exact", "/foo", says("exact foo")),
        ("exact", "/foo/deep", says("exact deep")),
        ("exact", "/", says("exact root")),
        ("prefix", "/foo/deep", says("prefix deep")),
        ("prefix", "/slash/", says("prefix slash/")),
        ("prefix", "/foo", says("prefix foo")),
        ("prefix", "/a b/é", says("blank")),
        ("prefix", "/", says("rest")),
    ),
    host("both.test", ("prefix", "/x/", says("below")), ("prefix", "/x", says("itself"))),
    host("exact.only.test", ("exact", "/foo", says("exact"))),
    host("bytes.test", *[("exact", f"/{char}x", says(f"byte {ord(char)}")) for char in map(chr, range(33, 127))
                         if char not in "./"]),
    host("*.wild.test", ("prefix", "/", says("wild"))),
    host("named.wild.test", ("prefix", "/only", says("named"))),
    host(
        "regex.test",
        ("exact", "/item/1", says("exact")),
        ("regex", "/item/[0-9]+$", says("number")),
        ("regex", r"/it em/\d", says("blank")),
        ("prefix", "/item", says("prefix")),
        ("prefix", "/", says("rest")),
    ),
    host("*.regex.test", ("regex", "/x(y|z)", says("wild regex")), ("prefix", "/", says("wild rest"))),
    host("", ("exact", "/any", says("any exact")), ("prefix", "/", says("any"))),
)  # fmt: skip


@pytest.fixture(scope="module")
def router(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(binary, tmp_path_factory.mktemp("routing")) as running:
        running.go(config(HOSTS))
        yield running


TABLE = [
    # exact before prefix, the longest prefix, whole elements
    ("paths.test", "/foo", "exact foo"),
    ("paths.test", "/foo/", "prefix foo"),
    ("paths.test", "/foo/bar", "prefix foo"),
    ("paths.test", "/foobar", "rest"),
    ("paths.test", "/fo", "rest"),
    ("paths.test", "/foo/deep", "exact deep"),
    ("paths.test", "/foo/deep/", "prefix deep"),
    ("paths.test", "/foo/deeper", "prefix foo"),
    ("paths.test", "/", "exact root"),
    ("paths.test", "/FOO", "rest"),
    # a prefix with a final slash takes what lies below, not itself
    ("paths.test", "/slash", "rest"),
    ("paths.test", "/slash/", "prefix slash/"),
    ("paths.test", "/slash/x", "prefix slash/"),
    ("both.test", "/x", "itself"),
    ("both.test", "/x/", "below"),
    ("both.test", "/x/y", "below"),
    ("both.test", "/xy", None),
    # the query never counts
    ("paths.test", "/foo?/foo/deep", "exact foo"),
    ("paths.test", "/foo?", "exact foo"),
    ("paths.test", "/?a=/foo", "exact root"),
    # the path is compared decoded, with slashes merged and dot segments resolved
    ("paths.test", "/%66oo", "exact foo"),
    ("paths.test", "/f%6F%6f", "exact foo"),
    ("paths.test", "//foo", "exact foo"),
    ("paths.test", "/foo//deep", "exact deep"),
    ("paths.test", "/foo%2Fdeep", "exact deep"),
    ("paths.test", "/foo%2fdeep", "exact deep"),
    ("paths.test", "/bar/../foo", "exact foo"),
    ("paths.test", "/bar/%2e%2E/foo", "exact foo"),
    ("paths.test", "/bar/%2e./foo/./deep", "exact deep"),
    ("paths.test", "/foo/deep/..", "prefix foo"),
    ("paths.test", "/foo/.", "prefix foo"),
    ("paths.test", "/foo/x/..", "prefix foo"),
    ("paths.test", "/foo/...", "prefix foo"),
    ("paths.test", "/foo/.hidden", "prefix foo"),
    ("paths.test", "/../../foo", "exact foo"),
    ("paths.test", "/a%20b/%C3%A9", "blank"),
    ("paths.test", "/a%20b/%c3%a9/x", "blank"),
    ("paths.test", "/a+b/%C3%A9", "rest"),
    ("paths.test", "/a%2520b/%C3%A9", "rest"),
    # hosts: without regard to case, port and final dot; one label for a wildcard; no way from one host to another
    ("PATHS.Test", "/foo", "exact foo"),
    ("paths.test:8080", "/foo", "exact foo"),
    ("paths.test.", "/foo", "exact foo"),
    ("Paths.test.:80", "/foo", "exact foo"),
    ("one.wild.test", "/x", "wild"),
    ("ONE.wild.test:1", "/x", "wild"),
    ("two.one.wild.test", "/x", "any"),
    ("wild.test", "/x", "any"),
    (".wild.test", "/x", "any"),
    ("named.wild.test", "/only/x", "named"),
    ("named.wild.test", "/x", None),
    ("exact.only.test", "/foo", "exact"),
    ("exact.only.test", "/foo/", None),
    ("exact.only.test", "/any", None),
    ("unknown.test", "/any", "any exact"),
    ("unknown.test", "/x", "any"),
    ("127.0.0.1", "/x", "any"),
    ("[::1]:80", "/x", "any"),
    ("*", "/x", "any"),
    ("~regex.test", "/item", "any"),
    ("x|", "/x", "any"),
    # regexes: after exact paths, before prefixes, decoded, without regard to case, anchored at the start
    ("regex.test", "/item/1", "exact"),
    ("regex.test", "/item/22", "number"),
    ("regex.test", "/ITEM/22", "number"),
    ("regex.test", "/item/22/x", "prefix"),
    ("regex.test", "/item/x", "prefix"),
    ("regex.test", "/x/item/22", "rest"),
    ("regex.test", "/it%20em/7", "blank"),
    ("regex.test", "/i%74em//22", "number"),
    ("one.regex.test", "/xy", "wild regex"),
    ("one.regex.test", "/x", "wild rest"),
]


@pytest.mark.parametrize(("name", "target", "wanted"), TABLE, ids=[f"{name}{target}" for name, target, _ in TABLE])
def test_who_answers(router: Running, name: str, target: str, wanted: str | None) -> None:
    reply = router.get(name, target)
    assert (reply.status, reply.body.decode()) == ((200, wanted) if wanted else (404, "no such page\n"))


@pytest.mark.parametrize("spelling", ["{0}", "%{1:02X}", "%{1:02x}"], ids=["plain", "upper", "lower"])
def test_every_byte_however_it_is_spelled(router: Running, spelling: str) -> None:
    for char in map(chr, range(33, 127)):
        if char in "./" or (spelling == "{0}" and char in "?#%"):
            continue
        target = f"/{spelling.format(char, ord(char))}x"
        assert router.get("bytes.test", target).body == f"byte {ord(char)}".encode(), target


@pytest.mark.parametrize("target", ["/%zz", "/%", "/a%2", "/x%00y", "*"])
def test_what_has_no_path_is_refused(router: Running, target: str) -> None:
    assert router.get("paths.test", target).status == 400


@pytest.mark.parametrize("size", [2731, 6000, 14000])
def test_what_grows_too_long_is_refused(router: Running, size: int) -> None:
    assert router.get("paths.test", "/" + "|" * size).status == 414
    assert router.get("paths.test", "/" + "a" * 8000).status == 200


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_methods_that_are_not_for_us(router: Running, method: str) -> None:
    target = "paths.test:80" if method == "CONNECT" else "/foo"
    reply = router.send(Request("paths.test:80", target, method=method))
    assert reply.status in {400, 405}


def test_a_request_without_host(router: Running) -> None:
    for version, wanted in ((b"1.1", 400), (b"1.0", 200)):
        with router.connect() as connection:
            connection.write(b"GET /any HTTP/%s\r\n\r\n" % version)
            assert connection.read_reply().status == wanted
