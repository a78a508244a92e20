"""Which of nginx's modules there are beside the core: Lua, by which endpoints change without a reload."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

WANTED = ("ndk_http_module.so", "ngx_http_lua_module.so")
PLACE = re.compile(r"--modules-path=(\S+)")
BUILT_IN = re.compile(r"--add-module=\S*(?:lua-nginx-module|ngx_lua)")
BINARY = "usr/sbin/nginx"
LIBRARIES = "usr/share/lua/5.1"


class Lua(Struct, frozen=True):
    """How nginx gets Lua: the files of modules to load, and where its libraries are if not at their usual place."""

    modules: tuple[str, ...] = ()
    libraries: str = ""


def find_lua(binary: str) -> Lua | None:
    """The Lua of a binary, None where it has none.  Packages may be unpacked anywhere, below one directory."""
    import subprocess

    try:
        done = subprocess.run([binary, "-V"], capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if BUILT_IN.search(done.stderr):
        return Lua()
    place, path = PLACE.search(done.stderr), str(Path(binary).resolve())
    root = Path(path.removesuffix(BINARY) if path.endswith(BINARY) else "/")
    if place is None:
        return None
    modules = [root / place[1].lstrip("/") / name for name in WANTED]
    if not all(module.is_file() for module in modules) or not (root / LIBRARIES / "ngx" / "balancer.lua").is_file():
        return None
    return Lua(tuple(map(str, modules)), "" if root == Path("/") else str(root / LIBRARIES))
