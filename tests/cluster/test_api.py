"""What the other tests take for granted of an API server; the fake one must do as the real one does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster import objects
from tests.cluster.apiserver import ApiServer
from tests.cluster.client import ApiError, Client

Json = dict[str, Any]


def version(item: Json) -> str:
    """The resourceVersion of an object or a list."""
    return str(item["metadata"]["resourceVersion"])


def names(listing: Json) -> list[str]:
    """Of the objects of a list."""
    return [item["metadata"]["name"] for item in listing["items"]]


def refused(error: pytest.ExceptionInfo[ApiError]) -> int:
    """The status of a refusal."""
    return error.value.code


def test_identity_of_objects(client: Client) -> None:
    made = client.create(objects.ingress("one"))
    assert made["metadata"]["generation"] == 1
    with pytest.raises(ApiError) as error:
        client.create(objects.ingress("one"))
    assert refused(error) == 409
    client.delete(made)
    with pytest.raises(ApiError) as error:
        client.get(made)
    assert refused(error) == 404
    again = client.create(objects.ingress("one"))
    assert again["metadata"]["uid"] != made["metadata"]["uid"]
    assert int(version(again)) > int(version(made))


def test_writes_from_an_older_version_conflict(client: Client) -> None:
    made = client.create(objects.ingress("one"))
    changed = client.replace(objects.ingress("one", host="other.test"))
    assert changed["metadata"]["generation"] == 2
    with pytest.raises(ApiError) as error:
        client.replace(made)
    assert refused(error) == 409
    with pytest.raises(ApiError) as error:
        client.merge(made, {"metadata": {"resourceVersion": version(made), "labels": {"a": "b"}}})
    assert refused(error) == 409


def test_writing_the_same_again_changes_nothing(client: Client) -> None:
    made = client.create(objects.ingress("one"))
    assert version(client.replace(made)) == version(made)
    assert version(client.merge(made, {"spec": made["spec"]})) == version(made)


def test_status_is_a_part_of_its_own(client: Client) -> None:
    made = client.create(objects.ingress("one") | {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}})
    assert not made.get("status", {}).get("loadBalancer")
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    written = client.merge(made, {"status": status, "spec": {"rules": None}}, "status")
    assert (written["status"], written["spec"]) == (status, made["spec"])
    assert written["metadata"]["generation"] == 1
    kept = client.replace(objects.ingress("one", host="other.test") | {"status": {}})
    assert kept["status"] == status


def applied_status(ip: str) -> Json:
    """What somebody applies to the status of an Ingress."""
    bare = objects.ingress("one")
    return {
        "apiVersion": bare["apiVersion"], "kind": bare["kind"],
        "metadata": {"name": "one", "namespace": objects.NAMESPACE},
        "status": {"loadBalancer": {"ingress": [{"ip": ip}]}} if ip else {},
    }  # fmt: skip


def test_server_side_apply_knows_who_owns_what(client: Client) -> None:
    made = client.create(objects.ingress("one"))
    mine = client.apply(applied_status("192.0.2.1"), "gen", subresource="status")
    assert mine["status"]["loadBalancer"]["ingress"] == [{"ip": "192.0.2.1"}]
    assert mine["spec"] == made["spec"]
    assert version(client.apply(applied_status("192.0.2.1"), "gen", subresource="status")) == version(mine)
    with pytest.raises(ApiError) as error:
        client.apply(applied_status("192.0.2.2"), "other", subresource="status")
    assert refused(error) == 409
    theirs = client.apply(applied_status("192.0.2.2"), "other", subresource="status", force=True)
    assert theirs["status"]["loadBalancer"]["ingress"] == [{"ip": "192.0.2.2"}]
    # What I no longer own stays when I let go of it; what its owner no longer applies goes.
    assert "ingress" in client.apply(applied_status(""), "gen", subresource="status")["status"]["loadBalancer"]
    gone = client.apply(applied_status(""), "other", subresource="status")
    assert not gone.get("status", {}).get("loadBalancer", {}).get("ingress")
    assert {entry["manager"] for entry in theirs["metadata"]["managedFields"]} >= {"other"}


def lease(holder: str) -> Json:
    """A Lease that somebody holds."""
    meta = {"name": "gen", "namespace": objects.NAMESPACE}
    spec = {"holderIdentity": holder}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}


def test_apply_creates(client: Client) -> None:
    with pytest.raises(ApiError) as error:
        client.apply(applied_status("192.0.2.1"), "gen", subresource="status")
    assert refused(error) == 404
    made = client.apply(lease("me"), "gen")
    assert made["spec"]["holderIdentity"] == "me"
    assert client.get(made)["metadata"]["uid"] == made["metadata"]["uid"]


def test_leases_go_to_who_knows_the_last_version(client: Client) -> None:
    made = client.create(lease("a"))
    client.replace(made | lease("b") | {"metadata": made["metadata"]})
    with pytest.raises(ApiError) as error:
        client.replace(made | {"spec": {"holderIdentity": "c"}})
    assert refused(error) == 409
    assert client.get(made)["spec"]["holderIdentity"] == "b"


def test_events_get_names(client: Client) -> None:
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "one.", "namespace": objects.NAMESPACE},
        "involvedObject": {"kind": "Ingress", "namespace": objects.NAMESPACE, "name": "one"}, "reason": "Accepted",
    }  # fmt: skip
    first, second = client.create(event), client.create(event)
    assert first["metadata"]["name"] != second["metadata"]["name"]
    found = client.listing(first, fieldSelector="involvedObject.name=one")
    assert set(names(found)) >= {first["metadata"]["name"], second["metadata"]["name"]}
    for made in (first, second):
        client.delete(made)


def test_pages_are_of_one_moment(client: Client, server: ApiServer) -> None:
    for number in range(5):
        client.create(objects.ingress(f"many-{number}"))
    example = objects.ingress("")
    first = client.listing(example, limit="2")
    client.delete(objects.ingress("many-4"))
    rest = client.listing(example, limit="2", **{"continue": first["metadata"]["continue"]})
    last = client.listing(example, limit="2", **{"continue": rest["metadata"]["continue"]})
    assert [*names(first), *names(rest), *names(last)] == [f"many-{number}" for number in range(5)]
    assert version(last) == version(first)
    assert "continue" not in last["metadata"]
    assert first["kind"] == "IngressList"
    assert "kind" not in first["items"][0]
    server.expire()
    with pytest.raises(ApiError) as error:
        client.listing(example, limit="2", **{"continue": first["metadata"]["continue"]})
    assert refused(error) == 410


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ({"labelSelector": "team=a"}, ["one"]),
        ({"labelSelector": "team!=a"}, ["none", "two"]),
        ({"labelSelector": "team in (a, b),!old"}, ["one"]),
        ({"labelSelector": "team notin (a)"}, ["none", "two"]),
        ({"labelSelector": "old"}, ["two"]),
        ({"fieldSelector": "metadata.name=two"}, ["two"]),
        ({"fieldSelector": "metadata.name!=two"}, ["none", "one"]),
    ],
)
def test_selectors(selector: dict[str, str], found: list[str], client: Client) -> None:
    for name, labels in {"none": {}, "one": {"team": "a"}, "two": {"team": "b", "old": "yes"}}.items():
        item = objects.ingress(name)
        item["metadata"]["labels"] = labels
        client.create(item)
    assert names(client.listing(objects.ingress(""), **selector)) == found


def test_selectors_that_are_none(client: Client) -> None:
    client.create(objects.ingress("one"))
    for selector in ({"labelSelector": "a=(b"}, {"fieldSelector": "spec.nothing=1"}):
        with pytest.raises(ApiError) as error:
            client.listing(objects.ingress(""), **selector)
        assert refused(error) == 400


def test_a_watch_tells_what_happened_since(client: Client) -> None:
    example = objects.ingress("one")
    start = version(client.listing(example))
    client.create(example)
    client.replace(objects.ingress("one", host="other.test"))
    client.delete(example)
    events = client.watch(example, 3, resourceVersion=start)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert [event["object"]["kind"] for event in events] == ["Ingress"] * 3
    versions = [int(version(event["object"])) for event in events]
    assert versions == sorted(set(versions))


def test_a_watch_through_a_selector(client: Client) -> None:
    example = objects.ingress("one")
    start = version(client.create(example))
    for labels in ({"team": "a"}, {"team": "a", "more": "x"}, {"team": "b"}):
        client.merge(example, {"metadata": {"labels": labels}})
    events = client.watch(example, 3, resourceVersion=start, labelSelector="team=a")
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]


@pytest.mark.usefixtures("watch_lists")
def test_a_watch_may_begin_with_everything(client: Client) -> None:
    for name in ("one", "two"):
        client.create(objects.ingress(name))
    whole = {"sendInitialEvents": "true", "allowWatchBookmarks": "true"}
    events = client.watch(objects.ingress(""), 3, resourceVersionMatch="NotOlderThan", **whole)
    assert [event["type"] for event in events] == ["ADDED", "ADDED", "BOOKMARK"]
    mark = events[-1]["object"]
    assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(version(mark)) >= max(int(version(event["object"])) for event in events[:-1])
    (said,) = client.watch(objects.ingress(""), 1, **whole)
    assert said["code"] == 422


def test_a_watch_from_what_was_forgotten(client: Client, server: ApiServer) -> None:
    start = version(client.create(objects.ingress("one")))
    client.delete(objects.ingress("one"))
    server.expire()
    (event,) = client.watch(objects.ingress(""), 1, resourceVersion=start)
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


def test_a_list_of_the_future(client: Client) -> None:
    with pytest.raises(ApiError) as error:
        client.listing(objects.ingress(""), resourceVersion="999999999")
    assert refused(error) == 504


def test_paths_that_are_none(client: Client) -> None:
    for path in ("/api/v1/nothing", "/apis/networking.k8s.io/v2/ingresses", "/elsewhere"):
        with pytest.raises((ApiError, ValueError)):
            client.call("GET", path)
