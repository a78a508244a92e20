"""What a proxy lacks for a case, as its `features` say."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from gen.cli.flags import Flags
from gen.cli.load import load_backend, load_config
from gen.fit import fit
from gen.ir import Issue, Severity
from tests.proof.case import Case, Row
from tests.proof.golden import flag_values


@functools.cache
def issues_of(case: Case, backend: str) -> tuple[Issue, ...]:
    """What the proxy lacks for a case: whole features, and values that close a route.

    Values that it honours in another way are left to the rows, which say so where it can be seen.
    """
    loaded = load_config(Flags(filename=case.sources, **flag_values(case.flags)))
    proxy = load_backend(Flags(backend=backend))
    values = fit(loaded.config, proxy.features, proxy.lacks)[1]
    return (*fit(loaded.config, proxy.features)[1], *(issue for issue in values if issue.severity == "error"))


@functools.cache
def lacks(case: Case, backend: str) -> Mapping[str, Severity]:
    """The hosts of a case for which the proxy lacks something: an error closes them, a warning has no effect.

    A warning about an option of the whole proxy counts for the cases about the ConfigMap alone.
    """
    found: dict[str, Severity] = {}
    for issue in issues_of(case, backend):
        whole = issue.source.kind != "Ingress"
        if whole and issue.severity == "warning" and case.folder.parent.name != "configmap":
            continue
        name = f"{issue.source.namespace}/{issue.source.name}"
        for host in hosts_of(case, "" if whole else name):
            found[host] = "error" if "error" in {found.get(host), issue.severity} else "warning"
    return found


def hosts_of(case: Case, ingress: str) -> set[str]:
    """The hosts that an Ingress (`namespace/name`), or any, has in its rules."""
    return {
        rule.get("host", "")
        for item in case.objects
        if item["kind"] == "Ingress"
        if ingress in {"", f"{item['metadata']['namespace']}/{item['metadata']['name']}"}
        for rule in item["spec"].get("rules", ())
    }


def lack_of(case: Case, row: Row, backend: str) -> Severity | None:
    """What the proxy lacks for the host of a row; a host that no rule names may be one that it lacks."""
    host, found = row.send.host.partition(":")[0].lower(), lacks(case, backend)
    if host in hosts_of(case, ""):
        return found.get(host)
    return min(found.values(), default=None)


def closes_all(case: Case, backend: str) -> bool:
    """Whether the proxy lacks a protection that the ConfigMap of a case asks for."""
    return any(one.source.kind != "Ingress" and one.severity == "error" for one in issues_of(case, backend))


def has_all(case: Case, row: Row, backend: str) -> bool:
    """Whether the proxy lacks neither something for a row nor an option of the whole proxy."""
    return not lack_of(case, row, backend) and all(one.source.kind == "Ingress" for one in issues_of(case, backend))
