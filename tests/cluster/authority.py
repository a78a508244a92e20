"""What the Roles that `gen rbac` prints allow, judged as an API server does."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.cluster.objects import Json
from tests.cluster.proxy import Request

PATH = re.compile(r"/(?:api|apis/(?P<group>[^/]+))/v\d+(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>[a-z]+)"
                  r"(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[a-z]+))?")  # fmt: skip
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Grant(NamedTuple):
    """One verb on one resource; `namespace` "" is everywhere, `name` "" any object."""

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""

    def allows(self, asked: Grant) -> bool:
        """Whether a request passes."""
        return self[1:4] == asked[1:4] and self.namespace in ("", asked.namespace) and self.name in ("", asked.name)


def grants(documents: Iterable[Json]) -> frozenset[Grant]:
    """All that some Roles give."""
    return frozenset(itertools.chain.from_iterable(map(of_role, documents)))


def of_role(document: Json) -> Iterator[Grant]:
    """What one object gives, if it is a Role."""
    namespace = document["metadata"].get("namespace", "")
    for rule in document.get("rules", ()):
        parts = (rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames", [""]))
        for group, resource, verb, name in itertools.product(*parts):
            yield Grant(namespace, group, resource, verb, name)


def asked_by(request: Request) -> frozenset[Grant]:
    """What a request needs; a watch that begins with the whole state stands for the list, too."""
    found = PATH.fullmatch(request.path)
    assert found, request.path
    resource = "/".join(part for part in (found["resource"], found["subresource"]) if part)
    name = found["name"] or request.query.get("fieldSelector", "").partition("metadata.name=")[2]
    verbs = {"get"} if found["name"] else {"watch"} if request.watch else {"list"}
    if request.method != "GET":
        verbs = {VERBS[request.method]}
    elif request.initial:
        verbs = {"watch", "list"}
    return frozenset(Grant(found["namespace"] or "", found["group"] or "", resource, verb, name) for verb in verbs)


def forbidden(request: Request, given: frozenset[Grant]) -> bool:
    """Whether the API server would say 403."""
    return not all(any(grant.allows(asked) for grant in given) for asked in asked_by(request))


def unused(given: frozenset[Grant], requests: Iterable[Request]) -> set[Grant]:
    """What nobody asked for."""
    asked = frozenset().union(*map(asked_by, list(requests)))
    return {grant for grant in given if not any(grant.allows(each) for each in asked)}


def least(given: frozenset[Grant]) -> set[Grant]:
    """Grants without those that others include."""
    return {grant for grant in given if not any(other.allows(grant) for other in given - {grant})}
