"""Commands for a running worker, and what it says of itself: its servers and the rows of its maps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from backends.haproxy import live
from backends.haproxy.runtime import ask
from backends.haproxy.sections import GENERATION
from gen.backend import Bundle, Plan
from gen.errors import ApplyError

LINE_LIMIT = 8000  # bytes of commands that go in one line, or of rows in one payload; a buffer has 16 kB
EXPECTED = re.compile(
    r"|New server registered\.|Server deleted\.|no need to change .*|(?:IP|port) changed from .*"
    r"|Server still has connections attached to it, cannot remove it\."  # it stays, out of service
    r"|Transaction (?:created|updated) for certificate .*|Committing .*|Success!|New empty certificate store .*"
    r"|Inserting certificate .*",
)
OF_SERVER = re.compile(r"(?:add|set|enable|del) server ([^/ ]+)/")
NAMELESS = f"set map {GENERATION} digest 0"
"""The first command of a change: a worker that is neither old nor new belongs to no generation, whatever happens."""
MOVED = re.compile(r"set server \S+ addr ")
VERSION = re.compile(r"^Version: (\d+)\.(\d+)", re.MULTILINE)
COOKIES_KNOWN = (3, 0)
"""From here on a server that is added has its cookie, and moves of servers take effect later than they are answered."""
IN_MAINTENANCE = 1
STATE_FIELDS = 19


class Seen(live.Server, frozen=True, gc=False):
    """A server as the worker has it."""

    is_out: bool = False


async def change(admin: Path, plan: Plan) -> None:
    """Bring a worker from the old bundle of a plan to the new one, and make sure that it is there; it has no name then.

    Raises: ApplyError, where some of the commands may have been carried out.
    """
    backends = touched(plan.commands)
    before = await servers(admin, backends) if backends else {}
    expected = wanted(plan.new, backends, plan.changed) if backends else {}
    to_do = tuple(with_returning(plan.commands, before, expected))
    if any(MOVED.match(each) for each in to_do) and await version(admin) >= COOKIES_KNOWN:
        to_do = tuple(each for each in to_do if not MOVED.match(each))
    await send(admin, (NAMELESS, *to_do, *clearing(before, expected)))
    if backends:
        after = await servers(admin, backends)
        if found := differing(expected, after):
            raise ApplyError(found)


async def name(admin: Path, digest: str) -> None:
    """Let a worker report a digest as its own.  Raises ApplyError."""
    await send(admin, [f"set map {GENERATION} digest {digest}"])


async def version(admin: Path) -> tuple[int, int]:
    """The version of a worker.  Raises ApplyError."""
    found = VERSION.search(await ask(admin, "show info"))
    if not found:
        raise ApplyError("HAProxy does not say its version")
    return int(found[1]), int(found[2])


def touched(commands: Iterable[str]) -> list[str]:
    """The backends whose servers some commands change."""
    found = {match[1] for each in commands if (match := OF_SERVER.match(each))}
    return sorted(found)


async def send(admin: Path, commands: Iterable[str]) -> None:
    """Run commands one after the other.  Raises ApplyError at the first answer that is not what success looks like."""
    for line in lines_of(commands):
        if line.startswith("replace map "):
            await replace(admin, line)
            continue
        answer = await ask(admin, line)
        for words in answer.split("\n"):
            if not EXPECTED.fullmatch(words.strip()):
                raise ApplyError(f"HAProxy answered {words.strip()!r}")


def lines_of(commands: Iterable[str]) -> Iterator[str]:
    """Commands as they are sent: many short ones in a line, those with a payload alone."""
    waiting: list[str] = []
    size = 0
    for command in commands:
        is_alone = "\n" in command
        if waiting and (is_alone or size + len(command) > LINE_LIMIT):
            yield ";".join(waiting)
            waiting, size = [], 0
        if is_alone:
            yield command
        else:
            waiting.append(command)
            size += len(command) + 1
    if waiting:
        yield ";".join(waiting)


async def replace(admin: Path, command: str) -> None:
    """Put other rows in the place of all those of a map, at once.  Raises ApplyError."""
    head, _, payload = command.partition("\n")
    path = head.split()[2]
    answer = await ask(admin, f"prepare map {path}")
    version = re.search(r"New version created: (\d+)", answer)
    if not version:
        raise ApplyError(f"HAProxy answered {answer.strip()!r}")
    chunk: list[str] = []
    size = 0
    for row in (*payload.splitlines(), ""):
        if chunk and (not row or size + len(row) > LINE_LIMIT):
            await send(admin, ["\n".join((f"add map @{version[1]} {path} <<", *chunk, ""))])
            chunk, size = [], 0
        chunk.append(row)
        size += len(row) + 1
    await send(admin, [f"commit map @{version[1]} {path}"])


# ------------------------------------------------------------------ what is there


async def servers(admin: Path, backends: Iterable[str] = ()) -> dict[str, dict[str, Seen]]:
    """The servers of some backends, or of all of them.  Raises ApplyError."""
    lines = list(lines_of(f"show servers state {name}" for name in backends)) or ["show servers state"]
    found: dict[str, dict[str, Seen]] = {}
    for line in lines:
        for row in (await ask(admin, line)).splitlines():
            fields = row.split(" ")
            if row.startswith("#") or len(fields) < STATE_FIELDS:
                continue
            address = f"[{fields[4]}]" if ":" in fields[4] else fields[4]
            is_out = bool(int(fields[6]) & IN_MAINTENANCE)
            number = int(fields[2]) if fields[16] == "1" else 0
            found.setdefault(fields[1], {})[fields[3]] = Seen(
                fields[3], f"{address}:{fields[18]}", int(fields[7]), number, is_out=is_out
            )
    return found


def wanted(
    bundle: Bundle, backends: Iterable[str] = (), files: Iterable[str] = ()
) -> dict[str, Mapping[str, live.Server]]:
    """The servers of some backends of a bundle, which stand in some of the files; or of all of them."""
    sections = live.sections_in(bundle, [path for path in files or bundle.files if path.endswith(".cfg")])
    heads = [f"backend {name}" for name in backends] or [head for head in sections if head.startswith("backend ")]
    return {head.removeprefix("backend "): live.section(sections[head]).servers for head in heads}


def differing(wanted: Mapping[str, Mapping[str, live.Server]], seen: Mapping[str, Mapping[str, Seen]]) -> str:
    """Where the servers are not as wanted, in a few words; those without traffic do not count."""
    for backend, expected in wanted.items():
        there = {name: each for name, each in seen.get(backend, {}).items() if not each.is_out}
        there = {name: each for name, each in there.items() if not name.startswith("dns-")}
        if there.keys() != expected.keys():
            return f"{backend} has {len(there)} servers instead of {len(expected)}"
        for name, each in there.items():
            other = expected[name]
            if (each.address, each.weight) != (other.address, other.weight):
                return f"{backend}/{name} has another address or weight"
    return ""


async def drift(admin: Path, bundle: Bundle) -> str:
    """Where a worker is not as a bundle says, "" where it is.  Raises ApplyError."""
    if found := differing(wanted(bundle), await servers(admin)):
        return found
    for path in bundle.files:
        if path.startswith("maps/") and path != GENERATION and (found := await other_rows(admin, path, bundle)):
            return found
    return ""


async def other_rows(admin: Path, path: str, bundle: Bundle) -> str:
    """Whether a map has other rows than its file."""
    rows = await ask(admin, f"show map {path}")
    there = sorted(row.partition(" ")[2] for row in rows.splitlines() if row)
    expected = sorted(row for row in bundle.files[path].decode().splitlines() if row)
    return "" if there == expected else f"{path} has other rows"


# ------------------------------------------------------------------ servers that could not be removed


def with_returning(
    commands: Iterable[str], seen: Mapping[str, Mapping[str, Seen]], expected: Mapping[str, Mapping[str, live.Server]]
) -> Iterator[str]:
    """The commands, where servers that are still there come back instead of being added."""
    back = {
        f"{backend}/{name}": each
        for backend, servers in expected.items()
        for name, each in servers.items()
        if name in seen.get(backend, ())
    }
    for command in commands:
        verb, kind, place = f"{command}  ".split(" ", 3)[:3]
        if kind != "server" or place not in back:
            yield command
        elif verb == "add":
            yield from live.returning(place, back[place])
        elif verb == "set" and "weight" in command:
            yield command


def clearing(
    seen: Mapping[str, Mapping[str, Seen]], expected: Mapping[str, Mapping[str, live.Server]]
) -> Iterator[str]:
    """The commands that try again to remove servers without traffic."""
    for backend, there in seen.items():
        for name, each in there.items():
            if each.is_out and name not in expected.get(backend, ()) and not name.startswith("dns-"):
                yield f"del server {backend}/{name}"
