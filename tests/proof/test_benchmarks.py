"""The benchmark itself works; what it measures is for people, and depends on the machine."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main
from tests.live.proxies import BACKENDS, need_proxy


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_small_benchmark(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    need_proxy(backend)
    assert main(["--size", "50", "--backend", backend, "--input", "yaml", "--times", "1"]) == 0
    table = capsys.readouterr().out.splitlines()
    figures = [float(word) for word in table[2].split() if word[0].isdigit()]
    assert len(figures) == 9
    assert all(figure >= 0 for figure in figures)
    assert table[-1] == "every mark is met"
