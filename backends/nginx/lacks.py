"""What nginx does not do of the policies that it knows."""

from __future__ import annotations

from collections.abc import Iterator

from backends.nginx.tuning import module_of
from gen.backend import Lack
from gen.ir import HostPolicy, Options, Policy


def lacks(part: Policy | HostPolicy | Options, *, has_lua: bool) -> Iterator[Lack]:
    """See gen.backend.Backend."""
    if not isinstance(part, Policy):
        return
    if part.auth_basic and part.auth_basic.scheme != "basic":
        yield Lack("auth_basic.scheme", "digest is not supported", closes=True)
    if affinity := part.affinity:
        if affinity.expires is not None and not has_lua:
            yield Lack("affinity.expires", "is told as Max-Age: stock nginx has no words for a date to come")
        if affinity.change_on_failure and affinity.persistent:
            yield Lack("affinity.change_on_failure", "has no effect on a cookie that names an endpoint")
    if module_of(part.protocol) != "proxy":
        for field in ("cookie_rewrites", "redirect_rewrites"):
            if getattr(part, field):
                yield Lack(field, "have no effect on answers by gRPC and FastCGI")
