"""What the real HAProxy says to a generation, and whom its words point at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gen.backend import Bundle
from gen.errors import ApplyError, Rejected, UsageError
from gen.ir import Source
from gen.process import run

FLOOR = (2, 6)
OUTPUT_LIMIT = 4096
VERSION = re.compile(r"version (\d+)\.(\d+)")
MESSAGE = re.compile(r"^\[(ALERT|WARNING)\][^:]*: (.*(?:\n(?!\[).*)*)", re.MULTILINE)
PLACE = re.compile(r"\[?([\w./-]+\.(?:cfg|map|list|pem)):(\d+)\]?")
LINE_OF_FILE = re.compile(r"line (\d+) of file '([^']+)'")
FILE = re.compile(r"\b((?:certs|maps)/[\w.-]+\.(?:pem|map))\b")
SECTION = re.compile(r"\b(?:backend|proxy) '([\w.:-]+)'", re.IGNORECASE)
VERDICTS = re.compile(r"(?:Error\(s\) found in|Fatal errors found in|Configuration file is|Warnings were found)")


async def check_version(binary: str, stated: str = "") -> str:
    """The version of a binary, or the stated one.  Raises UsageError below the floor, ApplyError without a binary."""
    text = f"version {stated}" if stated else (await run([binary, "-v"], timeout=10)).output
    found = VERSION.search(text)
    if not found:
        raise ApplyError(f"{binary} does not say its version")
    if (int(found[1]), int(found[2])) < FLOOR:
        raise UsageError(f"{binary} is HAProxy {found[1]}.{found[2]}; gen needs {FLOOR[0]}.{FLOOR[1]} or later")
    return f"{found[1]}.{found[2]}"


async def check(binary: str, directory: Path, bundle: Bundle) -> None:
    """Let HAProxy read a generation.  Raises Rejected for errors, and for warnings about lines of an object."""
    result = await run([binary, "-c", "-f", str(directory)], timeout=time_limit(bundle))
    messages = list(messages_of(result.output))
    blamed = {text: source for _, text in messages if (source := blame(text, bundle))}
    if result.returncode == 0 and not blamed:
        return
    text = result.output if result.timed_out else "\n".join(text for _, text in messages) or result.output
    raise Rejected(scrubbed(text, directory), tuple(dict.fromkeys(blamed.values())))


def time_limit(bundle: Bundle) -> float:
    """Seconds that HAProxy may take to load a bundle; many times what it does take, also on a busy machine."""
    size = sum(len(content) for path, content in bundle.files.items() if path.endswith(".cfg"))
    return 20 + size / 50_000 + len(bundle.files) / 20


def messages_of(output: str) -> Iterator[tuple[str, str]]:
    """Alerts and warnings: (severity, text), without those that only count others."""
    for found in MESSAGE.finditer(output):
        if not VERDICTS.search(found[2]):
            yield found[1], found[2].strip()


def blame(message: str, bundle: Bundle) -> Source | None:
    """The object that a message of HAProxy points at, by line, by file, or by the name of a section."""
    for place in PLACE.finditer(message):
        if source := bundle.blame(relative(place[1], bundle), int(place[2])):
            return source
    if line := LINE_OF_FILE.search(message):
        return bundle.blame(relative(line[2], bundle), int(line[1]))
    if file := FILE.search(message):
        return bundle.blame(file[1], 1)
    section = SECTION.search(message)
    return blame_section(section[1], bundle) if section else None


def blame_section(name: str, bundle: Bundle) -> Source | None:
    """The object that a backend was rendered from."""
    for path, content in bundle.files.items():
        if path.endswith(".cfg"):
            before, found, _ = content.partition(f"\nbackend {name}\n".encode())
            if found:
                return bundle.blame(path, before.count(b"\n") + 2)
    return None


def relative(path: str, bundle: Bundle) -> str:
    """A path of HAProxy's as the bundle has it."""
    parts = path.split("/")
    return next((tail for start in range(len(parts)) if (tail := "/".join(parts[start:])) in bundle.files), path)


def scrubbed(text: str, directory: Path) -> str:
    """HAProxy's words for people: without our paths, control characters and whatever looks like a key, and short."""
    text = text.replace(f"{directory}/", "").replace(str(directory), ".")
    text = re.sub(r"-----BEGIN.*?(?:-----END[^\n]*|\Z)", "[a key or a certificate]", text, flags=re.DOTALL)
    text = re.sub(r"[^\n\x20-\x7e]", "?", text).strip()
    return text if len(text) <= OUTPUT_LIMIT else text[:OUTPUT_LIMIT] + " [...]"
