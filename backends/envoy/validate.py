"""Envoy's own test of a bundle, and the search for what it does not like.

Envoy does not read a route table that comes from a file when it validates, so it is given a bootstrap that has the
table inside.  That bootstrap is an excerpt: what has passed before is left out, for a whole large configuration takes
seconds.  Envoy's message often does not say what it is about; then the culprits are found by halving.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Hashable, Sequence
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from backends.envoy import refusal
from backends.envoy.bootstrap import RUNTIME
from backends.envoy.listeners import ROUTES_FILE
from backends.envoy.parts import BOOTSTRAP_FILE, Parts, parts_of, route_table
from backends.envoy.syntax import Json
from gen.backend import Bundle
from gen.errors import ApplyError, Rejected
from gen.ir import Source
from gen.process import Finished, run

TRIES = 60
"""So many runs at most are spent on a search."""

Text = bytes


class Excerpt(Struct, frozen=True):
    """A part of a configuration that can be tested by itself."""

    parts: Parts
    listeners: Sequence[Text]
    clusters: Sequence[Text]
    virtual_hosts: Sequence[Text]

    def bootstrap(self) -> bytes:
        """The file for `envoy --mode validate`."""
        is_whole = len(self.virtual_hosts) == len(self.parts.virtual_hosts)
        table = route_table(self.parts) | {
            "virtual_hosts": list(map(Raw, self.virtual_hosts)),
            "validate_clusters": is_whole and len(self.clusters) == len(self.parts.clusters),
        }
        static = {
            "listeners": [with_table(msgspec.json.decode(self.listeners[0]), table), *map(Raw, self.listeners[1:])],
            "clusters": list(map(Raw, self.clusters)),
            "secrets": list(map(Raw, self.parts.secrets)),
        }
        node = {"id": "gen", "cluster": "gen"}
        return msgspec.json.encode({"node": node, "layered_runtime": RUNTIME, "static_resources": static})


def with_table(listener: Json, table: Json) -> Json:
    """The plain listener with the route table inside."""
    manager = listener["filter_chains"][0]["filters"][-1]["typed_config"]
    del manager["rds"]
    manager["route_config"] = table
    return listener


class Validator:
    """Tests one bundle after another; remembers what has passed."""

    def __init__(self, binary: str, scratch: Path) -> None:
        self.binary, self.scratch = binary, scratch
        self._passed: frozenset[Hashable] = frozenset()

    async def validate(self, bundle: Bundle, directory: Path) -> None:
        """Test a bundle whose files are in a directory.  Raises Rejected; ApplyError where Envoy cannot be run."""
        parts = parts_of(bundle)
        excerpt = self._fresh(parts, bundle)
        finished = await self._run(excerpt, directory)
        if finished.returncode < 0:
            raise ApplyError(f"envoy --mode validate was ended by signal {-finished.returncode}: {finished.output}")
        if finished.returncode > 0:
            blame = await Search(bundle, excerpt, lambda part: self._fails(part, directory)).culprits()
            output = refusal.scrubbed(finished.output) or f"envoy --mode validate ends with {finished.returncode}"
            raise Rejected(output, blame or refusal.named(output, bundle))
        self._passed = frozenset((*parts.clusters, *parts.virtual_hosts, certified(parts, bundle)))

    def _fresh(self, parts: Parts, bundle: Bundle) -> Excerpt:
        """What has not passed before."""
        return Excerpt(
            parts,
            parts.listeners[: 1 if certified(parts, bundle) in self._passed else None],
            [text for text in parts.clusters if text not in self._passed],
            [text for text in parts.virtual_hosts if text not in self._passed],
        )

    async def _fails(self, excerpt: Excerpt, directory: Path) -> bool:
        return (await self._run(excerpt, directory)).returncode != 0

    async def _run(self, excerpt: Excerpt, directory: Path) -> Finished:
        content = excerpt.bootstrap()
        with tempfile.NamedTemporaryFile(dir=self.scratch, prefix=".validate-", suffix=".json") as file:
            file.write(content)
            file.flush()
            argv = [self.binary, "--mode", "validate", "-c", file.name, "--concurrency", "1", "-l", "error"]
            return await run([*argv, "--disable-hot-restart"], timeout=20 + len(content) / 200_000, cwd=directory)


def certified(parts: Parts, bundle: Bundle) -> Hashable:
    """All that listeners and certificates are made of, apart from the routes."""
    others = {BOOTSTRAP_FILE, ROUTES_FILE}
    return (*parts.listeners, *parts.secrets, *(text for path, text in bundle.files.items() if path not in others))


class Search:
    """Finds the resources that make a test fail."""

    def __init__(self, bundle: Bundle, excerpt: Excerpt, fails: Callable[[Excerpt], Awaitable[bool]]) -> None:
        self.bundle, self.excerpt, self._fails = bundle, excerpt, fails
        self._tries = TRIES

    async def culprits(self) -> tuple[Source, ...]:
        """The objects to blame: routes, hosts or clusters; empty where none of these fails by itself."""
        clusters = await self._among(self.excerpt.clusters, lambda some: self._part(clusters=some))
        hosts = await self._among(self.excerpt.virtual_hosts, lambda some: self._part(hosts=some))
        found = [self._source(BOOTSTRAP_FILE, text) for text in clusters]
        for host in hosts:
            routes = await self._among(single_routes(host), lambda some: self._part(hosts=some))
            found += [self._source(ROUTES_FILE, host, single_routes(host).index(each) + 1) for each in routes]
            found += [] if routes else [self._source(ROUTES_FILE, host)]
        return tuple(dict.fromkeys(source for source in found if source))

    async def _among(self, texts: Sequence[Text], part: Callable[[Sequence[Text]], Excerpt]) -> list[Text]:
        """Those of some texts that fail by themselves."""
        if not texts or self._tries <= 0:
            return []
        self._tries -= 1
        if not await self._fails(part(texts)):
            return []
        if len(texts) == 1:
            return list(texts)
        half = len(texts) // 2
        return [*await self._among(texts[:half], part), *await self._among(texts[half:], part)]

    def _part(self, *, clusters: Sequence[Text] = (), hosts: Sequence[Text] = ()) -> Excerpt:
        return Excerpt(self.excerpt.parts, self.excerpt.parts.listeners[:1], clusters, hosts)

    def _source(self, file: str, text: Text, offset: int = 0) -> Source | None:
        content = self.bundle.files[file]
        return self.bundle.blame(file, content.count(b"\n", 0, content.find(text)) + 1 + offset)


def single_routes(host: Text) -> list[Text]:
    """A virtual host once for each of its routes, with that route alone."""
    head, *routes, tail = host.split(b"\n")
    return [b"\n".join((head, route.rstrip(b","), tail)) for route in routes]
