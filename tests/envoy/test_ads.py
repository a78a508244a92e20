"""The xDS server over real gRPC, with a client that sends what it is told."""

from __future__ import annotations

import asyncio
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from backends.envoy.ads import SERVICE, WORLD, Server
from backends.envoy.discovery import CLUSTERS, ENDPOINTS, LISTENERS, ROUTES, SECRETS
from backends.envoy.schema import message_class
from backends.envoy.wire import encoder
from gen.errors import ApplyError, UsageError
from tests.envoy.test_conversation import Response, snapshot
from tests.live.net import free_port

ENCODE = encoder(message_class("envoy.service.discovery.v3.DiscoveryRequest"))
PATIENCE = 10.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gen-") as name:
        yield Path(name)


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Server]:
    one = Server()
    await one.start(f"unix:{folder}/xds.sock")
    yield one
    await one.stop()
    assert not (folder / "xds.sock").exists()


class Client:
    """One stream to the server."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self._stream: Any = self._channel.stream_stream(f"/{SERVICE}/{WORLD}")()

    async def send(self, url: str, *names: str, **fields: Any) -> None:
        await self._stream.write(ENCODE({"type_url": url, "resource_names": names, **fields}))

    async def receive(self) -> Response:
        async with asyncio.timeout(PATIENCE):
            return Response(await self._stream.read())

    async def accept(self, response: Response, *names: str) -> None:
        await self.send(response.url, *names, version_info=response.version, response_nonce=response.nonce)

    async def close(self) -> None:
        self._stream.cancel()
        await self._channel.close()


@pytest.fixture
async def client(server: Server, folder: Path) -> AsyncIterator[Client]:
    one = Client(f"unix:{folder}/xds.sock")
    yield one
    await one.close()


async def be_led(client: Client) -> None:
    """Take the first snapshot as a fresh Envoy does."""
    await client.send(CLUSTERS, node={"id": "one"})
    await client.accept(await client.receive())
    await client.send(ENDPOINTS, "a")
    await client.accept(await client.receive(), "a")
    await client.send(LISTENERS)
    await client.accept(await client.receive())
    await client.send(SECRETS, "default")
    await client.accept(await client.receive(), "default")
    await client.send(ROUTES, "gen")
    await client.accept(await client.receive(), "gen")


async def test_an_envoy_is_led_to_a_snapshot_and_to_the_next(server: Server, client: Client) -> None:
    server.serve(snapshot("1", {"a": "x"}))
    await be_led(client)
    async with asyncio.timeout(PATIENCE):
        assert await server.settled() is None
    server.serve(snapshot("2", {"a": "x"}, used=set()))
    settled = asyncio.create_task(server.settled())
    routes = await client.receive()
    assert (routes.kind, routes.version, routes.content) == ("RDS", "2", {"gen": ""})
    assert not settled.done()
    await client.accept(routes, "gen")
    async with asyncio.timeout(PATIENCE):
        assert await settled is None


async def test_a_refusal_is_told(server: Server, client: Client) -> None:
    server.serve(snapshot("1", {"a": "x"}))
    await be_led(client)
    server.serve(snapshot("2", {"a": "x"}, used=set()))
    routes = await client.receive()
    error = {"code": 13, "message": "it is wrong"}
    await client.send(ROUTES, "gen", version_info="1", response_nonce=routes.nonce, error_detail=error)
    async with asyncio.timeout(PATIENCE):
        refusal = await server.settled()
    assert refusal
    assert (refusal.type_url, refusal.message) == (ROUTES, "it is wrong")


async def test_every_envoy_has_to_agree(server: Server, folder: Path, client: Client) -> None:
    server.serve(snapshot("1", {"a": "x"}))
    await be_led(client)
    other = Client(f"unix:{folder}/xds.sock")
    await other.send(CLUSTERS)
    assert (await other.receive()).kind == "CDS"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(server.settled(), 0.2)
    settled = asyncio.create_task(server.settled())
    await other.close()
    async with asyncio.timeout(PATIENCE):
        assert await settled is None


async def test_nobody_there_is_not_settled(server: Server) -> None:
    server.serve(snapshot("1", {}))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(server.settled(), 0.2)
    assert not server.is_connected


async def test_nonsense_ends_the_stream_and_nothing_else(server: Server, folder: Path, client: Client) -> None:
    server.serve(snapshot("1", {"a": "x"}))
    other = Client(f"unix:{folder}/xds.sock")
    await other._stream.write(b"\xff\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await other._stream.read()
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await other.close()
    await be_led(client)
    async with asyncio.timeout(PATIENCE):
        assert await server.settled() is None


async def test_the_socket_is_for_this_user_alone(server: Server, folder: Path) -> None:
    mode = (folder / "xds.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_a_stale_socket_is_replaced(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "xds.sock"))
    server = Server()
    await server.start(f"unix:{folder}/xds.sock")
    await server.stop()


async def test_addresses(folder: Path) -> None:
    server = Server()
    for address in ("tcp:192.0.2.1:80", "tcp:localhost:80", "tcp:127.0.0.1", "http://x"):
        with pytest.raises(UsageError):
            await server.start(address)
    with pytest.raises(ApplyError, match="107 bytes"):
        await server.start(f"unix:{folder}/{'x' * 100}")
    port = free_port()
    await server.start(f"tcp:127.0.0.1:{port}")
    server.serve(snapshot("1", {"a": "x"}))
    client = Client(f"127.0.0.1:{port}")
    await be_led(client)
    await client.close()
    taken = Server()
    with pytest.raises(ApplyError, match="cannot listen"):
        await taken.start(f"tcp:127.0.0.1:{port}")
    await server.stop()
