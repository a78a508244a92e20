"""The templates, filled in with nothing but what an encoder wrote."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jinja2

from backends.nginx import syntax


@cache
def templates() -> jinja2.Environment:
    """The templates; they print nothing that no encoder wrote."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("backends.nginx"),
        undefined=jinja2.StrictUndefined,
        finalize=syntax.only_encoded,
        autoescape=False,  # noqa: S701 that is for HTML; here `finalize` watches
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def macro(template: str, name: str) -> Callable[..., str]:
    """A macro of a template, which is much cheaper to call than a template."""
    found: Callable[..., str] = getattr(templates().get_template(f"{template}.j2").module, name)
    return found


def fill(template: str, **values: object) -> bytes:
    """A template as a file."""
    return templates().get_template(f"{template}.j2").render(values).encode()
