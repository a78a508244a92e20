"""From flags to what the rooms below want: settings of translation, options of the proxy, its placement."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from gen.backend import Placement
from gen.cli.flags import Flags
from gen.errors import UsageError
from gen.ir import Certificate, Options
from gen.translate.settings import ProfileName, Settings

CLASS_OF_PROFILE = {
    "spec": ("gen", "ingress-gen/controller"),
    "ingress-nginx": ("nginx", "k8s.io/ingress-nginx"),
}
RUNTIME_DIR = "/run/gen"
RESOLVERS = ("127.0.0.1",)
"""What is written where no machine is at hand whose /etc/resolv.conf could tell."""


def settings_of(
    flags: Flags, options: Options, fallback_certificate: Certificate | None = None, *, own_namespace: str = ""
) -> Settings:
    """What decides, besides the objects, what translation gives; without -f they come from a cluster.

    Shape: `own_namespace` is that of gen, where it is in a cluster; else it is taken to be that of --configmap.
    Raises: UsageError.
    """
    if flags.namespace and flags.all_namespaces:
        raise UsageError("-n and -A exclude each other")
    ingress_class, controller_class = CLASS_OF_PROFILE[flags.profile]
    is_offline = bool(flags.filename)
    without_class = flags.watch_ingress_without_class
    without_external = flags.disable_svc_external_name
    return Settings(
        profile=cast("ProfileName", flags.profile),
        ingress_class=flags.ingress_class or ingress_class,
        controller_class=flags.controller_class or controller_class,
        ingress_class_by_name=flags.ingress_class_by_name,
        watch_without_class=is_offline and flags.profile == "spec" if without_class is None else without_class,
        watch_namespaces=frozenset(flags.watch_namespace) | in_cluster(flags),
        namespace_selector=flags.watch_namespace_selector,
        disable_catch_all=flags.disable_catch_all,
        default_backend_service=qualified("--default-backend-service", flags.default_backend_service),
        default_certificate=qualified("--default-ssl-certificate", flags.default_ssl_certificate),
        annotations_prefix=flags.annotations_prefix,
        configmap=qualified("--configmap", flags.configmap),
        own_namespace=own_namespace or flags.configmap.partition("/")[0],
        cluster_domain=flags.cluster_domain,
        assume_class=is_offline or flags.disable_ingress_class_lookup,
        allow_loopback=is_offline,
        allow_external_name=is_offline if without_external is None else not without_external,
        offline=is_offline,
        fallback_certificate=fallback_certificate,
        options=options,
    )


def in_cluster(flags: Flags) -> frozenset[str]:
    """The namespace of -n, where there are no files that a source could choose from."""
    return frozenset([flags.namespace]) if flags.namespace and not flags.filename else frozenset()


def options_of(flags: Flags, *, runtime_dir: str = "", resolvers: Sequence[str] = RESOLVERS) -> Options:
    """What holds for the whole proxy.  Raises UsageError."""
    if flags.http_port == flags.https_port:
        raise UsageError(f"--http-port and --https-port are both {flags.http_port}")
    if not flags.bind:
        raise UsageError("--bind: expected at least one IP address")
    return Options(
        http_port=flags.http_port,
        https_port=flags.https_port,
        bind=tuple(dict.fromkeys(address("--bind", text) for text in flags.bind)),
        runtime_dir=flags.runtime_dir or runtime_dir or RUNTIME_DIR,
        resolvers=tuple(name_server(text) for text in flags.resolver or resolvers),
    )


def backend_of(flags: Flags) -> str:
    """The proxy to write for.  Raises UsageError."""
    if not flags.backend:
        raise UsageError("which proxy? give -b nginx, -b haproxy or -b envoy")
    return flags.backend


def placement_of(flags: Flags, *, state_dir: Path, runtime_dir: Path) -> Placement:
    """Where the proxy is.  Raises UsageError for a way to reach it that its mode does not use."""
    outside = {
        "--proxy-pid-file": flags.proxy_pid_file,
        "--proxy-socket": flags.proxy_socket,
        "--reload-command": flags.reload_command,
    }
    given = [name for name, value in outside.items() if value]
    if flags.proxy == "managed" and given:
        raise UsageError(f"{given[0]} is for --proxy external")
    return Placement(
        mode=cast("Literal['managed', 'external']", flags.proxy),
        state_dir=state_dir,
        runtime_dir=runtime_dir,
        binary=flags.proxy_binary,
        version=flags.proxy_version,
        pid_file=Path(flags.proxy_pid_file).absolute() if flags.proxy_pid_file else None,
        socket=flags.proxy_socket,
        reload_command=words("--reload-command", flags.reload_command),
    )


def words(flag: str, command: str) -> tuple[str, ...]:
    """A command in its words, quoted as for a shell.  Raises UsageError."""
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error


def qualified(flag: str, value: str) -> str:
    """A `namespace/name`, or nothing.  Raises UsageError."""
    namespace, slash, name = value.partition("/")
    if value and not (namespace and slash and name and "/" not in name):
        raise UsageError(f"{flag}: expected NAMESPACE/NAME, got {value!r}")
    return value


def address(flag: str, text: str) -> str:
    """An IP address as it is usually written.  Raises UsageError."""
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError as error:
        raise UsageError(f"{flag}: expected an IP address, got {text!r}") from error


def host_and_port(flag: str, text: str) -> tuple[str, int]:
    """An `ADDR:PORT`, IPv6 addresses in brackets, no address for all of them.  Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"{flag}: expected ADDR:PORT, got {text!r}")
    return (address(flag, host) if host else "0.0.0.0"), int(port)


def name_server(text: str) -> str:
    """`IP` or `IP:PORT`; IPv6 addresses with a port are in brackets.  Raises UsageError."""
    if text.count(":") == 1 or (text.startswith("[") and not text.endswith("]")):
        host, port = host_and_port("--resolver", text)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return address("--resolver", text)


def system_resolvers(path: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """The name servers of this machine; the documented default where it names none that is good on every interface."""
    try:
        lines = [line.split() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        lines = []
    named = [line[1] for line in lines if len(line) > 1 and line[0] == "nameserver" and "%" not in line[1]]
    return tuple(name for name in named if is_address(name)) or RESOLVERS


def is_address(text: str) -> bool:
    """Whether it is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
