"""What `gen run` writes into a cluster, by its flags."""

from __future__ import annotations

from typing import Literal, cast

from gen.cli.cluster import selection
from gen.cli.flags import Flags
from gen.cli.pod import pod_name
from gen.cli.settings import qualified
from gen.dialects.values import host
from gen.errors import BadValue, UsageError
from gen.reconcile.cluster.addresses import address_of
from gen.reconcile.cluster.writing import Wanted
from gen.selector import parse
from gen.sources.kube.selection import Scope
from gen.translate.settings import Settings


def wanted_of(flags: Flags, settings: Settings) -> Wanted:
    """What is to be written.  Raises UsageError."""
    publish = {
        "--publish-service": flags.publish_service,
        "--publish-status-address": flags.publish_status_address,
        "--publish-node-selector": flags.publish_node_selector,
    }
    given = [name for name, value in publish.items() if value]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} exclude each other")
    status = flags.status or ("own" if given else "off")
    if status != "off" and not given:
        raise UsageError(f"--status {status}: where do clients reach the proxy? give one of {', '.join(publish)}")
    is_elected = (status == "own" or flags.events) and not flags.disable_leader_election
    return Wanted(
        identity=pod_name(),
        namespace=settings.own_namespace,
        lease=lease_of(flags, settings) if is_elected else "",
        status=cast("Literal['off', 'observe', 'own']", status),
        events=flags.events,
        addresses=tuple(checked(text) for text in flags.publish_status_address),
        internal=flags.report_node_internal_ip_address,
        places=places_of(flags) if status != "off" else None,
        clear=flags.update_status_on_shutdown,
    )


def lease_of(flags: Flags, settings: Settings) -> str:
    """The name of the Lease: replicas share it, installations for other classes do not."""
    return flags.election_id or f"gen-leader-{settings.ingress_class}"


def places_of(flags: Flags) -> Scope | None:
    """What tells where clients reach the proxy, None when the flags themselves do.  Raises UsageError."""
    if flags.publish_service:
        service = qualified("--publish-service", flags.publish_service)
        return Scope(kinds=(), also=(selection("Service", service),))
    if flags.publish_node_selector:
        parse(flags.publish_node_selector)
        return Scope(kinds=("Node",), labels={"Node": flags.publish_node_selector})
    return None


def checked(text: str) -> str:
    """An IP address or the name of a host.  Raises UsageError."""
    try:
        return text if address_of(text).ip else host(text)
    except BadValue as error:
        raise UsageError(f"--publish-status-address: {error}") from error
