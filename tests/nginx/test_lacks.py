"""What nginx says of values that it does not honour."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.nginx import Nginx
from gen.backend import Placement
from gen.fit import fit
from gen.ir import Policy, Respond
from gen.policy import Affinity, BasicAuth, CookieRewrite
from tests.haproxy.configs import config, host, to, upstream


@pytest.mark.parametrize(
    ("policy", "field", "closes"),
    [
        (Policy(auth_basic=BasicAuth("x", (), "digest")), "auth_basic.scheme", True),
        (Policy(auth_basic=BasicAuth("x", ())), None, False),
        (Policy(affinity=Affinity(expires=5)), "affinity.expires", False),
        (Policy(affinity=Affinity(change_on_failure=True, persistent=True)), "affinity.change_on_failure", False),
        (Policy(affinity=Affinity(change_on_failure=True, max_age=5)), None, False),
        (Policy(cookie_rewrites=(CookieRewrite("path", "/a", "/b"),), protocol="fcgi"), "cookie_rewrites", False),
        (Policy(cookie_rewrites=(CookieRewrite("path", "/a", "/b"),)), None, False),
    ],
)
def test_what_is_not_honoured_is_told(policy: Policy, field: str | None, closes: bool) -> None:
    stock = Nginx(Placement("managed", Path("/nonexistent"), Path("/nonexistent"), version="1.22.1"))
    assert [lack.field for lack in stock.lacks(policy)] == ([field] if field else [])
    given = config((host("a.test", ("prefix", "/", to("echo")), policy=policy),), (upstream("echo", "127.0.0.9"),))
    fitted, issues = fit(given, stock.features, stock.lacks)
    assert (fitted.hosts["a.test"].routes[0].action == Respond(503)) == closes
    assert [issue.severity for issue in issues] == (["error" if closes else "warning"] if field else [])
