"""All rows of all cases, sent through one real proxy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from msgspec import Struct

from tests.live.client import Reply, Request
from tests.live.echo import EchoNet, Endpoint, Seen
from tests.live.gen import GenRun
from tests.live.manifests import Manifest
from tests.live.net import has_ipv6
from tests.live.stand_in import DATA, StandIns
from tests.proof.case import Case, Row, Send, after, identity
from tests.proof.lacks import closes_all, lack_of

Place = tuple[str, int, int]
"""A row: the name of its case, the step (0 is the beginning), its number."""
SEEN_WITHIN = 5.0
"""Seconds that another Service has to see a request, such as the copy of a mirror."""


class Answer(Struct, frozen=True):
    """The replies to one row, or why there were none.

    Shape: `others` are the requests that each of the other Services that the row names has seen; `seconds` is how long
    it took.
    """

    replies: tuple[Reply, ...] = ()
    error: str = ""
    others: Mapping[str, tuple[Seen, ...]] = {}
    seconds: float = 0.0


def answers_of(backend: str, cases: Iterable[Case], folder: Path, echo: EchoNet, *flags: str) -> dict[Place, Answer]:
    """Every row's answer from one proxy.

    Cases with the same options share a `gen run`: first those that can live together, then each of the others alone.
    """
    answers: dict[Place, Answer] = {}
    runnable = sorted((case for case in cases if can_run(case) and case.rows), key=lambda case: case.flags)
    for own_flags, group in groupby(runnable, key=lambda case: case.flags):
        own_cases = list(group)
        shared = [case for case in own_cases if not case.is_alone]
        alone = [[case] for case in own_cases if case.is_alone]
        class_name = "nginx" if "--profile=ingress-nginx" in own_flags else "gen"
        place = folder / f"{backend}-{len(answers)}"
        with GenRun(backend, place, echo, *own_flags, *flags, class_name=class_name) as gen:
            stand_ins = StandIns(echo)
            for together in ([shared] if shared else []) + alone:
                answers |= dict(play(gen, echo, stand_ins, together))
    return answers


def can_run(case: Case) -> bool:
    """Whether this machine has what a case needs."""
    return has_ipv6() or "ipv6" not in case.words("needs")


def play(gen: GenRun, echo: EchoNet, stand_ins: StandIns, cases: Iterable[Case]) -> Iterator[tuple[Place, Answer]]:
    """Apply the cases together and send their rows, then the same for their later steps, all first ones at once."""
    by_name = {case.name: case for case in cases}
    objects: Mapping[str, tuple[Manifest, ...]] = {case.name: case.objects for case in cases}
    rows: Mapping[str, tuple[Row, ...]] = {case.name: case.rows for case in cases}
    step = 0
    while rows:
        together = {identity(item): item for name in objects for item in objects[name]}
        is_closed = any(closes_all(by_name[name], gen.backend) for name in objects)
        gen.apply(stand_ins.localise(together.values()), closed=is_closed)
        for name, own in rows.items():
            for number, row in enumerate(own):
                is_able = not lack_of(by_name[name], row, gen.backend)
                yield (name, step, number), ask(gen, echo, row, is_able=is_able)
        later = {case.name: case.steps[step] for case in cases if len(case.steps) > step}
        objects = {**objects, **{name: after(objects[name], one) for name, one in later.items()}}
        rows = {name: one.requests for name, one in later.items()}
        step += 1


def ask(gen: GenRun, echo: EchoNet, row: Row, *, is_able: bool) -> Answer:
    """Send a row, and look at what the other Services see of it, unless the proxy lacks what leads to them."""
    before = {name: count(echo, name) for name in row.want.others}
    start = time.monotonic()
    try:
        replies = send(gen, row.send)
    except OSError as error:
        return Answer(error=repr(error))
    seconds = time.monotonic() - start
    others = {name: seen_by(echo, name, before[name], is_able and row.want.others[name]) for name in before}
    return Answer(replies, others=others, seconds=seconds)


def send(gen: GenRun, wish: Send) -> tuple[Reply, ...]:
    """Send the request of a row, as often as it wishes.  Raises OSError."""
    if wish.at_once:
        with ThreadPoolExecutor(wish.times) as threads:
            return tuple(threads.map(lambda _: send_one(gen, wish), range(wish.times)))
    replies: list[Reply] = []
    for _ in range(wish.times):
        cookies = cookies_of(replies[0]) if wish.keep_cookies and replies else ""
        replies.append(send_one(gen, wish, cookies))
    return tuple(replies)


def send_one(gen: GenRun, wish: Send, cookies: str = "") -> Reply:
    """Send it once."""
    request = Request(
        host=wish.host,
        target=wish.path,
        method=wish.method,
        scheme=wish.scheme,
        headers=(*wish.headers.items(), *((("Cookie", cookies),) if cookies else ())),
        body=wish.body.encode() + b"x" * wish.size,
        sni=wish.sni,
        shows=str(DATA / wish.certificate) if wish.certificate else "",
        newest_tls=wish.newest_tls,
    )
    return gen.send(request, http2=wish.http2)


def cookies_of(reply: Reply) -> str:
    """The cookies of an answer, as a client sends them back."""
    return "; ".join(value.partition(";")[0] for name, value in reply.headers if name == "set-cookie")


def endpoints(echo: EchoNet, service: str) -> list[Endpoint]:
    """The endpoints of a Service, by its name without the namespace."""
    return [one for one in list(echo.endpoints.values()) if one.service.rpartition("/")[2] == service]


def count(echo: EchoNet, service: str) -> int:
    """How many requests a Service has seen."""
    return sum(one.requests for one in endpoints(echo, service))


def seen_by(echo: EchoNet, service: str, before: int, wanted: object) -> tuple[Seen, ...]:
    """The requests that a Service has seen since; waits for the first when one is wanted."""
    deadline = time.monotonic() + SEEN_WITHIN
    while wanted and count(echo, service) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    fresh = count(echo, service) - before
    return tuple(seen for one in endpoints(echo, service) for seen in one.seen)[-fresh:] if fresh else ()
