"""What a test does to an API server: a small synchronous client, with the rights of an administrator."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tests.cluster.fake.resources import RESOURCES, Resource
from tests.cluster.proxy import Upstream

Json = dict[str, Any]
BY_KIND: Mapping[tuple[str, str], Resource] = {(each.api_version, each.kind): each for each in RESOURCES}


class ApiError(Exception):
    """An answer other than success."""

    def __init__(self, code: int, said: Json) -> None:
        super().__init__(f"{code} {said.get('reason')}: {said.get('message')}")
        self.code = code


class Client:
    """The verbs on one API server; an object says by itself where it belongs.  All raise ApiError."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def create(self, item: Json) -> Json:
        """A new object."""
        return self.call("POST", collection_of(item), item)

    def get(self, item: Json) -> Json:
        """How it is now."""
        return self.call("GET", path_of(item))

    def replace(self, item: Json) -> Json:
        """An object that is there, now like this; conflicts only if the object carries a resourceVersion."""
        return self.call("PUT", path_of(item), item)

    def delete(self, item: Json) -> Json:
        """No such object any more."""
        return self.call("DELETE", path_of(item))

    def merge(self, item: Json, change: Json, subresource: str = "") -> Json:
        """A merge patch."""
        return self.call("PATCH", path_of(item, subresource), change, content_type="application/merge-patch+json")

    def apply(self, config: Json, manager: str, *, subresource: str = "", force: bool = False) -> Json:
        """A server-side apply."""
        query = {"fieldManager": manager, "force": str(force).lower()}
        return self.call("PATCH", path_of(config, subresource), config, query, "application/apply-patch+yaml")

    def listing(self, item: Json, **query: str) -> Json:
        """The collection that an object is in."""
        return self.call("GET", collection_of(item), query=query)

    def watch(self, item: Json, count: int, **query: str) -> list[Json]:
        """The first events of a watch of the collection that an object is in."""
        connection = self._upstream.connect()
        target = f"{collection_of(item)}?{urlencode({'watch': 'true', 'timeoutSeconds': '5', **query})}"
        try:
            connection.request("GET", target, headers=dict(self._upstream.headers))
            with connection.getresponse() as response:
                return [json.loads(line) for line in itertools.islice(response, count)]
        finally:
            connection.close()

    def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Mapping[str, str] = {},
        content_type: str = "application/json",
    ) -> Json:
        """Any request."""
        connection = self._upstream.connect()
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {"Content-Type": content_type, **self._upstream.headers}
        try:
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            with connection.getresponse() as response:
                said = json.loads(response.read())
                if response.status >= 300:
                    raise ApiError(response.status, said)
                return dict(said)
        finally:
            connection.close()


def collection_of(item: Json) -> str:
    """Where objects like this one are listed."""
    resource = BY_KIND[item["apiVersion"], item["kind"]]
    prefix = "/api/v1" if resource.api_version == "v1" else f"/apis/{resource.api_version}"
    namespace = f"/namespaces/{item['metadata']['namespace']}" if resource.namespaced else ""
    return f"{prefix}{namespace}/{resource.plural}"


def path_of(item: Json, subresource: str = "") -> str:
    """Where an object is."""
    return "/".join(part for part in (collection_of(item), item["metadata"]["name"], subresource) if part)
