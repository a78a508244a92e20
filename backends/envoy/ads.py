"""The xDS server: aggregated discovery, state of the world, over gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import grpc.aio

from backends.envoy.bootstrap import tcp_address
from backends.envoy.conversation import Conversation, Refusal
from backends.envoy.discovery import read_request
from backends.envoy.snapshot import Snapshot
from gen.errors import ApplyError

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "StreamAggregatedResources"
REQUEST_LIMIT = 64 << 20  # an acknowledgement names every cluster
UNIX_PATH_LIMIT = 107

Stream = grpc.aio.ServicerContext[bytes, bytes]


class Server:
    """Offers one snapshot at a time to every Envoy that asks."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self._before: Snapshot | None = None
        self._streams: dict[Conversation, asyncio.Event] = {}
        self._changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None
        self._socket: Path | None = None

    async def start(self, address: str) -> None:
        """Listen at `unix:/path` (for this user alone) or `tcp:IP:port`.  Raises ApplyError."""
        if self._server is not None:
            return
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", REQUEST_LIMIT), ("grpc.so_reuseport", 0)])
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._stream)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})])
        try:
            self._bind(server, address)
        except (OSError, RuntimeError) as error:
            await server.stop(None)
            raise ApplyError(f"cannot listen at {address}: {error}") from error
        await server.start()
        self._server = server

    def _bind(self, server: grpc.aio.Server, address: str) -> None:
        if address.startswith("tcp:"):
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
            await server.stop(None)
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

    async def _stream(self, requests: AsyncIterator[bytes], stream: Stream) -> None:
        """One stream: requests are taken in as they come, while another task sends what is due."""
        conversation, woken = Conversation(self.snapshot, self._before), asyncio.Event()
        self._streams[conversation] = woken
        speaking = asyncio.create_task(self._speak(conversation, woken, stream))
        try:
            async for data in requests:
                conversation.received(read_request(data))
                woken.set()
                await self._notify()
        except ValueError as error:
            await stream.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            del self._streams[conversation]
            speaking.cancel()
            with contextlib.suppress(asyncio.CancelledError, grpc.aio.AbortError):
                await speaking
            await self._notify()

    async def _speak(self, conversation: Conversation, woken: asyncio.Event, stream: Stream) -> None:
        while True:
            await woken.wait()
            woken.clear()
            for response in conversation.due():
                await stream.write(response)

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
