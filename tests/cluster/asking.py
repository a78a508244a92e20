"""What gen asks of an API server, and how a test makes it ask."""

from __future__ import annotations

from gen.k8s import Object, Ref
from tests.cluster import faults
from tests.cluster.conftest import Follow
from tests.cluster.proxy import FaultProxy, Request


def listing(request: Request) -> bool:
    """Whether a request asks for a whole state by a list."""
    return not request.watch


def initial(request: Request) -> bool:
    """Whether a request asks for a whole state by a watch."""
    return request.initial


def watching(request: Request) -> bool:
    """Whether a request asks for events."""
    return request.watch


def following(request: Request) -> bool:
    """Whether a request asks for changes only."""
    return request.watch and not request.initial


def lists(proxy: FaultProxy) -> int:
    """How many lists were asked for."""
    return sum(listing(request) for request in proxy.requests)


def lists_only(proxy: FaultProxy) -> None:
    """Let the API server have no watch-lists."""
    proxy.fault(faults.refuse(422, "Invalid"), when=initial)


def interrupt(proxy: FaultProxy) -> None:
    """Cut all connections."""
    proxy.down()
    proxy.up()


def lost(proxy: FaultProxy) -> None:
    """Make a source ask for the whole state again."""
    proxy.fault(faults.refuse(410, "Expired"), when=following, times=1)
    interrupt(proxy)


async def everything(follow: Follow) -> dict[Ref, Object]:
    """What a source finds that begins now."""
    async with follow("Ingress") as fresh:
        await fresh.first()
        return fresh.objects
