"""The xDS server: aggregated discovery, incremental or as the state of the world, over gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import grpc.aio

from backends.envoy.bootstrap import tcp_address
from backends.envoy.conversation import Refusal
from backends.envoy.incremental import Incremental
from backends.envoy.snapshot import Snapshot
from backends.envoy.world import StateOfTheWorld
from gen.errors import ApplyError

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
WORLD, INCREMENTAL = "StreamAggregatedResources", "DeltaAggregatedResources"
REQUEST_LIMIT = 64 << 20  # an acknowledgement names every cluster
UNIX_PATH_LIMIT = 107
FAREWELL = 1.0  # seconds for streams to end

Stream = grpc.aio.ServicerContext[bytes, bytes]
Conversation = Incremental | StateOfTheWorld


class Server:
    """Offers one snapshot at a time to every Envoy that asks."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self._before: Snapshot | None = None
        self._streams: dict[Conversation, asyncio.Event] = {}
        self._changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None
        self._socket: Path | None = None
        self._is_stopping = False

    async def start(self, address: str) -> None:
        """Listen at `unix:/path` (for this user alone) or `tcp:IP:port`.  Raises ApplyError and UsageError."""
        if self._server is not None:
            return
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", REQUEST_LIMIT), ("grpc.so_reuseport", 0)])
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            INCREMENTAL: grpc.stream_stream_rpc_method_handler(self._incremental),
            WORLD: grpc.stream_stream_rpc_method_handler(self._world),
        }
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, methods)])
        try:
            self._bind(server, address)
        except (OSError, RuntimeError) as error:
            await server.stop(None)
            raise ApplyError(f"cannot listen at {address}: {error}") from error
        await server.start()
        self._server = server

    def _bind(self, server: grpc.aio.Server, address: str) -> None:
        if not address.startswith("unix:/"):
            host, port = tcp_address(address)
            server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
            return
        path = Path(address.removeprefix("unix:"))
        if len(os.fsencode(path)) > UNIX_PATH_LIMIT:
            raise OSError(f"the path of a socket has at most {UNIX_PATH_LIMIT} bytes")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with private_files():
            server.add_insecure_port(f"unix:{path}")
        self._socket = path

    async def stop(self) -> None:
        """End all streams and stop listening."""
        server, self._server = self._server, None
        if server is not None:
            self._is_stopping = True
            for woken in self._streams.values():
                woken.set()
            await server.stop(FAREWELL)
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)

    def serve(self, snapshot: Snapshot) -> None:
        """Lead every Envoy to this snapshot, from now on."""
        self._before, self.snapshot = self.snapshot, snapshot
        for conversation, woken in self._streams.items():
            conversation.retarget(snapshot)
            woken.set()

    async def settled(self) -> Refusal | None:
        """Wait until all Envoys, at least one, hold the snapshot; or give the first refusal of it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._refusal or self._is_settled)
        return self._refusal

    @property
    def is_connected(self) -> bool:
        """Whether some Envoy has a stream open."""
        return bool(self._streams)

    @property
    def _is_settled(self) -> bool:
        return bool(self._streams) and all(each.is_settled for each in self._streams)

    @property
    def _refusal(self) -> Refusal | None:
        return next((each.refusal for each in self._streams if each.refusal), None)

    async def _incremental(self, requests: AsyncIterator[bytes], stream: Stream) -> None:
        await self._converse(Incremental(self.snapshot), requests, stream)

    async def _world(self, requests: AsyncIterator[bytes], stream: Stream) -> None:
        await self._converse(StateOfTheWorld(self.snapshot, self._before), requests, stream)

    async def _converse(self, conversation: Conversation, requests: AsyncIterator[bytes], stream: Stream) -> None:
        """One stream: one task takes in requests, another sends what is due; it ends when either does."""
        woken = asyncio.Event()
        self._streams[conversation] = woken
        listening = asyncio.create_task(self._listen(conversation, woken, requests))
        speaking = asyncio.create_task(self._speak(conversation, woken, stream))
        try:
            await asyncio.wait((listening, speaking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._streams[conversation]
            for task in (listening, speaking):
                task.cancel()
            found = await asyncio.gather(listening, speaking, return_exceptions=True)
            await self._notify()
        for result in found:
            if isinstance(result, ValueError):
                await stream.abort(grpc.StatusCode.INVALID_ARGUMENT, str(result))
            if isinstance(result, Exception):
                raise result

    async def _listen(self, conversation: Conversation, woken: asyncio.Event, requests: AsyncIterator[bytes]) -> None:
        async for data in requests:
            conversation.take(data)
            woken.set()
            await self._notify()

    async def _speak(self, conversation: Conversation, woken: asyncio.Event, stream: Stream) -> None:
        while not self._is_stopping:
            for response in conversation.due():
                await stream.write(response)
            await woken.wait()
            woken.clear()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@contextlib.contextmanager
def private_files() -> Iterator[None]:
    """What is created in this block belongs to this user alone."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)
