"""The benchmark itself works; what it measures is for people, and depends on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import annotated, endpoint, layout
from benchmarks.__main__ import main
from benchmarks.manifests import write
from tests.live.proxies import BACKENDS, need_proxy


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_small_benchmark(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    need_proxy(backend)
    assert main(["--size", "50", "--backend", backend, "--input", "yaml", "--times", "1"]) == 0
    table = capsys.readouterr().out.splitlines()
    figures = [float(word) for word in table[2].split() if word[0].isdigit()]
    assert len(figures) == (11 if backend == "nginx" else 9)
    assert all(figure >= 0 for figure in figures)
    assert table[-1] == "every mark is met"


def test_a_small_benchmark_of_annotations(capsys: pytest.CaptureFixture[str]) -> None:
    need_proxy("nginx")
    annotated.main(["--size", "20", "--backend", "nginx", "--times", "1"])
    _, line = capsys.readouterr().out.splitlines()
    assert all(float(word) > 0 for word in line.split()[2:])


def test_every_ingress_of_it_is_annotated(tmp_path: Path) -> None:
    plain, folder = tmp_path / "plain", tmp_path / "annotated"
    plain.mkdir()
    folder.mkdir()
    write(plain, 150, "yaml")
    annotated.annotate(plain, folder)
    written = "".join(file.read_text() for file in folder.iterdir())
    assert written.count("annotations:") == written.count("kind: Ingress\n") == 150
    assert written.count(annotated.PREFIX) == 5 * 150


def test_a_small_benchmark_of_layouts(capsys: pytest.CaptureFixture[str]) -> None:
    need_proxy("nginx")
    assert layout.main(["--size", "20", "--times", "1"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [words[1] for words in lines] == ["obvious", "gen", "ratio"]
    assert all(float(words[-1]) > 0 for words in lines)


def test_a_small_benchmark_of_one_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    """The marks depend on the machine, but for one."""
    need_proxy("haproxy")
    endpoint.main(["--size", "20", "--backend", "haproxy", "--times", "2"])
    _, line, *verdict = capsys.readouterr().out.splitlines()
    assert line.split()[-1] == "0"
    assert not [mark for mark in verdict if "reload" in mark]
