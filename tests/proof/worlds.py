"""Random Ingresses and random requests for them, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from msgspec import Struct

from tests.live.client import Request
from tests.live.manifests import Manifest, endpoint_slice, ingress, path, service

SEGMENTS = ("a", "b", "ab", "A", "a.b", "a-b", "~u", "index.html", "%C3%A9", "a%20b", "x'y", "100%25")
KINDS = ("Prefix", "Prefix", "Exact", "ImplementationSpecific")
SERVICES = 6


class World(Struct, frozen=True):
    """Ingresses below one domain of their own."""

    domain: str
    ingresses: tuple[Manifest, ...]
    requests: tuple[Request, ...]

    @property
    def objects(self) -> list[Manifest]:
        """The Ingresses and their Services."""
        return [*self.ingresses, *upstreams(self.domain.partition(".")[0])]


def make_world(seed: int, requests: int, *, with_catch_all: bool = False) -> World:
    """The world of that seed."""
    choose = random.Random(seed)
    domain = f"w{seed}.example"
    hosts = [domain, f"a.{domain}", f"b.{domain}", f"*.{domain}", f"*.a.{domain}", f"x.a.{domain}"]
    ingresses = tuple(
        random_ingress(choose, domain, choose.sample(hosts, choose.randint(1, 3)), number, with_catch_all)
        for number in range(choose.randint(2, 5))
    )
    targets = [item["path"] for one in ingresses for rule in one["spec"]["rules"] for item in rule["http"]["paths"]]
    asked = tuple(random_request(choose, domain, targets) for _ in range(requests))
    return World(domain, ingresses, asked)


def random_ingress(choose: random.Random, domain: str, hosts: list[str], number: int, with_catch_all: bool) -> Manifest:
    """An Ingress with some of the hosts; several may claim the same paths."""
    names = hosts + ([""] if with_catch_all and number == 0 else [])
    rules = {host: [random_path(choose) for _ in range(choose.randint(1, 5))] for host in names}
    namespace = domain.partition(".")[0]
    created = f"2026-01-{choose.randint(1, 4):02}T00:00:00Z"
    return ingress(f"i{number}", namespace, rules, created=created)


def random_path(choose: random.Random) -> Manifest:
    """A path of up to three elements, perhaps with a final slash."""
    elements = [choose.choice(SEGMENTS) for _ in range(choose.choice((0, 1, 1, 2, 2, 3)))]
    text = "/" + "/".join(elements) + ("/" if elements and choose.random() < 0.25 else "")
    return path(text, f"s{choose.randrange(SERVICES)}", kind=choose.choice(KINDS))


def random_request(choose: random.Random, domain: str, targets: list[str]) -> Request:
    """A request near to what the Ingresses name: the same path, a little more, a little less, written otherwise."""
    labels = choose.choice(("", "a.", "b.", "c.", "x.a.", "y.a.", "a.b.", "deep.x.a."))
    host = f"{labels}{domain}" if choose.random() < 0.95 else "unknown.example"
    host = choose.choice((str, str, str, str.upper))(host) + choose.choice(("", "", "", ":18080", "."))
    target = choose.choice(targets) if choose.random() < 0.85 else "/" + "/".join(choose.sample(SEGMENTS, 2))
    return Request(host, disguised(choose, varied(choose, target)) + choose.choice(("", "", "", "?", "?q=/a/b")))


def varied(choose: random.Random, target: str) -> str:
    """A path near to another one."""
    trimmed = target.rstrip("/") or "/"
    variants = (
        target,
        target,
        trimmed,
        f"{trimmed.rstrip('/')}/",
        f"{trimmed.rstrip('/')}/{choose.choice(SEGMENTS)}",
        f"{trimmed}x",
        trimmed.rpartition("/")[0] or "/",
        target.swapcase() if "%" not in target else target,
    )
    return choose.choice(variants)


def disguised(choose: random.Random, target: str) -> str:
    """The same path, or one that comes to the same, written in another way."""
    if choose.random() < 0.7:
        return target
    place = choose.choice([index for index, sign in enumerate(target) if sign == "/"])
    before, after = target[:place], target[place:]
    return choose.choice((f"{before}/{after}", f"{before}/.{after}", f"{before}/z/..{after}", encoded(choose, target)))


def encoded(choose: random.Random, target: str) -> str:
    """One letter of the path written as %XX."""
    letters = [
        index for index, sign in enumerate(target) if sign.isalpha() and "%" not in target[max(0, index - 2) : index]
    ]
    if not letters:
        return target
    place = choose.choice(letters)
    return f"{target[:place]}%{ord(target[place]):02X}{target[place + 1 :]}"


def upstreams(namespace: str) -> Iterator[Manifest]:
    """The Services of a world, each with one endpoint."""
    for number in range(SERVICES):
        yield service(f"s{number}", namespace)
        yield endpoint_slice(f"s{number}", namespace, [f"192.0.2.{number + 1}"])
