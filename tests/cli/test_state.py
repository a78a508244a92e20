from __future__ import annotations

from pathlib import Path

import pytest

from gen.cli.fallback import fallback_certificate
from gen.cli.state import SOCKET_PATH_LIMIT, owned, runtime_directory, state_directory
from gen.errors import UsageError


def test_state_is_where_the_flag_the_user_or_the_machine_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_directory("/srv/gen") == Path("/srv/gen")
    assert state_directory("") == tmp_path / "gen"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_directory("") == Path("/var/lib/gen")


def test_second_owner_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    with owned(tmp_path / "state"), pytest.raises(UsageError, match="another gen works in"), owned(tmp_path / "state"):
        pass
    with owned(tmp_path / "state"):
        pass


def test_unusable_state_directory_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot use the state directory"), owned(tmp_path / "file"):
        pass


def test_sockets_live_in_the_state_directory_where_their_paths_are_short_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "s"
    if len(str(short)) < SOCKET_PATH_LIMIT - 50:
        assert runtime_directory("", short) == short / "run"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))
    long = tmp_path / ("x" * 100)
    elsewhere = runtime_directory("", long)
    assert elsewhere.parent == tmp_path / "r"
    assert elsewhere.stat().st_mode & 0o777 == 0o700
    assert runtime_directory("", long) == elsewhere
    assert runtime_directory("", tmp_path / ("y" * 100)) != elsewhere


def test_runtime_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    long = tmp_path / ("x" * 100)
    runtime_directory("", long).chmod(0o777)
    with pytest.raises(UsageError, match="nobody else may write"):
        runtime_directory("", long)
    assert runtime_directory(str(tmp_path), long) == tmp_path


def test_fallback_certificate_is_kept_private_and_used_again(tmp_path: Path) -> None:
    first = fallback_certificate(tmp_path, "spec")
    assert fallback_certificate(tmp_path, "spec") == first
    assert fallback_certificate(tmp_path, "ingress-nginx") != first
    (kept,) = tmp_path.glob("*spec*")
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_text("damaged")
    assert fallback_certificate(tmp_path, "spec") != first
