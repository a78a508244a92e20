"""Manifests that are watched, on real directories, in all that happens to them.

No event counts as proof: where a test says that something is taken in, the rescan is far away.
"""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gen.errors import UsageError
from gen.ir import Source
from gen.k8s import Ref
from gen.sources import directory, sections, watch
from gen.sources.directory import ManifestDirectory
from gen.sources.memory import Memory
from gen.sources.watch import Bell
from tests.sources.watching import Watching, config, eventually, replace, swap_volume


async def test_the_first_batch_has_everything(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(config("a") + "---\n" + config("b"))
    (tmp_path / "c.json").write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}')
    async with Watching(tmp_path) as watched:
        await watched.until_values(a="1", b="1", c="")
    assert len(watched.batches) == 1
    assert watched.batches[0].synced


async def test_an_empty_directory_is_in_sync(tmp_path: Path) -> None:
    async with Watching(tmp_path) as watched:
        await watched.until(lambda: watched.batches)
        assert watched.batches[0].synced
        (tmp_path / "a.yaml").write_text(config("a"))
        await watched.until_values(a="1")


async def test_later_batches_have_only_what_changed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(config("a") + "---\n" + config("b"))
    (tmp_path / "c.yaml").write_text(config("c"))
    async with Watching(tmp_path) as watched:
        await watched.until_values(a="1", b="1", c="1")
        replace(tmp_path / "a.yaml", "# comment\n" + config("a", "2") + "---\n" + config("b"))
        await watched.until_values(a="2", b="1", c="1")
        assert [change.ref.name for change in watched.batches[-1].changes] == ["a"]
        (tmp_path / "c.yaml").unlink()
        await watched.until_values(a="2", b="1")
        assert [(change.ref.name, change.object) for change in watched.batches[-1].changes] == [("c", None)]
    assert len(watched.batches) == 3


async def test_only_documents_that_changed_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("---\n".join(config(f"c{number}") for number in range(100)))
    async with Watching(tmp_path) as watched:
        await watched.until(lambda: watched.batches)
        read = []
        original = sections.read_section

        def counted(section: sections.Section, namespace: str) -> object:
            read.append(section)
            return original(section, namespace)

        monkeypatch.setattr(sections, "read_section", counted)
        texts = [config(f"c{number}", "2" if number == 50 else "1") for number in range(100)]
        replace(tmp_path / "a.yaml", "---\n".join(texts))
        await watched.until(lambda: watched.values.get("c50") == "2")
        assert len(read) == 1


async def test_writing_in_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(config("a"))
    async with Watching(tmp_path) as watched:
        await watched.until_values(a="1")
        for value in "23456789":
            (tmp_path / "a.yaml").write_text(config("a", value))  # the same size each time
            await watched.until_values(a=value)


async def test_renamed_within_and_into(tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (tmp_path / "b.yaml").write_text(config("b"))
    (manifests / "a.yaml").write_text(config("a"))
    async with Watching(manifests) as watched:
        await watched.until_values(a="1")
        (manifests / "a.yaml").rename(manifests / "z.yaml")
        (tmp_path / "b.yaml").rename(manifests / "b.yaml")
        await watched.until_values(a="1", b="1")
        (manifests / "z.yaml").rename(manifests / "z.txt")
        await watched.until_values(b="1")
        (manifests / "b.yaml").rename(tmp_path / "b.yaml")
        await watched.until_values()


async def test_mounted_config_map(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    swap_volume(volume, "1", {"a.yaml": config("a"), "b.yaml": config("b")})
    async with Watching(volume) as watched:
        await watched.until_values(a="1", b="1")
        for version in "2345":
            swap_volume(volume, version, {"a.yaml": config("a", version), "b.yaml": config("b")})
            await watched.until_values(a=version, b="1")
            assert watched.codes == []
    assert len(watched.batches) == 5


async def test_projected_volume_with_directories(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    swap_volume(volume, "1", {"sub/a.yaml": config("a")})
    async with Watching(volume, recursive=True) as watched:
        await watched.until_values(a="1")
        swap_volume(volume, "2", {"sub/a.yaml": config("a", "2")})
        await watched.until_values(a="2")


async def test_an_editor_saves(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(config("a"))
    async with Watching(tmp_path) as watched:
        await watched.until_values(a="1")
        (tmp_path / ".a.yaml.swp").write_text(config("swap"))
        (tmp_path / "4913").write_text("")
        (tmp_path / "4913").unlink()
        file.rename(tmp_path / "a.yaml~")
        file.write_text(config("a", "2"))
        (tmp_path / ".a.yaml.swp").unlink()
        await watched.until_values(a="2")
    assert len(watched.batches) <= 3, "at worst the moment between the two renames is seen"


async def test_a_directory_that_appears_late(tmp_path: Path) -> None:
    late = tmp_path / "one" / "two" / "three"
    async with Watching(late) as watched:
        (tmp_path / "one").mkdir()
        await asyncio.sleep(0)
        (tmp_path / "one" / "two").mkdir()
        beside = tmp_path / "beside"
        beside.mkdir()
        (beside / "a.yaml").write_text(config("a"))
        assert watched.batches == []
        beside.rename(late)
        await watched.until_values(a="1")
        (late / "b.yaml").write_text(config("b"))
        await watched.until_values(a="1", b="1")
    assert all(batch.synced for batch in watched.batches)


async def test_deleted_and_created_again(tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "a.yaml").write_text(config("a", "0"))
    async with Watching(manifests) as watched:
        await watched.until_values(a="0")
        for old, new in ("01", "12", "23"):
            shutil.rmtree(manifests)
            await watched.until(lambda: watched.codes == ["SourceMissing"])
            assert watched.values == {"a": old}, "the last state stays"
            assert watched.batches[-1].changes == ()
            assert not watched.batches[-1].synced
            assert watched.issues[0].source.file == str(manifests)
            manifests.mkdir()
            replace(manifests / "a.yaml", config("a", new))
            await watched.until_values(a=new)
            await watched.until(lambda: watched.batches[-1].synced)


async def test_back_as_it_was(tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "a.yaml").write_text(config("a"))
    async with Watching(manifests) as watched:
        await watched.until_values(a="1")
        manifests.rename(tmp_path / "away")
        await watched.until(lambda: not watched.batches[-1].synced)
        (tmp_path / "away").rename(manifests)
        await watched.until(lambda: watched.batches[-1].synced)
        assert watched.batches[-1].changes == ()
        assert watched.codes == []


async def test_renamed_away_and_replaced(tmp_path: Path) -> None:
    manifests, other = tmp_path / "manifests", tmp_path / "other"
    for place, name in ((manifests, "a"), (other, "b")):
        place.mkdir()
        (place / "a.yaml").write_text(config(name))
    async with Watching(manifests) as watched:
        await watched.until_values(a="1")
        manifests.rename(tmp_path / "old")
        other.rename(manifests)
        await watched.until_values(b="1")
        (manifests / "c.yaml").write_text(config("c"))
        await watched.until_values(b="1", c="1")


@pytest.mark.parametrize("inner", ["", "manifests"])
async def test_a_link_on_the_way_is_led_elsewhere(tmp_path: Path, inner: str) -> None:
    for version in "12":
        (tmp_path / version / inner).mkdir(parents=True)
        (tmp_path / version / inner / "a.yaml").write_text(config("a", version))
    (tmp_path / "current").symlink_to("1")
    async with Watching(tmp_path / "current" / inner) as watched:
        await watched.until_values(a="1")
        (tmp_path / "next").symlink_to(tmp_path / "2")
        (tmp_path / "next").rename(tmp_path / "current")
        await watched.until_values(a="2")
        (tmp_path / "2" / inner / "b.yaml").write_text(config("b"))
        await watched.until_values(a="2", b="1")


async def test_what_a_link_leads_to_changes(tmp_path: Path) -> None:
    manifests, elsewhere = tmp_path / "manifests", tmp_path / "elsewhere"
    manifests.mkdir()
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text(config("a"))
    (manifests / "a.yaml").symlink_to(elsewhere / "a.txt")
    async with Watching(manifests) as watched:
        await watched.until_values(a="1")
        (elsewhere / "a.txt").write_text(config("a", "2"))
        await watched.until_values(a="2")
        replace(elsewhere / "a.txt", config("a", "3"))
        await watched.until_values(a="3")
        (elsewhere / "a.txt").unlink()
        await watched.until(lambda: watched.codes == ["Unreadable"])
        assert watched.values == {"a": "3"}


async def test_a_single_file(tmp_path: Path) -> None:
    file = tmp_path / "manifest"
    file.write_text(config("a"))
    async with Watching(file) as watched:
        await watched.until_values(a="1")
        replace(file, config("a", "2"))
        await watched.until_values(a="2")
        file.write_text(config("a", "3"))
        await watched.until_values(a="3")
        file.unlink()
        await watched.until(lambda: watched.codes == ["SourceMissing"])
        file.write_text(config("b"))
        await watched.until_values(b="1")
        (tmp_path / "other.yaml").write_text(config("other"))
        replace(file, config("b", "2"))
        await watched.until_values(b="2")


async def test_directories_below(tmp_path: Path) -> None:
    async with Watching(tmp_path, recursive=True) as watched:
        await watched.until(lambda: watched.batches)
        (tmp_path / "one" / "two").mkdir(parents=True)
        (tmp_path / "one" / "two" / "a.yaml").write_text(config("a"))
        await watched.until_values(a="1")
        (tmp_path / "one" / "two" / "a.yaml").write_text(config("a", "2"))
        await watched.until_values(a="2")
        shutil.rmtree(tmp_path / "one")
        await watched.until_values()


async def test_several_paths_wait_for_each_other(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (one / "a.yaml").write_text(config("a"))
    async with Watching(one, two) as watched:
        beside = tmp_path / "beside"
        beside.mkdir()
        (beside / "b.yaml").write_text(config("b"))
        beside.rename(two)
        await watched.until_values(a="1", b="1")
    assert len(watched.batches) == 1


# ------------------------------------------------------------------ what is wrong with the files


async def test_a_typo_takes_nothing_away(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(config("a") + "---\n" + config("b"))
    async with Watching(tmp_path) as watched:
        await watched.until_values(a="1", b="1")
        replace(file, config("a", "2") + "---\n" + config("b", "2").replace("name: b", "name: 'b"))
        await watched.until_values(a="2", b="1")
        assert watched.codes == ["YamlInvalid"]
        assert (watched.issues[0].source.file, watched.issues[0].source.line) == (str(file), 13)
        replace(file, config("a", "2") + "---\n" + config("b", "3"))
        await watched.until_values(a="2", b="3")
        assert watched.codes == []


async def test_a_file_that_was_bad_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 'b\n")
    (tmp_path / "b.yaml").write_text(config("b"))
    async with Watching(tmp_path) as watched:
        await watched.until_values(b="1")
        assert watched.codes == ["YamlInvalid"]
        (tmp_path / "a.yaml").unlink()
        await watched.until(lambda: watched.codes == [])
        assert watched.batches[-1].changes == ()


async def test_where_things_stand(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(config("a"))
    async with Watching(tmp_path) as watched:
        await watched.until_values(a="1")
        assert watched.source.locate(Source("ConfigMap", "default", "a", "data[value]")) == (str(file), 6)
        replace(file, "# moved\n" + config("a", "2"))
        await watched.until_values(a="2")
        assert watched.source.locate(Source("ConfigMap", "default", "a", "data[value]")) == (str(file), 7)


async def test_namespace_and_selector(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(config("a"))
    async with Watching(tmp_path, namespace="shop", selector="a=b") as watched:
        await watched.until_values(a="1")
        assert set(watched.objects) == {Ref("ConfigMap", "shop", "a")}


# ------------------------------------------------------------------ many changes, few batches


async def test_two_hundred_writers(tmp_path: Path) -> None:
    """They write, rename, delete and damage for a while; what is there in the end is what the source says."""
    files = [tmp_path / f"f{number}.yaml" for number in range(40)]
    final = {}
    writers: list[Callable[[Path, str], object]] = [replace_or_lose, Path.write_text, damage]

    def write(number: int) -> None:
        dice = random.Random(number)
        file = files[number % len(files)]
        for turn in range(5):
            text = config(f"c{number % len(files)}", f"{number}-{turn}")
            writers[dice.randrange(3)](file, text)

    async with Watching(tmp_path, quiet=0.05, max_wait=0.2) as watched:
        await watched.until(lambda: watched.batches)
        await asyncio.gather(*(asyncio.to_thread(write, number) for number in range(200)))
        for number, file in enumerate(files):
            if number % 4:
                replace(file, config(f"c{number}", "final"))
                final[f"c{number}"] = "final"
            else:
                file.unlink(missing_ok=True)
        await watched.until_values(**final)
        await watched.until(lambda: watched.codes == [])


def replace_or_lose(file: Path, text: str) -> None:
    try:
        replace(file, text)
    except FileNotFoundError:  # another writer used the same name beside it
        file.write_text(text)


def damage(file: Path, text: str) -> None:
    file.write_text(text[: len(text) // 2] + "'")


async def test_a_burst_is_few_batches(tmp_path: Path) -> None:
    async with Watching(tmp_path) as watched:
        await watched.until(lambda: watched.batches)
        for number in range(300):
            replace(tmp_path / f"f{number}.yaml", config(f"c{number}"))
        await watched.until(lambda: len(watched.values) == 300)
    assert len(watched.batches) <= 8


async def test_unending_changes_do_not_delay_for_ever(tmp_path: Path) -> None:
    async with Watching(tmp_path, quiet=5.0, max_wait=0.3) as watched:
        await watched.until(lambda: watched.batches)
        number = 0
        while len(watched.batches) < 3:
            number += 1
            assert number < 2000
            replace(tmp_path / "a.yaml", config("a", str(number)))
            await asyncio.sleep(0.01)


async def test_the_loop_lives_while_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()
    update = Memory.update

    def waiting(self: Memory, *args: object) -> object:
        assert going_on.wait(20), "the loop does not run"
        return update(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Memory, "update", waiting)
    (tmp_path / "a.yaml").write_text(config("a"))
    async with Watching(tmp_path) as watched:
        await asyncio.sleep(0.01)
        going_on.set()
        await watched.until_values(a="1")


# ------------------------------------------------------------------ without events, and the end


async def test_the_rescan_finds_what_no_event_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bell, "hang", lambda *_: False)
    async with Watching(tmp_path, rescan=0.05) as watched:
        await watched.until(lambda: watched.batches)
        (tmp_path / "a.yaml").write_text(config("a"))
        await watched.until_values(a="1")


async def test_without_kernel_watches_it_polls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Bell, targets: object) -> bool:
        raise OSError(errno.ENOSPC, "no space left for watches")

    monkeypatch.setattr(Bell, "hang", refuse)
    monkeypatch.setattr(directory, "POLLING", 0.05)
    async with Watching(tmp_path) as watched:
        await watched.until(lambda: watched.batches)
        (tmp_path / "a.yaml").write_text(config("a"))
        await watched.until_values(a="1")
    assert caplog.text.count("cannot watch for changes") == 1


async def test_a_dead_observer_is_replaced(tmp_path: Path) -> None:
    async with Watching(tmp_path, rescan=0.05) as watched:
        await watched.until(lambda: watched.batches)
        bell = watched.source._bell
        assert bell
        first = bell._observer
        assert first
        first.stop()
        await eventually(lambda: bell._observer is not first and bell._hung)
        (tmp_path / "a.yaml").write_text(config("a"))
        await watched.until_values(a="1")


async def test_more_directories_than_can_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "MAX_TARGETS", 5)
    monkeypatch.setattr(directory, "POLLING", 0.05)
    for number in range(10):
        (tmp_path / str(number)).mkdir()
    async with Watching(tmp_path, recursive=True) as watched:
        await watched.until(lambda: watched.batches)
        (tmp_path / "7" / "a.yaml").write_text(config("a"))
        await watched.until_values(a="1")
    assert "there are more than 5 directories" in caplog.text


async def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    async with Watching(tmp_path / "one") as watched:
        (tmp_path / "three").mkdir()
        (tmp_path / "three" / "a.yaml").write_text(config("a"))
        (tmp_path / "two").unlink()
        (tmp_path / "three").rename(tmp_path / "two")
        await watched.until_values(a="1")


async def test_waiting_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Watching(tmp_path / "late", rescan=0.01) as watched:
        await eventually(lambda: "waiting for it" in caplog.text)
        (tmp_path / "late").mkdir()
        await watched.until(lambda: watched.batches)
    assert caplog.text.count("waiting for it") == 1


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    async with Watching(tmp_path) as watched:
        await watched.until(lambda: watched.batches)
    left = {thread.name for thread in set(threading.enumerate()) - before if thread.is_alive()}
    assert not {name for name in left if "Observer" in name or "Emitter" in name}


async def test_closing_at_once(tmp_path: Path) -> None:
    source = ManifestDirectory([str(tmp_path)])
    await source.close()
    assert [batch async for batch in source.batches()] == []


def test_standard_input_is_not_watched() -> None:
    with pytest.raises(UsageError, match="standard input"):
        ManifestDirectory(["-"])
