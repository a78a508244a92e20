"""Permissions as Roles and ClusterRoles, and who has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from gen.sources.kube.permissions import Permission

API, GROUP = "rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"


def roles(permissions: Iterable[Permission], *, name: str, account: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """A role for each namespace, a ClusterRole for what is everywhere, each followed by its binding.

    Shape: `account` is the namespace and the name of the ServiceAccount.
    """
    by_namespace: dict[str, list[Permission]] = defaultdict(list)
    for permission in permissions:
        by_namespace[permission.namespace].append(permission)
    for namespace, found in sorted(by_namespace.items()):
        kind = "Role" if namespace else "ClusterRole"
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        yield {"apiVersion": API, "kind": kind, "metadata": metadata, "rules": list(rules(found))}
        yield {
            "apiVersion": API,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}],
        }


def rules(permissions: Iterable[Permission]) -> Iterator[dict[str, Any]]:
    """Rules; resources of a group that have the same verbs share one, unless objects are named."""
    together: dict[tuple[str, tuple[str, ...], tuple[str, ...], str], list[str]] = defaultdict(list)
    for each in permissions:
        alone = each.resource if each.names else ""
        together[each.group, each.verbs, each.names, alone].append(each.resource)
    for (group, verbs, names, _), resources in together.items():
        named = {"resourceNames": list(names)} if names else {}
        yield {"apiGroups": [group], "resources": resources, **named, "verbs": list(verbs)}
