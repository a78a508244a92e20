"""Our own filters: constant scripts, which get everything that differs from the routes."""

from __future__ import annotations

from importlib.resources import files

PARTS = {
    "request": ("paths", "chance", "request"),
    "access": ("paths", "texts", "digests", "passwords", "access"),
    "answers": ("paths", "texts", "clients", "pages", "answers"),
    "upstream": ("paths", "chance", "texts", "copies", "cookies", "upstream"),
}
"""What each script is put together from: Envoy's Lua has no modules."""


def text(*parts: str) -> bytes:
    """The text of a script."""
    folder = files(__package__).joinpath("lua")
    return b"\n".join([folder.joinpath(f"{part}.lua").read_bytes() for part in parts])


SCRIPTS = {f"{name}.lua": text(*parts) for name, parts in PARTS.items()}
"""The files of all scripts."""
