"""What is kept of a file that went bad, step by step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.k8s import ConfigMap
from gen.sources import Batch, manifests, memory
from gen.sources.manifests import Choice
from gen.sources.memory import Memory
from gen.sources.tree import tree_at
from tests.sources.watching import config

A, B, C = config("a"), config("b"), config("c")
BAD_SYNTAX = "a: 'b\n"
WORSE_SYNTAX = "a: [b\n"
BAD_B = config("b").partition("\ndata:")[0] + "\ndata: 5\n"
BAD_NAME = config("b").replace("name: b", "name: ../b")
OLD_INGRESS = "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: old}\n"
DELETED_B = config("b").replace("name: b", "name: b\n  deletionTimestamp: 2026-01-01T00:00:00Z")

STORIES: dict[str, list[tuple[Sequence[str], str]]] = {
    "a document goes bad": [((A, B), "a b"), ((A, BAD_SYNTAX), "a b"), ((A, B), "a b")],
    "bad, then gone": [((A, B), "a b"), ((A, BAD_SYNTAX), "a b"), ((A,), "a")],
    "removed while another is bad": [((A, B, C), "a b c"), ((A, B, BAD_SYNTAX), "a b c"), ((A, BAD_SYNTAX), "a c")],
    "removed together with a typo": [((A, B), "a b"), ((BAD_SYNTAX,), "a b"), ((BAD_SYNTAX, A), "a b"), ((A,), "a")],
    "bad in another way": [((A, B), "a b"), ((A, BAD_SYNTAX), "a b"), ((A, WORSE_SYNTAX), "a b"), ((B,), "b")],
    "an object goes bad": [((A, B), "a b"), ((A, BAD_B), "a b"), ((BAD_B,), "b"), ((A, B), "a b")],
    "an object goes bad, another is removed": [((A, B), "a b"), ((BAD_B,), "b")],
    "an object without a name": [((A, B), "a b"), ((A, BAD_NAME), "a b"), ((A,), "a")],
    "an old fault keeps nobody": [((A, B, OLD_INGRESS), "a b"), ((A, OLD_INGRESS), "a")],
    "emptied": [((A, B), "a b"), ((), "")],
    "being deleted": [((A, B), "a b"), ((A, DELETED_B), "a")],
    "bad from the start": [((A, BAD_SYNTAX), "a"), ((A, B), "a b")],
}


def take(state: Memory, directory: Path) -> Batch | None:
    return state.update(tree_at(str(directory), recursive=False).files)


def names(state: Memory) -> str:
    return " ".join(sorted(ref.name for ref in state.manifests.objects))


@pytest.mark.parametrize("story", STORIES)
def test_story(tmp_path: Path, story: str) -> None:
    state = Memory(Choice())
    (tmp_path / "other.yaml").write_text("# nothing\n")
    for documents, expected in STORIES[story]:
        (tmp_path / "a.yaml").write_text("---\n".join(documents))
        take(state, tmp_path)
        assert names(state) == expected
        values = {
            (item.data or {}).get("value") for item in state.manifests.objects.values() if isinstance(item, ConfigMap)
        }
        assert values <= {"1"}, "the last good state"


def test_a_bad_file_that_is_removed_keeps_nobody(tmp_path: Path) -> None:
    state = Memory(Choice())
    for text in (A, BAD_SYNTAX):
        (tmp_path / "a.yaml").write_text(text)
        take(state, tmp_path)
    assert names(state) == "a"
    (tmp_path / "a.yaml").unlink()
    batch = take(state, tmp_path)
    assert batch is not None
    assert (names(state), batch.issues) == ("", ())


def test_an_object_that_moved_counts_where_it_is(tmp_path: Path) -> None:
    state = Memory(Choice())
    (tmp_path / "a.yaml").write_text(A)
    take(state, tmp_path)
    (tmp_path / "a.yaml").write_text(BAD_SYNTAX)
    (tmp_path / "b.yaml").write_text(config("a", "2"))
    batch = take(state, tmp_path)
    assert batch is not None
    assert [issue.code for issue in batch.issues] == ["YamlInvalid"]
    (change,) = batch.changes
    assert isinstance(change.object, ConfigMap)
    assert change.object.data == {"value": "2"}


def test_a_file_that_cannot_be_read_keeps_everything(tmp_path: Path) -> None:
    state = Memory(Choice())
    file = tmp_path / "a.yaml"
    file.write_text(A)
    take(state, tmp_path)
    file.unlink()
    file.symlink_to("nowhere")
    batch = take(state, tmp_path)
    assert batch is not None
    assert [issue.code for issue in batch.issues] == ["Unreadable"]
    assert take(state, tmp_path) is None
    file.unlink()
    file.write_text(A)
    batch = take(state, tmp_path)
    assert batch is not None
    assert (batch.changes, batch.issues) == ((), ())
    assert names(state) == "a"


def test_too_large_keeps_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = Memory(Choice())
    (tmp_path / "a.yaml").write_text(A)
    (tmp_path / "b.yaml").write_text(B)
    take(state, tmp_path)
    monkeypatch.setattr(manifests, "MAX_FILE", len(A) + 5)
    (tmp_path / "a.yaml").write_text(f"# too long now\n{A}")
    batch = take(state, tmp_path)
    assert batch is not None
    assert ([issue.code for issue in batch.issues], names(state)) == (["TooLarge"], "a b")
    monkeypatch.setattr(memory, "MAX_TOTAL", len(A) + 20)
    (tmp_path / "b.yaml").write_text(f"# too much now\n{B}")
    batch = take(state, tmp_path)
    assert batch is not None
    assert ([issue.code for issue in batch.issues], names(state)) == (["TooLarge"] * 2, "a b")


def test_nothing_new_is_no_batch(tmp_path: Path) -> None:
    state = Memory(Choice())
    (tmp_path / "a.yaml").write_text(f"{A}---\n{BAD_SYNTAX}")
    assert take(state, tmp_path) is not None
    assert take(state, tmp_path) is None
    os.utime(tmp_path / "a.yaml", (1, 1))
    assert take(state, tmp_path) is None


def test_two_paths_to_a_file_are_one(tmp_path: Path) -> None:
    state = Memory(Choice())
    (tmp_path / "a.yaml").write_text(A)
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    batch = take(state, tmp_path)
    assert batch is not None
    assert batch.issues == ()


def test_a_change_within_the_tick_of_a_clock_is_seen(tmp_path: Path) -> None:
    """Contents of the same size, the same inode, and times that a coarse clock would not move on."""
    state = Memory(Choice())
    file = tmp_path / "a.yaml"
    file.write_text(A)
    (seen,) = tree_at(str(tmp_path), recursive=False).files
    state.update([seen])
    file.write_text(config("a", "2"))
    batch = state.update([seen])
    assert batch is not None
    assert len(batch.changes) == 1


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from("xyz"), st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12")))),
        max_size=6,
    )
)
def test_step_by_step_is_what_one_reading_gives(states: list[dict[str, list[tuple[str, str]]]]) -> None:
    """Through any history of good files, duplicates included."""
    state, known = Memory(Choice()), {}
    with tempfile.TemporaryDirectory() as directory:
        for files in states:
            for name in "xyz":
                file = Path(directory, f"{name}.yaml")
                if name in files:
                    file.write_text("---\n".join(config(*document) for document in files[name]))
                else:
                    file.unlink(missing_ok=True)
            batch = take(state, Path(directory))
            for change in batch.changes if batch else ():
                known[change.ref] = change.object
            fresh = Memory(Choice())
            take(fresh, Path(directory))
            assert {ref: item for ref, item in known.items() if item} == fresh.manifests.objects
            assert state.manifests.issues == fresh.manifests.issues
