"""nginx (1.22 and later, the open source edition) as a proxy for gen.

Without its binary rendering works as well: then it is for the version that is asked for, else for the oldest one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from backends.nginx import version
from backends.nginx.lacks import lacks
from backends.nginx.memory import Memory
from backends.nginx.modules import Lua, find_lua
from backends.nginx.render import ENDPOINTS_FILE, render
from backends.nginx.words import WORDS
from gen.backend import Bundle, Lack, Placement, Plan, changed_files
from gen.ir import HostPolicy, Options, Policy

if TYPE_CHECKING:
    from backends.nginx.control import Control
    from gen.ir import Config

LACKING = frozenset(("waf", "tracing"))
"""Fields of policies that nginx cannot honour."""
OPTIONAL = (
    f"options.{name}"
    for name, default in zip(Options.__struct_fields__, Options.__struct_defaults__, strict=True)
    if default is None
)
FEATURES = frozenset(
    (
        *(name for name in (*Policy.__struct_fields__, *HostPolicy.__struct_fields__) if name not in LACKING),
        *OPTIONAL,
        *("regex", "weights", "aliases", "alias_patterns", "dns"),
    )
)


def create(placement: Placement) -> Nginx:
    """The backend for a placement."""
    return Nginx(placement)


class Nginx:
    """See gen.backend.Backend."""

    name = "nginx"
    features = FEATURES
    words = WORDS

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._memory = Memory()

    @cached_property
    def version(self) -> version.Version:
        """The version to render for: as the placement says, else as the binary says, else the oldest."""
        if self._placement.version:
            return version.parse(self._placement.version)
        binary = version.find_binary(self._placement.binary)
        return version.detect(binary) if binary else version.FLOOR

    @cached_property
    def lua(self) -> Lua | None:
        """The Lua of the binary; none where another version is asked for than the binary's own."""
        binary = "" if self._placement.version else version.find_binary(self._placement.binary)
        return find_lua(binary) if binary else None

    def lacks(self, part: Policy | HostPolicy | Options) -> Iterator[Lack]:
        """What it does not honour of the values in those fields."""
        return lacks(part, has_lua=self.lua is not None)

    @cached_property
    def _control(self) -> Control:
        from backends.nginx.control import Control

        return Control(self._placement)

    def render(self, config: Config) -> Bundle:
        """The bundle for a Config.  Raises Rejected for a value that nginx cannot hold."""
        return render(config, self.version, self._memory, self.lua)

    def plan(self, old: Bundle | None, new: Bundle) -> Plan:
        """A reload for any difference, since nginx reads its files only then; but for endpoints that Lua chooses."""
        if old and old.digest == new.digest:
            return Plan(old, new)
        changed = changed_files(old, new)
        if old and set(changed) == {"digest.conf", ENDPOINTS_FILE}:
            return Plan(old, new, changed, changed_endpoints(old, new), needs_test=False)
        return Plan(old, new, changed, reload=True, reason=reason(changed) if old else "nginx is not known to run")

    async def validate(self, bundle: Bundle) -> None:
        """Let the real nginx test the bundle."""
        await self._control.validate(bundle)

    async def resume(self) -> Bundle | None:
        """Find a running nginx, or start one from the last accepted generation."""
        return await self._control.resume()

    async def apply(self, plan: Plan) -> None:
        """Publish the generation, then start nginx or reload it once."""
        await self._control.apply(plan)

    async def confirm(self, plan: Plan) -> None:
        """Wait until nginx itself reports the new digest."""
        await self._control.confirm(plan)

    async def exited(self) -> str:
        """Return when the managed nginx has gone."""
        return await self._control.exited()

    async def close(self) -> None:
        """Stop a managed nginx, leave an external one."""
        await self._control.close()


def changed_endpoints(old: Bundle, new: Bundle) -> tuple[str, ...]:
    """`GROUP ENDPOINTS` for each group whose endpoints differ."""
    known = set(old.files[ENDPOINTS_FILE].splitlines())
    rows = [row for row in new.files[ENDPOINTS_FILE].splitlines() if row not in known]
    return tuple(row.decode().replace('"', "").rstrip(";") for row in rows)


def reason(changed: tuple[str, ...]) -> str:
    """Why there is a reload: how many files of each kind changed."""
    kinds = Counter(path.partition("/")[0] for path in changed if path != "digest.conf")
    return ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in sorted(kinds.items())) + " changed"
