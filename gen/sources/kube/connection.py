"""One HTTP client for all that gen asks an API server.

Every request has limits, no redirect is followed (it would carry the token away), and nothing is retried here except
once after a 401, with credentials that have been read anew: tokens and CAs are rotated under a running process.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal

import aiohttp
import msgspec
from msgspec import Struct

from gen import __version__
from gen.errors import InputError
from gen.sources.kube import wire
from gen.sources.kube.access import Access, Load
from gen.sources.kube.errors import Unreachable, words

CONNECT_SECONDS = 10.0
KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 9))
"""As client-go does it: a peer that vanished is noticed within three minutes, however quiet the watch."""


SUCCESS = frozenset({200, 201})


class Ask(Struct, frozen=True):
    """What goes to the API server."""

    method: str
    path: str
    params: Mapping[str, str]
    body: bytes | None = None
    content_type: str = ""


class Connection:
    """Requests to one API server; raises only Unreachable, Refused, or Doubtful."""

    def __init__(self, load: Load, access: Access | None = None, *, answer_within: float = 30.0) -> None:
        """Make one; an answer has to begin within `answer_within` seconds, however long it is."""
        self._load, self._answer_within = load, answer_within
        self._access = access
        self._lock = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, params: Mapping[str, str], *, deadline: float) -> bytes:
        """A whole answer, within `deadline` seconds however slowly it trickles."""
        return await self._whole(Ask("GET", path, params), deadline)

    async def send(
        self,
        method: Literal["POST", "PUT", "PATCH"],
        path: str,
        body: object,
        *,
        deadline: float,
        params: Mapping[str, str] = {},
        content_type: str = "application/json",
    ) -> bytes:
        """Write something; gives the answer, as it is after that.  Tried once, except after a 401."""
        ask = Ask(method, path, params, msgspec.json.encode(body), content_type)
        return await self._whole(ask, deadline)

    @asynccontextmanager
    async def lines(
        self, path: str, params: Mapping[str, str], *, silence: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of an answer that goes on for long, each at most `silence` seconds after the one before."""
        ask = Ask("GET", path, params)
        async with self._answer(ask, silence=silence) as response, aclosing(_lines(response)) as lines:
            yield lines

    async def close(self) -> None:
        """Drop all connections."""
        if self._session is not None:
            await self._session.close()

    async def _whole(self, ask: Ask, deadline: float) -> bytes:
        try:
            async with asyncio.timeout(deadline), self._answer(ask, silence=deadline) as response:
                return await response.read()
        except TimeoutError as error:
            raise Unreachable(f"{ask.path}: no whole answer within {deadline:g} s") from error

    @asynccontextmanager
    async def _answer(self, ask: Ask, *, silence: float) -> AsyncIterator[aiohttp.ClientResponse]:
        path = ask.path
        try:
            response = await self._send(ask, silence)
            if response.status == 401:
                response.close()
                self._access = None
                response = await self._send(ask, silence)
            async with response:
                if response.status not in SUCCESS:
                    body = await response.content.read(1 << 16)
                    raise wire.refusal(response.status, body, response.headers.get("Retry-After"))
                yield response
        except aiohttp.ClientSSLError as error:
            self._access = None
            raise Unreachable(f"{path}: {words(error)}") from error
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"{error.host}:{error.port}: {words(error.os_error)}") from error
        except (aiohttp.ClientError, InputError, OSError) as error:
            raise Unreachable(f"{path}: {words(error)}") from error

    async def _send(self, ask: Ask, silence: float) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = _session()
        access, headers = await self._identity()
        async with asyncio.timeout(self._answer_within):
            return await self._session.request(
                ask.method,
                access.server + ask.path,
                params=ask.params,
                data=ask.body,
                headers=headers if ask.body is None else {**headers, "Content-Type": ask.content_type},
                ssl=access.tls,
                server_hostname=access.server_name,
                proxy=access.proxy,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=silence),
            )

    async def _identity(self) -> tuple[Access, dict[str, str]]:
        """The access and its credentials of this moment; a plugin that fetches them runs once for all who wait."""
        async with self._lock:
            if self._access is None:
                self._access = await asyncio.to_thread(self._load)
            return self._access, await asyncio.to_thread(self._access.headers)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, socket_factory=_keepalive_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": f"gen/{__version__}"},
    )


def _keepalive_socket(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Whole lines; what a stream ends in the middle of is sent again to whoever asks from the line before."""
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
