"""Which path of a request is compared: the same as nginx takes, for the same bytes; what is forwarded is what came."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator

import pytest

from gen.ir import Respond
from tests.envoy.configs import config, host, saying, to, upstream
from tests.envoy.running import Running, wait
from tests.live.client import Connection, Request
from tests.live.echo import EchoNet
from tests.live.net import HTTP_PORT, fresh_address, is_free
from tests.live.proxies import binary_of, need_proxy

PIECES = (
    *(
        "/",
        "/",
        "/",
        "a",
        "b",
        ".",
        "..",
        "...",
        "//",
        "/.",
        "/..",
        "~",
        "+",
        "@",
        ";x=1",
        "|",
        '"',
        "\\",
        "{",
        "^",
        "*",
    ),
    *(
        "%2F",
        "%2f",
        "%2e",
        "%2E",
        "%61",
        "%41",
        "%20",
        "%25",
        "%3f",
        "%23",
        "%C3%A9",
        "%7e",
        "%252e",
        "%5c",
        "%0a",
        "%7f",
    ),
    *("%", "%4", "%zz", "%00", ".well-known", "?", "?/../%zz//", "&", "=", "%ff"),
)
REFUSED = "refused"


def random_targets(count: int) -> list[str]:
    chance = random.Random(7)
    return sorted({"/" + "".join(chance.choices(PIECES, k=chance.randint(1, 7))) for _ in range(count)})


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an nginx that answers with the path that it compares."""
    need_proxy("nginx")
    address, folder = fresh_address(HTTP_PORT), tmp_path_factory.mktemp("nginx")
    server = f"server {{ listen {address}:{HTTP_PORT}; return 200 $uri; }}"
    paths = "".join(f"{kind}_temp_path {folder}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = f"daemon off; master_process off; pid {folder}/pid; events {{}} http {{ access_log off; {paths} {server} }}"
    (folder / "nginx.conf").write_text(text)
    command = [binary_of("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", str(folder / "error.log")]
    with subprocess.Popen(command) as process:
        wait("start nginx", lambda: not is_free(address, HTTP_PORT))
        yield address
        process.terminate()


def compared(address: str, targets: list[str]) -> dict[str, str | None]:
    """What nginx compares for each target; REFUSED for a 400, None for what a matcher cannot be written for."""
    found: dict[str, str | None] = {}
    for target in targets:
        with Connection(address, HTTP_PORT) as connection:
            reply = connection.exchange(Request("a.test", target))
        assert reply.status in {200, 400}
        try:
            path = reply.body.decode() if reply.status == 200 else REFUSED
        except UnicodeDecodeError:
            path = None
        found[target] = path if path and path.isprintable() else None
    return found


def test_paths_are_compared_as_nginx_does_it(running: Running, nginx: str) -> None:
    expected = compared(nginx, random_targets(1500))
    paths = {path for path in expected.values() if path and path != REFUSED}
    rules = [("exact", path, Respond(200, path)) for path in sorted(paths)]
    running.go(config([host("a.test", *rules)]))  # type: ignore[arg-type]  # mypy widens the kinds
    wrong = {}
    for target, path in expected.items():
        reply = running.get("a.test", target)
        answer = REFUSED if reply.status == 400 else reply.body.decode()
        if answer != (path or "nothing here"):
            wrong[target] = (path, answer)
    assert wrong == {}
    assert sum(path == REFUSED for path in expected.values()) > 100
    assert len(paths) > 300


def test_prefixes_take_whole_elements(running: Running) -> None:
    rules = (("/a/b/", "below b"), ("/a/b", "b"), ("/a", "a"), ("/é b", "é"), ("/c/", "below c"), ("/%25", "percent"))
    running.go(config([host("a.test", *(("prefix", path, Respond(200, text)) for path, text in rules))]))
    expected = {
        "/a": "a",
        "/a/": "a",
        "/a?b": "a",
        "/ab": "nothing here",
        "/a/b": "b",
        "/a/bc": "a",
        "/a/b/": "below b",
        "/a/b/c": "below b",
        "/a%2Fb%2fc": "below b",
        "/%61/./x/../%62/": "below b",
        "//a///b//": "below b",
        "/A": "nothing here",
        "/c": "nothing here",
        "/c/": "below c",
        "/%c3%a9%20b/x": "é",
        "/%2525/x": "percent",
        "/%25/x": "nothing here",
    }
    assert {target: running.says("a.test", target) for target in expected} == expected


def test_regexes_begin_at_the_start_without_regard_to_case(running: Running) -> None:
    running.go(config([host("a.test", ("regex", "/v[0-9]+|/w é", Respond(200, "regex")))]))
    expected = {"/v1": "regex", "/V22/x": "regex", "/W%20é/".replace("é", "%C3%A9"): "regex", "/x/v1": "nothing here"}
    assert {target: running.says("a.test", target) for target in expected} == expected


def test_what_is_forwarded_is_what_came(running: Running, echo: EchoNet) -> None:
    place = fresh_address(8080)
    echo.listen(place, 8080, "echo")
    running.go(config([host("a.test", ("prefix", "/a", to("echo"))), saying("", "any")], [upstream("echo", place)]))
    for target in ("/a%2Fb", "/x/../a", "//a//b/./c", "/%61?%zz=%00", '/a/|"{}\\^', "/a/%2e%2e/a"):
        reply = running.get("a.test", target)
        assert reply.seen, f"{target}: {reply.status}"
        assert (reply.seen.target, reply.seen.value("host")) == (target, "a.test")
