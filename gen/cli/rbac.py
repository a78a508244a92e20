"""`gen rbac`: the least that `gen run` has to be allowed, as Roles and their bindings."""

from __future__ import annotations

from collections.abc import Iterable

import click
import msgspec

from gen.cli.flags import Flags
from gen.cli.options import BACKEND, CLUSTER, INPUT, LISTEN, LOOP, MEANING, PLACE, WRITE, Command, Own
from gen.errors import UsageError
from gen.k8s import IngressClass, Ref
from gen.translate.settings import Settings


def rbac(flags: Flags) -> int:
    """Print the Roles that `gen run` with the same flags needs, and their bindings.

    With --for, Secrets and ConfigMaps are named: those that the manifests of -f refer to.  gen then has to run with
    --secrets get.
    """
    from yaml import safe_dump_all

    from gen.cli.cluster import scope_of
    from gen.cli.settings import options_of, qualified, settings_of
    from gen.cli.writing import wanted_of
    from gen.reconcile.cluster.permissions import permissions_to_write
    from gen.report.roles import roles
    from gen.sources.kube.permissions import least, permissions

    if bool(flags.filename) != flags.named_for:
        raise UsageError("-f and --for go together: --for -f DIR names what those manifests refer to")
    in_cluster = msgspec.structs.replace(flags, filename=(), **({"secrets": "get"} if flags.named_for else {}))
    account = qualified("--service-account", flags.service_account).partition("/")
    settings = settings_of(in_cluster, options_of(in_cluster), own_namespace=account[0])
    referred = referred_in(flags, settings) if flags.named_for else None
    to_read = permissions(scope_of(in_cluster, settings), referred)
    to_write = permissions_to_write(wanted_of(in_cluster, settings), sorted(settings.watch_namespaces))
    documents = roles(least((*to_read, *to_write)), name=flags.name, account=(account[0], account[2]))
    click.echo(safe_dump_all(documents, sort_keys=False, default_flow_style=None), nl=False)
    return 0


def referred_in(flags: Flags, settings: Settings) -> Iterable[Ref]:
    """What the objects of the manifests refer to.  Raises InputError."""
    from gen.cli.load import read_manifests, require_whole, tell
    from gen.translate.references import references

    manifests = read_manifests(flags)
    tell(manifests.issues, manifests.locate)
    require_whole(manifests.issues)
    named = references(settings)
    classes_first = sorted(manifests.objects.values(), key=lambda item: not isinstance(item, IngressClass))
    return {ref for item in classes_first for ref in named(item)}


COMMAND = Command(
    "rbac",
    rbac,
    [
        Own("named_for", "--for", is_flag=True, help="Name the objects that the manifests of -f refer to."),
        Own("--name", metavar="NAME", help="The name of the Roles."),
        Own("--service-account", metavar="NAMESPACE/NAME", help="Who gets them."),
        BACKEND,
        *INPUT,
        *CLUSTER,
        *WRITE,
        *MEANING,
        *LISTEN,
        *PLACE,
        *LOOP,
    ],
)
