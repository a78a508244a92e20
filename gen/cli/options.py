"""The table of all flags, and what makes them behave like Go's: each is also GEN_<NAME>, and a key of --config."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import click
from msgspec.structs import asdict

from gen.backend import NAMES
from gen.cli.flags import Flags

DEFAULTS: Mapping[str, Any] = asdict(Flags())
TRUE = {"1", "t", "T", "TRUE", "true", "True"}
FALSE = {"0", "f", "F", "FALSE", "false", "False"}
EPILOG = "Shared flags are also environment variables, GEN_<NAME>, and keys of the file that --config names."


def seconds(value: object) -> float:
    """A time that is not negative.  Raises click.BadParameter."""
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise click.BadParameter(f"{text!r} is not a number of seconds.")
    return float(text)


def port(value: object) -> int:
    """A number that can be a port.  Raises click.BadParameter."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise click.BadParameter(f"{text!r} is not a port: expected 1 to 65535.")
    return int(text)


class Own(click.Option):
    """A flag of a single command; its default is that of the field of Flags with its name."""

    def __init__(self, *names: str, **attributes: Any) -> None:
        long = max(names, key=len).partition("/")[0].lstrip("-")
        default = DEFAULTS[long.replace("-", "_")]
        if default in ("", ()):
            default = None
        super().__init__(names, default=default, show_default=default not in (None, False), **attributes)
        self.key = long


class Flag(Own):
    """A flag that several commands share; it is also an environment variable and a key of the configuration file."""

    def __init__(self, *names: str, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.envvar = f"GEN_{self.key.upper().replace('-', '_')}"


class ListFlag(Flag):
    """A flag that may be repeated, and whose values may hold several, separated by commas."""

    def __init__(self, *names: str, **attributes: Any) -> None:
        super().__init__(*names, multiple=True, callback=split_commas, **attributes)

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """The whole variable is one value, to be split like any other."""
        value = self.resolve_envvar_value(ctx)
        return None if value is None else (value,)


def split_commas(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """All values of a ListFlag."""
    return tuple(item.strip() for value in values for item in value.split(",") if item.strip())


class BoolFlag(Flag):
    """A flag as Go has them: --name, --name=true, --name=false, but never a word of its own for the value."""

    def __init__(self, *names: str, **attributes: Any) -> None:
        *short, long = names
        super().__init__(*short, f"{long}/--no-{long[2:]}", is_flag=True, **attributes)
        self.long = long

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """How it stands in the help: without the second name that only the parser needs."""
        record = super().get_help_record(ctx)
        names = [name for name in self.opts if name != self.long]
        return (", ".join([*names, f"{self.long}[=true|false]"]), record[1]) if record else None

    def spell(self, argument: str) -> str:
        """An argument of the form --name=VALUE as the parser knows it; any other one as it is."""
        name, equals, value = argument.partition("=")
        if name != self.long or not equals:
            return argument
        if value in TRUE:
            return self.long
        if value in FALSE:
            return f"--no-{self.long[2:]}"
        raise click.BadParameter(f"{value!r} is neither true nor false.", param=self)


def read_config(ctx: click.Context, _param: click.Parameter, path: str | None) -> None:
    """Make a configuration file the source of defaults.  Raises UsageError."""
    if path is None:
        return
    from gen.cli.config_file import file_values

    lists = {key for key, flag in SHARED.items() if flag.multiple}
    ctx.default_map = {str(SHARED[key].name): value for key, value in file_values(path, SHARED, lists).items()}


class Command(click.Command):
    """A command that is a function of Flags and gives an exit status."""

    def __init__(self, name: str, run: Callable[[Flags], int], params: list[click.Parameter]) -> None:
        super().__init__(name, params=[*params, *GENERAL], callback=lambda **values: call(run, values))
        self.help = run.__doc__
        self.epilog = EPILOG

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take Go's spelling of booleans."""
        end = args.index("--") if "--" in args else len(args)
        for param in self.params:
            if isinstance(param, BoolFlag):
                args = [param.spell(argument) for argument in args[:end]] + args[end:]
        return super().parse_args(ctx, args)


def call(run: Callable[[Flags], int], values: Mapping[str, Any]) -> int:
    """Run a command on the values that were given; whoever debugs sees where it fails."""
    flags = Flags(**{name: value for name, value in values.items() if value is not None})
    try:
        return run(flags)
    except Exception:
        if flags.log_level == "debug":
            traceback.print_exc()
        raise


INPUT: tuple[Flag, ...] = (
    Flag("-f", "--filename", multiple=True, type=click.Path(allow_dash=True), metavar="FILE|DIR|-",
         help="Manifests to read; may be repeated, - is stdin."),
    BoolFlag("-R", "--recursive", help="Read directories with all that is below them."),
    Flag("-n", "--namespace", metavar="NAME",
         help="Only the Ingresses of this namespace count; objects without one are in it."),
    BoolFlag("-A", "--all-namespaces", help="The Ingresses of all namespaces count, which is the default."),
    Flag("-l", "--selector", metavar="SELECTOR", help="Only Ingresses with these labels count."),
)  # fmt: skip

CLUSTER: tuple[Flag, ...] = (
    Flag("--kubeconfig", type=click.Path(), metavar="FILE",
         help="How to reach a cluster, and who we are there.  [default: as a pod is told, else the user's own]"),
    Flag("--context", metavar="NAME", help="The context of the kubeconfig to use.  [default: its current one]"),
    Flag("--secrets", type=click.Choice(["watch", "get"]),
         help="Watch all Secrets in sight, or get only those that are referred to, by their names."),
    BoolFlag("--disable-ingress-class-lookup", help="Read no IngressClass: a class is ours by its name alone."),
)  # fmt: skip

WRITE: tuple[Flag, ...] = (
    Flag("--status", type=click.Choice(["off", "observe", "own"]),
         help="Write to the status of Ingresses where clients reach the proxy, or only log that.  "
              "[default: own with a --publish flag, else off]"),
    Flag("--publish-service", metavar="NAMESPACE/NAME", help="Clients reach the proxy by this Service."),
    ListFlag("--publish-status-address", metavar="ADDRESSES", help="Clients reach the proxy here: IPs or names."),
    Flag("--publish-node-selector", metavar="SELECTOR", help="Clients reach the proxy on the nodes with these labels."),
    BoolFlag("--report-node-internal-ip-address", help="Publish the internal addresses of nodes."),
    BoolFlag("--update-status-on-shutdown", help="Take the addresses back at the end; for a single replica."),
    BoolFlag("--events", help="Tell on each Ingress, as Events, what became of it."),
    Flag("--election-id", metavar="NAME", help="The Lease of those that may write.  [default: gen-leader-CLASS]"),
    BoolFlag("--disable-leader-election", help="Write without a Lease; for a single replica."),
)  # fmt: skip

MEANING: tuple[Flag, ...] = (
    Flag("--profile", type=click.Choice(["spec", "ingress-nginx"]),
         help="Follow the Kubernetes specification, or the retired controller."),
    Flag("--ingress-class", metavar="NAME", help="The class that is ours.  [default: gen, or nginx in its profile]"),
    Flag("--controller-class", metavar="NAME",
         help="The controller of our IngressClasses.  [default: by profile]"),
    BoolFlag("--watch-ingress-without-class", help="Ingresses without any class are ours.  [default: by profile]"),
    BoolFlag("--ingress-class-by-name", help="An IngressClass is also ours by its name alone."),
    ListFlag("--watch-namespace", metavar="NAMES", help="Only the Ingresses of these namespaces count."),
    Flag("--watch-namespace-selector", metavar="SELECTOR", help="Only namespaces with these labels count."),
    Flag("--configmap", metavar="NAMESPACE/NAME", help="The ConfigMap with global settings."),
    Flag("--default-backend-service", metavar="NAMESPACE/NAME", help="Who answers where no route matches."),
    Flag("--default-ssl-certificate", metavar="NAMESPACE/NAME", help="The Secret for hosts without a certificate."),
    BoolFlag("--disable-catch-all", help="Refuse Ingresses without a host."),
    BoolFlag("--disable-svc-external-name",
             help="Refuse Services of type ExternalName.  [default: only those of a cluster]"),
    Flag("--annotations-prefix", metavar="PREFIX", help="The prefix of ingress-nginx's annotations."),
    Flag("--cluster-domain", metavar="DOMAIN", help="The DNS domain of the cluster."),
)  # fmt: skip

LISTEN: tuple[Flag, ...] = (
    Flag("--http-port", type=port, metavar="PORT", help="Where the proxy listens for HTTP."),
    Flag("--https-port", type=port, metavar="PORT", help="Where the proxy listens for HTTPS."),
    ListFlag("--bind", metavar="ADDRESSES", help="The IP addresses at which the proxy listens."),
    ListFlag("--resolver", metavar="ADDRESSES", help="Name servers for the proxy, IP or IP:PORT."),
    Flag("--runtime-dir", metavar="DIR", type=click.Path(), help="Where the proxy's sockets and pid files are."),
)  # fmt: skip

BACKEND = Flag("-b", "--backend", type=click.Choice(NAMES), help="The proxy to write for.")

PLACE: tuple[Flag, ...] = (
    Flag("--proxy", type=click.Choice(["managed", "external"]), help="Start the proxy, or work beside a running one."),
    Flag("--proxy-binary", metavar="FILE", type=click.Path(), help="The proxy's program, where it is not in PATH."),
    Flag("--proxy-version", metavar="VERSION", help="Write for this version instead of asking the program."),
    Flag("--proxy-pid-file", metavar="FILE", type=click.Path(), help="External nginx: its pid file."),
    Flag("--proxy-socket", metavar="ADDRESS", help="External HAProxy: its master socket; Envoy: gen's xDS address."),
    Flag("--reload-command", metavar="COMMAND", help="External: what reloads the proxy."),
)  # fmt: skip

LOOP: tuple[Flag, ...] = (
    Flag("--state-dir", metavar="DIR", type=click.Path(), help="Where generations, certificates and logs are kept."),
    Flag("--admin", metavar="ADDR:PORT", help="Serve /healthz, /startupz, /readyz and /metrics here."),
    Flag("--reload-interval", type=seconds, metavar="SECONDS", help="The least time between two reloads."),
    Flag("--log-format", type=click.Choice(["text", "json"]), help="How the log is written, to stderr."),
)

GENERAL: tuple[click.Option, ...] = (
    click.Option(["--config"], envvar="GEN_CONFIG", is_eager=True, expose_value=False, callback=read_config,
                 metavar="FILE", help="A YAML file with values of shared flags."),
    Flag("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="How much is told."),
)  # fmt: skip

SHARED = {flag.key: flag for flag in (*INPUT, *CLUSTER, *WRITE, *MEANING, *LISTEN, BACKEND, *PLACE, *LOOP, GENERAL[-1])
          if isinstance(flag, Flag)}  # fmt: skip
