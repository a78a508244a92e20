"""A path among regexes."""

from __future__ import annotations

import re
from functools import lru_cache

from gen.dialects.regex import path_regex
from gen.errors import BadValue

_SPECIAL = re.compile(r"[\\.^$|?*+()\[\]{}]")


@lru_cache(maxsize=4096)
def as_regex(path: str) -> str:
    """A path of another Ingress as a regex: taken for one where it can be, as in ingress-nginx, else literally."""
    try:
        return path_regex(path)
    except BadValue:
        return _SPECIAL.sub(r"\\\g<0>", path)
