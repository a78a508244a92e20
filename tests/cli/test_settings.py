from __future__ import annotations

from pathlib import Path

import pytest

from gen.cli.flags import Flags
from gen.cli.settings import RESOLVERS, host_and_port, options_of, placement_of, settings_of, system_resolvers
from gen.errors import UsageError


def test_profile_decides_what_nobody_said() -> None:
    spec, retired = (
        settings_of(Flags(profile=name, filename=("x",)), options_of(Flags())) for name in ("spec", "ingress-nginx")
    )
    assert (spec.ingress_class, spec.controller_class, spec.watch_without_class) == (
        "gen",
        "ingress-gen/controller",
        True,
    )
    assert (retired.ingress_class, retired.controller_class, retired.watch_without_class) == (
        "nginx",
        "k8s.io/ingress-nginx",
        False,
    )


def test_what_somebody_said_decides_in_any_profile() -> None:
    flags = Flags(profile="ingress-nginx", ingress_class="mine", watch_ingress_without_class=True)
    settings = settings_of(flags, options_of(flags))
    assert (settings.ingress_class, settings.watch_without_class) == ("mine", True)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("127.0.0.1:1", ("127.0.0.1", 1)), ("[::1]:65535", ("::1", 65535)), (":10254", ("0.0.0.0", 10254))],
)
def test_address_and_port(text: str, wanted: tuple[str, int]) -> None:
    assert host_and_port("--admin", text) == wanted


@pytest.mark.parametrize(
    "text", ["", "10254", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "host:1", "::1"]
)
def test_what_is_no_address_and_port(text: str) -> None:
    with pytest.raises(UsageError, match="--admin: expected"):
        host_and_port("--admin", text)


def test_name_servers_and_bind_addresses_are_ip_addresses() -> None:
    flags = Flags(resolver=("10.0.0.10", "10.0.0.11:5353", "fd00::a", "[fd00::a]:53"), bind=("[::]", "0.0.0.0", "::"))
    options = options_of(flags)
    assert options.resolvers == ("10.0.0.10", "10.0.0.11:5353", "fd00::a", "[fd00::a]:53")
    assert options.bind == ("::", "0.0.0.0")
    for wrong in (Flags(resolver=("dns.example",)), Flags(bind=("*",)), Flags(bind=()), Flags(http_port=443)):
        with pytest.raises(UsageError):
            options_of(wrong)


def test_name_servers_of_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("# comment\nsearch x\nnameserver 10.0.0.10\nnameserver fe80::1%eth0\nnameserver bad\nnameserver\n")
    assert system_resolvers(path) == ("10.0.0.10",)
    path.write_text("")
    assert system_resolvers(path) == RESOLVERS
    assert system_resolvers(tmp_path / "none") == RESOLVERS


def test_ways_to_an_external_proxy_are_for_an_external_proxy() -> None:
    flags = Flags(proxy="external", proxy_pid_file="nginx.pid", reload_command="ssh proxy 'nginx -s reload'")
    placement = placement_of(flags, state_dir=Path("/s"), runtime_dir=Path("/r"))
    assert placement.pid_file == Path.cwd() / "nginx.pid"
    assert placement.reload_command == ("ssh", "proxy", "nginx -s reload")
    with pytest.raises(UsageError, match="--proxy-socket is for --proxy external"):
        placement_of(Flags(proxy_socket="/x"), state_dir=Path("/s"), runtime_dir=Path("/r"))
    with pytest.raises(UsageError, match="--reload-command: No closing quotation"):
        placement_of(Flags(proxy="external", reload_command="'"), state_dir=Path("/s"), runtime_dir=Path("/r"))
