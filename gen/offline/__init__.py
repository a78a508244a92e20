"""What can be said of a configuration without a proxy: pure functions over the model, for the commands that print."""

from __future__ import annotations

from gen.offline.issues import by_object, worst
from gen.offline.routes import Row, routes

__all__ = ["Row", "by_object", "routes", "worst"]
