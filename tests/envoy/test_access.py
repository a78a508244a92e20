"""Who may pass a real Envoy."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from gen.ir import Policy
from gen.policy import BasicAuth, ExternalAuth, Variable
from tests.envoy.configs import config, host, to, upstream
from tests.envoy.running import Running
from tests.live.client import Reply
from tests.live.echo import EchoNet
from tests.live.net import fresh_address

PASSWORD = "a secret with ümlauts"
HASHES = {
    "apr1": "$apr1$dx8q1ab$0AGHIp/xl5eX0Ea/Q/PuD/",
    "md5": "$1$abcdefgh$aJaCMz7rinQdeUZJUDmKW1",
    "sha256": "$5$rounds=1000$saltsalt$PKotzzN7W5IyWPcRazP27zpHSXTjPtCR3kqHI4dNB31",
    "sha512": (
        "$6$saltsalt12345678$BJtjWT2HJTAE0kiDfObfkAEDMRSin65nwR3wo/KR33GS/zGOv1oTY0NnArLuBBwc30PChGPTiUcCKo/7J7Hf0/"
    ),
    "bcrypt": "$2y$05$abcdefghijklmnopqrstuuMHOEXZJMko5tAeXZM5/7gmY.dbYnatW",
    "bcrypt-b": "$2b$04$abcdefghijklmnopqrstuuzer15fpFUiBKVwoeANHbM4JMNIfxdjS",
    "sha": "{SHA}5fysqXfLDcXlO6cObUs/b/4jbm4=",
    "ssha": "{SSHA}e1fYqgzU7yttXEdLotz4s5z++J1zYWx0",
    "plain": "{PLAIN}" + PASSWORD,
    "unknown": "$y$j9T$abc$def",
    "empty": "",
}
"""Users with that password, in all forms."""

USERS = BasicAuth('the "realm"', tuple(sorted(HASHES.items())))
NOT_HERE = ("10.0.0.0/8", "2001:db8::/32")
HERE = ("10.0.0.0/8", "127.0.0.0/8")


def external(upstream: str, **others: object) -> ExternalAuth:
    return ExternalAuth(upstream, ("auth.test:81",), ("/check?from=", Variable("uri")), **others)  # type: ignore[arg-type]


POLICIES = {
    "open": Policy(),
    "here": Policy(allow=HERE),
    "elsewhere": Policy(allow=NOT_HERE),
    "nobody": Policy(allow=()),
    "denied": Policy(allow=HERE, deny=("127.0.0.1",)),
    "not-denied": Policy(deny=NOT_HERE),
    "basic": Policy(auth_basic=USERS),
    "no-users": Policy(auth_basic=BasicAuth("x", ())),
    "asked": Policy(auth_external=external("auth", response_headers=("X-User", "X-None"))),
    "dead": Policy(auth_external=external("dead")),
    "gone": Policy(auth_external=external("gone")),
    "signin": Policy(auth_external=external("auth", signin=("https://login.test/?rd=", Variable("request_uri")))),
    "both": Policy(auth_basic=USERS, auth_external=external("auth")),
    "any-here": Policy(allow=HERE, auth_basic=USERS, satisfy_any=True),
    "any-elsewhere": Policy(allow=NOT_HERE, auth_basic=USERS, satisfy_any=True),
    "any-denied": Policy(allow=HERE, deny=("127.0.0.1",), auth_basic=USERS, satisfy_any=True),
    "any-asked": Policy(auth_basic=USERS, auth_external=external("auth"), satisfy_any=True),
    "any-network": Policy(allow=NOT_HERE, satisfy_any=True),
}


@pytest.fixture(scope="module")
def proxy(binary: str, echo: EchoNet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    places = {name: fresh_address(8080) for name in ("echo", "auth")}
    for name, address in places.items():
        echo.listen(address, 8080, name)
    upstreams = [upstream(name, address) for name, address in places.items()]
    upstreams += [upstream("dead", fresh_address(8080)), upstream("gone")]
    hosts = [host(f"{name}.test", ("prefix", "/", to("echo")), policy=policy) for name, policy in POLICIES.items()]
    with Running(binary, tmp_path_factory.mktemp("envoy") / "state") as running:
        running.go(config(hosts, upstreams))
        yield running


def password(user: str, secret: str = PASSWORD) -> tuple[str, str]:
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode())


def status(proxy: Running, name: str, *headers: tuple[str, str], path: str = "/") -> int:
    return proxy.get(f"{name}.test", path, *headers).status


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        *(("open", 200), ("here", 200), ("elsewhere", 403), ("nobody", 403), ("denied", 403), ("not-denied", 200)),
        *(("any-here", 200), ("any-elsewhere", 401), ("any-denied", 401), ("any-network", 403)),
    ],
)
def test_networks(proxy: Running, name: str, wanted: int) -> None:
    assert status(proxy, name) == wanted


@pytest.mark.parametrize("user", HASHES)
def test_passwords(proxy: Running, user: str) -> None:
    wanted = 401 if user in {"unknown", "empty"} else 200
    assert [status(proxy, "basic", password(user)) for _ in range(2)] == [wanted, wanted]
    assert status(proxy, "basic", password(user, PASSWORD + "x")) == 401
    assert status(proxy, "basic", password(user, "")) == 401


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !", "Basic Zm9v", "Bearer x", password("nobody")[1], password("", "")[1]]
)
def test_a_user_is_asked_for(proxy: Running, header: str) -> None:
    reply = proxy.get("basic.test", "/", *([("Authorization", header)] if header else []))
    assert reply.status == 401
    assert dict(reply.headers)["www-authenticate"] == 'Basic realm="the \\"realm\\""'
    assert status(proxy, "no-users", password("apr1")) == 401


def test_the_upstream_does_not_get_the_password(proxy: Running) -> None:
    assert "authorization" not in names(proxy.get("basic.test", "/", password("sha")))
    assert "authorization" in names(proxy.get("open.test", "/", password("sha")))


def test_paths_that_are_not_canonical_are_asked_for_passwords(proxy: Running) -> None:
    for path in ("//", "/.", "/a/../b", "/%2e/", "/%61"):
        assert status(proxy, "basic", path=path) == 401


def test_either_is_enough(proxy: Running) -> None:
    assert status(proxy, "any-elsewhere", password("sha")) == 200
    assert status(proxy, "any-denied", password("sha")) == 200
    assert status(proxy, "any-asked") == 200
    assert status(proxy, "both") == 401
    assert status(proxy, "both", password("sha")) == 200


@pytest.mark.parametrize(("name", "wanted"), [("open", 101), ("elsewhere", 403), ("basic", 401), ("dead", 500)])
def test_upgrades_are_asked_too(proxy: Running, name: str, wanted: int) -> None:
    upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
    lines = "".join(f"{key}: {value}\r\n" for key, value in (*upgrade, ("Sec-WebSocket-Version", "13")))
    with proxy.connect() as connection:
        connection.write(f"GET / HTTP/1.1\r\nHost: {name}.test\r\n{lines}\r\n".encode())
        assert connection.read_reply(has_body=wanted != 101).status == wanted


@pytest.mark.parametrize("name", ["dead", "gone"])
def test_who_cannot_be_asked_lets_nobody_pass(proxy: Running, name: str) -> None:
    assert status(proxy, name) == 500


def names(reply: Reply) -> list[str]:
    assert reply.seen, reply.body
    return [name for name, _ in reply.seen.headers]
