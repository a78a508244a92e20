"""What can go wrong between gen and an API server: actions for the faults of tests.cluster.proxy."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from tests.cluster.proxy import Action, Exchange, forward

Json = dict[str, Any]


def refuse(status: int, reason: str = "", headers: Mapping[str, str] = {}) -> Action:
    """An error as the API server words it."""
    said = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": status,
        "reason": reason,
        "message": reason,
    }
    return lambda exchange: exchange.answer(json.dumps(said).encode(), status=status, headers=headers)


def page_of_a_proxy(exchange: Exchange) -> None:
    """200, but from somebody else."""
    exchange.answer(b"<!doctype html><title>Sign in</title>", content_type="text/html")


def truncate(exchange: Exchange) -> None:
    """Half of the answer, which claims to be all of it."""
    with exchange.asked() as response:
        body = response.read()
    exchange.answer(body[: len(body) // 2])


def cut_in_the_middle(exchange: Exchange) -> None:
    """Half of the answer, then a reset."""
    with exchange.asked() as response:
        body = response.read()
    exchange.answer(body[: len(body) // 2], promised=len(body))
    exchange.cut()


def trickle(seconds: float) -> Action:
    """One byte at a time."""

    def single_bytes(exchange: Exchange) -> Iterator[bytes]:
        with exchange.asked() as response:
            while byte := response.read(1):
                yield byte
                if exchange.closing.wait(seconds):
                    return

    return lambda exchange: exchange.stream(single_bytes(exchange))


def hold(released: threading.Event) -> Action:
    """No answer until it is released, then the right one."""

    def act(exchange: Exchange) -> None:
        while not released.wait(0.01):
            if exchange.closing.is_set():
                return
        forward(exchange)

    return act


def rewrite(change: Callable[[Json], Json]) -> Action:
    """Another body of the same form."""

    def act(exchange: Exchange) -> None:
        with exchange.asked() as response:
            body = json.loads(response.read())
        exchange.answer(json.dumps(change(body)).encode())

    return act


def events(change: Callable[[Iterator[Json]], Iterable[Json]]) -> Action:
    """A watch whose events are others than those that were sent; a refusal passes as it is."""

    def act(exchange: Exchange) -> None:
        with exchange.asked() as response:
            if response.status != HTTPStatus.OK:
                exchange.answer(response.read(), status=response.status)
                return
            sent = (json.loads(line) for line in iter(response.readline, b""))
            exchange.stream(json.dumps(event).encode() + b"\n" for event in change(sent))

    return act


def end_at_once(exchange: Exchange) -> None:
    """A watch that ends properly before anything happened."""
    exchange.stream([])


def error_event(code: int, reason: str) -> Action:
    """A watch that says in its first event what another answer says by its status."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": reason,
    }
    return lambda exchange: exchange.stream([json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"])


def silence(exchange: Exchange) -> None:
    """A stream that never says anything."""

    def nothing() -> Iterator[bytes]:
        exchange.closing.wait()
        yield from ()

    exchange.stream(nothing())


def cut_in_an_event(exchange: Exchange) -> None:
    """A watch whose first event is only half there when the connection is reset."""

    def half() -> Iterator[bytes]:
        with exchange.asked() as response:
            line = response.readline()
        yield line[: len(line) // 2]
        exchange.cut()

    exchange.stream(half())
