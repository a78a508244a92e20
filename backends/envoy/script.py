"""Our own filters: constant scripts, which get everything that differs from the routes."""

from __future__ import annotations

from importlib.resources import files

PARTS = {
    "request": ("paths", "chance", "request"),
    "access": ("paths", "texts", "later", "access"),
    "answers": ("paths", "texts", "clients", "pages", "answers"),
    "upstream": ("paths", "chance", "texts", "copies", "cookies", "upstream"),
}
"""What each script is put together from: Envoy's Lua has no modules."""


LATER = {"later": ("digests", "passwords")}
"""What is large and needed by few: kept as text, and read by a worker when it needs it for the first time."""


def text(*parts: str) -> bytes:
    """The text of a script."""
    return b"\n".join(map(part, parts))


def part(name: str) -> bytes:
    """A part of a script."""
    if name in LATER:
        return b"local LATER = [==[\n" + text(*LATER[name]) + b"]==]\n"
    return files(__package__).joinpath("lua", f"{name}.lua").read_bytes()


SCRIPTS = {f"{name}.lua": text(*parts) for name, parts in PARTS.items()}
"""The files of all scripts."""
