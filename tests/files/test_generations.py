"""Generations on disk: whatever came before, a directory holds its bundle and nothing else, and little is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gen.backend import Bundle, digest_of_files
from gen.errors import ApplyError
from gen.files import KEEP, Generations

PATHS = ("main.conf", "hosts/a.conf", "hosts/b.conf", "certificates/a.key", "policies/deep/x")
contents = st.dictionaries(st.sampled_from(PATHS), st.sampled_from((b"", b"one", b"two\n")))


def bundle(files: Mapping[str, bytes], *, secrets: frozenset[str] = frozenset({"certificates/a.key"})) -> Bundle:
    """A bundle of these files and one that names them all."""
    digest = digest_of_files({**files, "?": repr(sorted(secrets)).encode()})
    return Bundle({**files, "digest.conf": digest.encode()}, digest, secrets=secrets & files.keys())


def held(root: Path) -> dict[str, tuple[bytes, int]]:
    """The files of a directory and their modes."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o777) for path in files}


def wanted(given_bundle: Bundle) -> dict[str, tuple[bytes, int]]:
    """What a directory should hold."""
    secrets = given_bundle.secrets
    return {path: (content, 0o600 if path in secrets else 0o640) for path, content in given_bundle.files.items()}


def roll_out(generations: Generations, new: Bundle) -> Path:
    """Write, publish and accept."""
    root = generations.write(new)
    generations.publish(new.digest)
    generations.accept(new.digest)
    return root


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=st.lists(st.tuples(contents, st.booleans()), max_size=8))
def test_any_history_ends_with_the_bundle_itself(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[dict[str, bytes], bool]]
) -> None:
    generations = Generations(tmp_path_factory.mktemp("state"))
    alive: dict[str, Bundle] = {}
    for files, is_accepted in history:
        new = bundle(files, secrets=frozenset({"certificates/a.key"} if is_accepted else {"main.conf"}))
        alive[new.digest] = new
        if is_accepted:
            roll_out(generations, new)
        else:
            generations.write(new)
        present = {path.name.removeprefix("gen-") for path in generations.state_dir.glob("gen-*")}
        assert new.digest in present
        assert {generations.current(), generations.accepted()} - {None} <= present
        for digest in present:
            assert held(generations.directory(digest)) == wanted(alive[digest])


def test_the_oldest_generation_becomes_the_new_one(tmp_path: Path) -> None:
    generations = Generations(tmp_path)
    same = {f"hosts/{number}.conf": b"host" for number in range(9)}
    states = [bundle({**same, "main.conf": str(number).encode()}) for number in range(KEEP + 3)]
    first = roll_out(generations, states[0])
    inode = (first / "hosts").stat().st_ino
    for state in states[1:KEEP]:
        roll_out(generations, state)
    last = roll_out(generations, states[KEEP])
    assert (last / "hosts").stat().st_ino == inode
    assert not first.exists()
    assert len(list(tmp_path.glob("gen-*"))) == KEEP


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    generations = Generations(tmp_path)
    one = roll_out(generations, bundle({"main.conf": b"1", "hosts/a.conf": b"a"}))
    two = roll_out(generations, bundle({"main.conf": b"2", "hosts/a.conf": b"a"}))
    assert (one / "hosts/a.conf").stat().st_ino == (two / "hosts/a.conf").stat().st_ino
    assert (one / "main.conf").read_bytes() == b"1"


@pytest.mark.parametrize("fault", ["removed", "added", "folder", "main"])
def test_a_generation_that_somebody_else_changed_is_not_built_on(tmp_path: Path, fault: str) -> None:
    generations = Generations(tmp_path)
    for number in range(KEEP):
        root = roll_out(generations, bundle({"main.conf": str(number).encode(), "hosts/a.conf": b"a"}))
    for root in tmp_path.glob("gen-*"):
        if fault == "removed":
            (root / "hosts/a.conf").unlink()
        elif fault == "added":
            (root / "hosts/z.conf").write_bytes(b"z")
        elif fault == "main":
            (root / "digest.conf").unlink()
        else:
            shutil.rmtree(root / "hosts")
    new = bundle({"main.conf": b"new", "hosts/a.conf": b"a"})
    assert held(roll_out(generations, new)) == wanted(new)


def test_another_process_starts_from_nothing(tmp_path: Path) -> None:
    roll_out(Generations(tmp_path), bundle({"main.conf": b"1", "hosts/a.conf": b"a"}))
    new = bundle({"main.conf": b"2", "hosts/a.conf": b"a"})
    assert held(roll_out(Generations(tmp_path), new)) == wanted(new)


def test_without_hard_links_everything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    generations = Generations(tmp_path)
    roll_out(generations, bundle({"main.conf": b"1", "hosts/a.conf": b"a"}))
    monkeypatch.setattr(os, "link", refuse)
    new = bundle({"main.conf": b"2", "hosts/a.conf": b"a"})
    assert held(roll_out(generations, new)) == wanted(new)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    generations = Generations(tmp_path)
    kept = bundle({"main.conf": b"1"})
    roll_out(generations, kept)
    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(ApplyError, match="No space left"):
        generations.write(bundle({"main.conf": b"2"}))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".draft")] == []
    assert held(generations.directory(kept.digest)) == wanted(kept)
