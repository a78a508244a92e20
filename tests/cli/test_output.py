from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.backend import Bundle, digest_of_files
from gen.cli.output import LIST, as_text, write_directory
from gen.errors import UsageError
from gen.trees import differing_files


def bundle(files: dict[str, str], *secrets: str) -> Bundle:
    content = {path: text.encode() for path, text in files.items()}
    return Bundle(content, digest_of_files(content), secrets=frozenset(secrets))


def tree(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): path.read_text()
        for path in directory.rglob("*")
        if path.is_file() and path.name != LIST
    }


def test_secrets_are_named_but_not_printed() -> None:
    text = as_text(bundle({"a.conf": "a", "keys/b.pem": "KEY"}, "keys/b.pem")).decode()
    assert "KEY" not in text
    assert text == (
        "# ==== a.conf ====\na\n\n# ==== keys/b.pem: holds a private key, so it is not printed; -o DIR writes it ====\n"
    )


def test_single_file_is_printed_as_it_is() -> None:
    assert as_text(bundle({"envoy.json": "{}"})) == b"{}"
    assert b"KEY" not in as_text(bundle({"envoy.json": "KEY"}, "envoy.json"))


def test_directory_gets_the_files_with_their_modes(tmp_path: Path) -> None:
    write_directory(tmp_path / "out", bundle({"a.conf": "a", "keys/b.pem": "KEY"}, "keys/b.pem"))
    assert tree(tmp_path / "out") == {"a.conf": "a", "keys/b.pem": "KEY"}
    assert (tmp_path / "out/keys/b.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "out/a.conf").stat().st_mode & 0o777 == 0o640


def test_stale_files_go_and_unchanged_ones_are_not_touched(tmp_path: Path) -> None:
    write_directory(tmp_path, bundle({"a.conf": "a", "hosts/x.conf": "x", "b.conf": "b"}))
    before = (tmp_path / "a.conf").stat()
    write_directory(tmp_path, bundle({"a.conf": "a", "b.conf": "B"}))
    assert tree(tmp_path) == {"a.conf": "a", "b.conf": "B"}
    assert not (tmp_path / "hosts").exists()
    after = (tmp_path / "a.conf").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_may_become_secret(tmp_path: Path) -> None:
    write_directory(tmp_path, bundle({"a": "same"}))
    write_directory(tmp_path, bundle({"a": "same"}, "a"))
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_foreign_directory_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty directory"):
        write_directory(tmp_path, bundle({"a.conf": "a"}))
    assert tree(tmp_path) == {"notes.txt": "mine"}


def test_foreign_file_in_our_directory_is_kept_or_refused(tmp_path: Path) -> None:
    write_directory(tmp_path, bundle({"a.conf": "a"}))
    (tmp_path / "notes.txt").write_text("mine")
    write_directory(tmp_path, bundle({"b.conf": "b"}))
    assert tree(tmp_path) == {"notes.txt": "mine", "b.conf": "b"}
    with pytest.raises(UsageError, match="is not gen's"):
        write_directory(tmp_path, bundle({"notes.txt": "gen"}))
    assert tree(tmp_path) == {"notes.txt": "mine", "b.conf": "b"}


def test_symlinked_folder_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    write_directory(tmp_path / "out", bundle({"a.conf": "a"}))
    (tmp_path / "out/hosts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a symlink"):
        write_directory(tmp_path / "out", bundle({"hosts/x.conf": "x"}))
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("line", ["/etc/passwd", "../victim"])
def test_list_that_names_files_outside_removes_nothing(tmp_path: Path, line: str) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LIST).write_text(f"{line}\n")
    with pytest.raises(UsageError, match="which is outside"):
        write_directory(tmp_path / "out", bundle({"a.conf": "a"}))
    assert (tmp_path / "victim").read_text() == "mine"


FILES = st.dictionaries(st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a"]), st.sampled_from(["x", "y"]), max_size=4)


@given(st.lists(FILES, min_size=1, max_size=4))
def test_directory_always_equals_the_last_bundle(
    tmp_path_factory: pytest.TempPathFactory, steps: list[dict[str, str]]
) -> None:
    directory = tmp_path_factory.mktemp("out")
    for files in steps:
        write_directory(directory, bundle(files))
        assert tree(directory) == files
        assert differing_files(directory, bundle(files).files) == ()
