"""All rows of all cases, sent through one real proxy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

from msgspec import Struct

from tests.live.client import Reply, Request
from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.manifests import Manifest
from tests.live.net import has_ipv6
from tests.live.stand_in import StandIns
from tests.proof.case import Case, Row, Send, after

Place = tuple[str, int, int]
"""A row: the name of its case, the step (0 is the beginning), its number."""


class Answer(Struct, frozen=True):
    """The replies to one row, or why there were none."""

    replies: tuple[Reply, ...] = ()
    error: str = ""


def answers_of(backend: str, cases: Iterable[Case], folder: Path, echo: EchoNet, *flags: str) -> dict[Place, Answer]:
    """Every row's answer from one proxy.

    Cases with the same options share a `gen run`: first those that can live together, then each of the others alone.
    """
    answers: dict[Place, Answer] = {}
    runnable = sorted((case for case in cases if can_run(case)), key=lambda case: case.flags)
    for own_flags, group in groupby(runnable, key=lambda case: case.flags):
        own_cases = list(group)
        shared = [case for case in own_cases if not case.is_alone]
        alone = [[case] for case in own_cases if case.is_alone]
        class_name = "nginx" if "--profile=ingress-nginx" in own_flags else "gen"
        place = folder / f"{backend}-{len(answers)}"
        with GenRun(backend, place, echo, *own_flags, *flags, class_name=class_name) as gen:
            stand_ins = StandIns(echo)
            for together in ([shared] if shared else []) + alone:
                answers |= dict(play(gen, stand_ins, together))
    return answers


def can_run(case: Case) -> bool:
    """Whether this machine has what a case needs."""
    return has_ipv6() or "ipv6" not in case.words("needs")


def play(gen: GenRun, stand_ins: StandIns, cases: Iterable[Case]) -> Iterator[tuple[Place, Answer]]:
    """Apply the cases together and send their rows, then the same for their later steps, all first ones at once."""
    objects: Mapping[str, tuple[Manifest, ...]] = {case.name: case.objects for case in cases}
    rows: Mapping[str, tuple[Row, ...]] = {case.name: case.rows for case in cases}
    step = 0
    while rows:
        gen.apply(item for name in objects for item in stand_ins.localise(objects[name]))
        for name, own in rows.items():
            yield from (((name, step, number), send(gen, row.send)) for number, row in enumerate(own))
        later = {case.name: case.steps[step] for case in cases if len(case.steps) > step}
        objects = {**objects, **{name: after(objects[name], one) for name, one in later.items()}}
        rows = {name: one.requests for name, one in later.items()}
        step += 1


def send(gen: GenRun, wish: Send) -> Answer:
    """Send a row."""
    request = Request(
        host=wish.host,
        target=wish.path,
        method=wish.method,
        scheme=wish.scheme,
        headers=tuple(wish.headers.items()),
        body=wish.body.encode(),
        sni=wish.sni,
    )
    try:
        return Answer(tuple(gen.send(request, http2=wish.http2) for _ in range(wish.times)))
    except OSError as error:
        return Answer(error=repr(error))
