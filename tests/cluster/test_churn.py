"""Endpoints that change a thousand times a second: the proxy ends up with exactly what there is.

The benchmark of the same name does this for a minute.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.churn import Outcome, accepted_addresses, measure
from tests.live.proxies import BACKENDS, need_proxy


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_short_churn(backend: str, tmp_path: Path) -> None:
    need_proxy(backend)
    outcome = measure(backend, tmp_path / "run", seconds=3.0, rate=1000.0, services=50)
    assert outcome.writes > 1000
    # what is loaded on first use still shows in so short a time
    assert [what for what in outcome.missed() if "memory" not in what] == []
    assert outcome.growth < 1.5


def test_marks_can_be_missed(tmp_path: Path) -> None:
    good = Outcome(1000, 1.0, 0.5, 3, 3, (80.0, 81.0, 82.0, 83.0), 0.5)
    assert list(good.missed()) == []
    bad = msgspec.structs.replace(good, reloads=4, memory=(80.0, 80.0, 80.0, 90.0), settled=None)
    assert len(list(bad.missed())) == 3
    (tmp_path / "a.conf").write_text("server 10.1.2.3:80; server 110.1.2.3; # 10.9.9")
    assert accepted_addresses(tmp_path) == {"10.1.2.3"}
