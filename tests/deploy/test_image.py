"""The Containerfile: what can be told without building it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.overlays import OVERLAYS, ROOT, containers, gen_of, overlay, pod_of, proxy_of
from tests.live.proxies import BACKENDS

LINES = (ROOT / "deploy" / "Containerfile").read_text().splitlines()


def stages() -> dict[str, list[str]]:
    """The instructions of each stage."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in LINES:
        if line.startswith("FROM "):
            name = line.split()[-1]
            found[name] = [line]
        elif name and line and not line.startswith("#"):
            found[name].append(line)
    return found


def test_there_is_an_image_for_each_proxy_and_it_is_not_root() -> None:
    made = stages()
    assert made.keys() == {"build", "base", *BACKENDS}
    for backend in BACKENDS:
        users = [line.split()[1] for line in (*made["base"], *made[backend]) if line.startswith("USER ")]
        assert users[-1] == "65532:65532"
        assert made[backend][0] == f"FROM base AS {backend}"
        assert made[backend][-1].startswith("USER ")


def test_nothing_but_checked_wheels_is_installed() -> None:
    runs = [line for lines in stages().values() for line in lines if "/pip " in line]
    (download, *rest) = runs
    assert "pip download --require-hashes --only-binary :all:" in download
    assert "-r requirements.lock" in download
    assert len(rest) == 3
    assert all("--no-index --find-links /wheels" in line for line in rest)
    assert not any(re.search(r"\b(curl|wget|ADD|:latest)\b", line) for line in LINES)


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name
        for line in stages()["build"]
        if line.startswith("COPY ")
        for name in line.split()[1:-1]
        if not name.startswith("--")
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_runs_the_image_of_its_proxy_in_both_containers(name: str) -> None:
    pod = pod_of(overlay(name))
    images = {container["image"] for container in containers(pod)}
    assert images == {f"ingress-gen:{proxy_of(pod)['name']}"}
    assert "command" not in gen_of(pod), "the image's own, gen"
    assert 'ENTRYPOINT ["gen"]' in stages()["base"]
    path = next(line for line in stages()["base"] if line.startswith("ENV PATH="))
    assert Path("/opt/gen/bin").as_posix() in path
