"""Other versions of the proxies: they accept what is written for them, and answer alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from tests.live.echo import EchoNet
from tests.live.proxies import BACKENDS, OTHER_VERSIONS, Version, need_proxy, need_version
from tests.proof.answers import answers_of, can_run
from tests.proof.case import Case, all_cases
from tests.proof.golden import run_gen
from tests.proof.test_behaviour import faults_of, rows_of

CASES = all_cases()
SHORT_RUN = [case for case in CASES if not case.flags and not case.is_alone]


def together() -> Iterator[tuple[str, tuple[str, ...], list[Case]]]:
    """The cases in as few configurations as they fit into: a name, options, cases."""
    for flags, group in groupby(sorted(CASES, key=lambda case: case.flags), key=lambda case: case.flags):
        cases = list(group)
        yield " ".join(flags) or "no options", flags, [case for case in cases if not case.is_alone]
        yield from ((case.name, flags, [case]) for case in cases if case.is_alone)


def accepts(backend: str, folder: Path, *placement: str) -> None:
    """Render all cases and let the proxy's own test judge them."""
    for number, (name, flags, cases) in enumerate(together()):
        source, output = folder / f"{number}.json", folder / f"{number}"
        items = [item for case in cases for item in case.objects]
        source.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        run_gen("render", "-b", backend, "-f", str(source), "-o", str(output), *flags, *placement)
        try:
            run_gen("validate", "-b", backend, str(output), *placement)
        except AssertionError as error:
            raise AssertionError(f"{backend} refuses the cases with {name}:\n{error}") from error


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_installed_proxy_accepts_every_case(backend: str, tmp_path: Path) -> None:
    need_proxy(backend)
    accepts(backend, tmp_path)


@pytest.mark.parametrize("version", OTHER_VERSIONS, ids=str)
def test_another_version_accepts_every_case(version: Version, tmp_path: Path) -> None:
    binary = need_version(version)
    accepts(version.backend, tmp_path, "--proxy-binary", str(binary))


@pytest.mark.slow
@pytest.mark.parametrize("version", OTHER_VERSIONS, ids=str)
def test_another_version_answers_as_the_cases_want(version: Version, tmp_path: Path, echo: EchoNet) -> None:
    binary = need_version(version)
    found = answers_of(version.backend, SHORT_RUN, tmp_path, echo, "--proxy-binary", str(binary))
    rows = [pair for case in SHORT_RUN if can_run(case) for pair in rows_of(case)]
    faults = [
        f"{place}: {why}" for place, row in rows for why in faults_of(row.wanted_from(version.backend), found[place])
    ]
    assert not faults, "\n".join(faults)
