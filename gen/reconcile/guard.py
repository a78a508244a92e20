"""What must never be carried out, however well it renders."""

from __future__ import annotations

from gen.backend import Bundle, Plan
from gen.errors import Held
from gen.ir import CATCH_ALL


def before_rendering(*, synced: bool) -> None:
    """Raises Held until every source has been read whole once."""
    if not synced:
        raise Held("the sources have not been read whole yet")


def before_applying(plan: Plan, *, accepted: Bundle | None, objects: int) -> None:
    """Raises Held for a plan that would empty a proxy because nothing at all came in."""
    if not objects and accepted is not None and accepted.digest != plan.new.digest:
        raise Held("there is not a single object any more: an empty input never empties the proxy")


def before_the_first(plan: Plan, *, accepted: Bundle | None, patience: float) -> None:
    """Raises Held for a start without a single host where there were some before; `patience` is for how much longer."""
    config = plan.new.config
    is_empty = config is not None and not config.hosts.keys() - {CATCH_ALL}
    if is_empty and patience > 0 and accepted is not None and accepted.digest != plan.new.digest:
        raise Held(f"no host is left since the last start: that is believed in {patience:.0f} s")
