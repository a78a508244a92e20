from __future__ import annotations

from pathlib import Path

import click
import pytest

from gen.cli import main
from gen.cli.flags import Flags
from gen.cli.options import GENERAL, INPUT, LISTEN, LOOP, MEANING, PLACE, SHARED, Command, Own
from gen.errors import UsageError


def parse(*arguments: str) -> Flags:
    """What a command with all shared flags gets."""
    seen: list[Flags] = []

    def probe(flags: Flags) -> int:
        seen.append(flags)
        return 0

    Command("probe", probe, [*INPUT, *MEANING, *LISTEN, *PLACE, *LOOP]).main(list(arguments), standalone_mode=False)
    return seen[0]


def test_nothing_said_means_the_defaults() -> None:
    assert parse() == Flags()


def test_every_shared_flag_has_a_field_and_no_two_a_name() -> None:
    flags = [
        flag for group in (INPUT, MEANING, LISTEN, PLACE, LOOP, GENERAL) for flag in group if isinstance(flag, Own)
    ]
    names = [name for flag in flags for name in (*flag.opts, *flag.secondary_opts)]
    assert len(names) == len(set(names))
    assert {flag.name for flag in flags} <= set(Flags.__struct_fields__)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["-R"], True),
        (["--recursive"], True),
        (["--recursive=true"], True),
        (["--recursive=1"], True),
        (["--recursive=T"], True),
        (["--recursive=false"], False),
        (["--recursive=0"], False),
        (["--recursive", "--recursive=FALSE"], False),
        (["-Rf", "x"], True),
    ],
)
def test_booleans_are_spelt_as_in_go(arguments: list[str], wanted: bool) -> None:
    assert parse(*arguments).recursive is wanted


def test_boolean_without_a_word_stays_open() -> None:
    assert parse().watch_ingress_without_class is None
    assert parse("--watch-ingress-without-class=false").watch_ingress_without_class is False
    assert parse("--watch-ingress-without-class").watch_ingress_without_class is True


def test_boolean_takes_no_word_of_its_own_for_its_value() -> None:
    with pytest.raises(click.UsageError, match="unexpected extra argument"):
        parse("--recursive", "false")
    with pytest.raises(click.UsageError, match="'maybe' is neither true nor false"):
        parse("--recursive=maybe")


def test_lists_are_repeated_or_separated_by_commas() -> None:
    flags = parse("--bind", "127.0.0.1,::1", "--bind=127.0.0.2", "-f", "a,b", "-f", "c")
    assert flags.bind == ("127.0.0.1", "::1", "127.0.0.2")
    assert flags.filename == ("a,b", "c")


@pytest.mark.parametrize("flag", ["--tcp-services-configmap=a/b", "--enable-ssl-passthrough", "--publish-service=a/b"])
def test_flags_of_features_that_are_not_there_are_refused(flag: str) -> None:
    with pytest.raises(click.UsageError, match="No such option"):
        parse(flag)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x", "", "٣"])
def test_ports_are_ports(port: str) -> None:
    with pytest.raises(click.UsageError, match="is not a port"):
        parse(f"--http-port={port}")


# ------------------------------------------------------------------ environment and file


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gen.yaml"
    path.write_text(
        "http-port: 8001\nbind: [127.0.0.1, '::1']\nwatch-namespace: a,b\ndisable-catch-all: true\n"
        "recursive: false\nresolver: 127.0.0.53\nselector:\n"
    )
    return path


def test_flag_beats_environment_beats_file_beats_default(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse().http_port == 80
    assert parse("--config", str(config)).http_port == 8001
    monkeypatch.setenv("GEN_HTTP_PORT", "8002")
    assert parse("--config", str(config)).http_port == 8002
    assert parse("--config", str(config), "--http-port", "8003").http_port == 8003


def test_values_of_the_file_are_those_of_the_command_line(config: Path) -> None:
    flags = parse("--config", str(config))
    assert flags.bind == ("127.0.0.1", "::1")
    assert flags.watch_namespace == ("a", "b")
    assert (flags.disable_catch_all, flags.recursive, flags.selector) == (True, False, "")
    assert flags.resolver == ("127.0.0.53",)


def test_environment_names_files_lists_and_booleans(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEN_CONFIG", str(config))
    monkeypatch.setenv("GEN_BIND", "127.0.0.9,127.0.0.8")
    monkeypatch.setenv("GEN_FILENAME", "a b:c")
    monkeypatch.setenv("GEN_DISABLE_CATCH_ALL", "false")
    flags = parse()
    assert flags.http_port == 8001
    assert flags.bind == ("127.0.0.9", "127.0.0.8")
    assert flags.filename == ("a b", "c")
    assert flags.disable_catch_all is False


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("http-prot: 1", "there is no flag 'http-prot'"),
        ("output: x", "there is no flag 'output'"),
        ("http_port: 1", "there is no flag 'http_port'"),
        ("1: 1", "there is no flag 1"),
        ("http-port: [1, 2]", "http-port: expected one value"),
        ("bind: {a: b}", "bind: expected a list of words"),
        ("- a", "expected a mapping"),
        ("a: [", r"gen.yaml:\d+: not YAML"),
        ("http-port: x", "'x' is not a port"),
    ],
)
def test_faults_of_the_file_name_the_key_or_the_line(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "gen.yaml").write_text(text)
    with pytest.raises((click.UsageError, UsageError), match=complaint):
        parse("--config", str(tmp_path / "gen.yaml"))


def test_missing_file_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--config", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err == f"gen: cannot read {tmp_path}/none.yaml: No such file or directory\n"


def test_file_knows_every_shared_flag() -> None:
    assert {"backend", "http-port", "state-dir", "log-level", "watch-namespace", "reload-command"} <= SHARED.keys()
