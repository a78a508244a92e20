"""What is said on a stream: in which order, when not, and what follows from a refusal.  No network, no Envoy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.envoy.conversation import COMPLETE, Conversation
from backends.envoy.discovery import CLUSTERS, ENDPOINTS, LISTENERS, ROUTES, SECRETS, SHORT, IncrementalRequest, Request
from backends.envoy.incremental import Incremental
from backends.envoy.schema import message_class
from backends.envoy.snapshot import Resource, Snapshot
from backends.envoy.wire import packed_any
from backends.envoy.world import StateOfTheWorld
from gen.backend import digest_of

Clusters = Mapping[str, str]


def snapshot(version: str, clusters: Clusters, used: set[str] | None = None, listeners: str = "l1") -> Snapshot:
    """A snapshot: clusters by name with what they are like, and routes to some of them.

    The resources are not real ones: they say by name and content what Envoy will need.
    """
    routes = ",".join(sorted(clusters if used is None else used))
    content = {
        CLUSTERS: clusters,
        ENDPOINTS: {name: f"endpoints of {name}" for name in clusters},
        SECRETS: {"default": "certificate"},
        LISTENERS: dict.fromkeys(listeners.split(","), "listener"),
        ROUTES: {"gen": routes},
    }
    return Snapshot(
        version, {url: {name: resource(url, name, text) for name, text in content[url].items()} for url in content}
    )


def resource(url: str, name: str, text: str) -> Resource:
    body = packed_any(url, f"{name}={text}".encode())
    return Resource(digest_of(body), body)


class Response:
    """A response, read with the classes that Envoy's own schema gave; `removed` is for incremental ones."""

    MESSAGE = "envoy.service.discovery.v3.DiscoveryResponse"

    def __init__(self, data: bytes) -> None:
        message: Any = message_class(self.MESSAGE).parse(data)
        self.url: str = message.type_url
        self.kind = SHORT[self.url]
        self.nonce: str = message.nonce
        self.removed: set[str] = set()
        self.read(message)

    def read(self, message: Any) -> None:
        self.version: str = message.version_info
        self.content = dict(each.value.decode().split("=", 1) for each in message.resources)


class IncrementalResponse(Response):
    """Each resource has a name and a version."""

    MESSAGE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"

    def read(self, message: Any) -> None:
        self.version = message.system_version_info
        self.content = dict(each.resource.value.decode().split("=", 1) for each in message.resources)
        self.versions = {each.name: each.version for each in message.resources}
        self.removed = set(message.removed_resources)
        assert self.versions.keys() == self.content.keys()


class Peer(ABC):
    """An Envoy that keeps to the protocol: it asks, takes what it is given, and minds what is missing."""

    response = Response

    def __init__(self) -> None:
        self.has: dict[str, dict[str, str]] = {url: {} for url in SHORT}
        self.version = dict.fromkeys(SHORT, "")
        self.nonce = dict.fromkeys(SHORT, "")
        self.names: dict[str, set[str]] = {}
        self.log: list[str] = []
        self.unanswered: list[Response] = []
        self.conversation = self.connected()

    @abstractmethod
    def connected(self, target: Snapshot | None = None, before: Snapshot | None = None) -> Conversation:
        """A conversation of this kind."""

    @abstractmethod
    def ask(self, url: str, *, error: str | None = None) -> None:
        """Say what is wanted of a type; acknowledge, or refuse, the last response."""

    def start(self) -> None:
        """The first requests of a fresh Envoy."""
        self.ask(CLUSTERS)
        self.ask(LISTENERS)

    def come_back(self, target: Snapshot, before: Snapshot) -> None:
        """The first requests of an Envoy that has something, on a new stream."""
        self.nonce = dict.fromkeys(SHORT, "")
        self.conversation = self.connected(target, before)
        for url in SHORT:
            self.ask(url)

    def listen(self) -> list[Response]:
        """Take in all that is due now, without answering."""
        heard = [self.response(data) for data in self.conversation.due()]
        self.log += [response.kind for response in heard]
        self.unanswered += heard
        return heard

    def take(self, response: Response) -> None:
        """Have what a response brings."""
        url = response.url
        self.has[url] = self.has[url] | response.content
        for name in response.removed:
            self.has[url].pop(name, None)

    def accept(self, response: Response) -> None:
        """Acknowledge a response, and want what it makes necessary."""
        self.unanswered.remove(response)
        url = response.url
        self.nonce[url], self.version[url] = response.nonce, response.version
        self.take(response)
        if url == ROUTES:
            missing = self.needed - self.has[CLUSTERS].keys()
            assert not missing, f"routes to clusters that are not there: {missing}"
            assert self.needed <= self.has[ENDPOINTS].keys(), "routes to clusters without endpoints"
        if url == CLUSTERS:
            assert self.needed <= self.has[CLUSTERS].keys(), "a cluster went while routes still named it"
        self.ask(url)
        if url == CLUSTERS:
            self.want(ENDPOINTS, set(self.has[CLUSTERS]))
        if url == LISTENERS:
            self.want(SECRETS, {"default"})
            self.want(ROUTES, {"gen"})

    def refuse(self, response: Response, error: str = "no") -> None:
        """Refuse a response."""
        self.unanswered.remove(response)
        self.nonce[response.url] = response.nonce
        self.ask(response.url, error=error)

    def want(self, url: str, names: set[str]) -> None:
        """Subscribe to names; what is no longer wanted is forgotten."""
        if names != self.names.get(url):
            self.names[url] = names
            self.has[url] = {name: text for name, text in self.has[url].items() if name in names}
            self.ask(url)

    @property
    def needed(self) -> set[str]:
        """The clusters that the routes name."""
        return set(filter(None, self.has[ROUTES].get("gen", "").split(",")))

    def settle(self) -> list[str]:
        """Accept whatever comes, until nothing comes any more; what came."""
        begun = len(self.log)
        while self.listen() or self.unanswered:
            for response in list(self.unanswered):
                self.accept(response)
        return self.log[begun:]


class WorldPeer(Peer):
    """It asks for the state of the world."""

    conversation: StateOfTheWorld

    def connected(self, target: Snapshot | None = None, before: Snapshot | None = None) -> Conversation:
        return StateOfTheWorld(target, before)

    def ask(self, url: str, *, error: str | None = None) -> None:
        names = frozenset(self.names.get(url, set()))
        self.conversation.received(Request(url, names, self.version[url], self.nonce[url], error))

    def take(self, response: Response) -> None:
        if response.url in COMPLETE:
            self.has[response.url] = {}
        super().take(response)


class IncrementalPeer(Peer):
    """It asks for changes.  What it refuses it takes in part, as Envoy does with clusters and listeners."""

    conversation: Incremental
    response = IncrementalResponse

    def connected(self, target: Snapshot | None = None, _: Snapshot | None = None) -> Conversation:
        self.asked: dict[str, set[str]] = {}
        return Incremental(target)

    def ask(self, url: str, *, error: str | None = None) -> None:
        wanted, asked = self.names.get(url, set()), self.asked.get(url)
        known = (
            {name: resource(url, name, text).version for name, text in self.has[url].items()} if asked is None else {}
        )
        self.asked[url] = set(wanted)
        subscribed, unsubscribed = frozenset(wanted - (asked or set())), frozenset((asked or set()) - wanted)
        self.conversation.received(IncrementalRequest(url, subscribed, unsubscribed, known, self.nonce[url], error))

    def refuse(self, response: Response, error: str = "no") -> None:
        if response.url in COMPLETE:
            self.has[response.url] |= dict(sorted(response.content.items())[1:])
        super().refuse(response, error)
        if response.url == CLUSTERS:
            self.want(ENDPOINTS, set(self.has[CLUSTERS]))


@pytest.fixture(params=[WorldPeer, IncrementalPeer], ids=["world", "incremental"])
def peer(request: pytest.FixtureRequest) -> Peer:
    """A fresh Envoy of either kind."""
    fresh: Peer = request.param()
    return fresh


def settled(peer: Peer, first: Snapshot) -> Peer:
    """An Envoy that has this snapshot."""
    peer.conversation.retarget(first)
    peer.start()
    peer.settle()
    assert peer.conversation.is_settled
    return peer


# ------------------------------------------------------------------ beginnings


def test_nothing_is_said_before_there_is_anything(peer: Peer) -> None:
    peer.start()
    assert peer.listen() == []
    assert not peer.conversation.is_settled
    peer.conversation.retarget(snapshot("1", {"a": "x"}))
    assert peer.settle()[0] == "CDS"


def test_a_fresh_envoy_is_led_step_by_step(peer: Peer) -> None:
    peer.conversation.retarget(snapshot("1", {"a": "x", "b": "x"}))
    peer.start()
    assert peer.settle() == ["CDS", "EDS", "LDS", "SDS", "RDS"]
    assert peer.conversation.is_settled
    assert peer.has[CLUSTERS].keys() == peer.has[ENDPOINTS].keys() == {"a", "b"}
    assert set(peer.version.values()) == {"1"}


def test_no_clusters_at_all_are_an_answer_too(peer: Peer) -> None:
    peer.conversation.retarget(snapshot("1", {}))
    peer.start()
    assert peer.settle() == ["CDS", "LDS", "SDS", "RDS"]
    assert peer.conversation.is_settled


def test_it_is_settled_only_when_everything_is_acknowledged(peer: Peer) -> None:
    peer.conversation.retarget(snapshot("1", {"a": "x"}))
    peer.start()
    while peer.listen() or peer.unanswered:
        assert not peer.conversation.is_settled
        peer.accept(peer.unanswered[0])
    assert peer.conversation.is_settled


def test_names_that_are_not_there_are_met_with_silence(peer: Peer) -> None:
    settled(peer, snapshot("1", {"a": "x"}))
    peer.want(ENDPOINTS, {"a", "nobody"})
    peer.want(SECRETS, {"default", "unknown"})
    assert peer.listen() == []


def test_what_was_forgotten_is_sent_again(peer: Peer) -> None:
    settled(peer, snapshot("1", {"a": "x", "b": "x"}))
    peer.want(ENDPOINTS, {"a"})
    assert peer.listen() == []
    peer.want(ENDPOINTS, {"a", "b"})
    (response,) = peer.listen()
    assert response.content == {"b": "endpoints of b"}


# ------------------------------------------------------------------ changes


def test_the_same_again_is_not_sent(peer: Peer) -> None:
    settled(peer, snapshot("1", {"a": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "x"}))
    assert peer.settle() == []
    assert peer.conversation.is_settled


def test_make_before_break(peer: Peer) -> None:
    settled(peer, snapshot("1", {"old": "x"}))
    peer.conversation.retarget(snapshot("2", {"new": "x"}))
    (clusters,) = peer.listen()
    peer.accept(clusters)
    assert peer.has[CLUSTERS].keys() == {"old", "new"}
    (endpoints,) = peer.listen()
    assert endpoints.content.keys() == {"new"}
    assert peer.listen() == []
    peer.accept(endpoints)
    (routes,) = peer.listen()
    assert routes.content == {"gen": "new"}
    assert peer.listen() == []
    peer.accept(routes)
    (rest,) = peer.listen()
    assert not peer.conversation.is_settled
    peer.accept(rest)
    assert peer.has[CLUSTERS].keys() == {"new"}
    assert peer.conversation.is_settled


def test_endpoints_of_a_changed_cluster_are_sent_at_once_though_they_did_not_change(peer: Peer) -> None:
    settled(peer, snapshot("1", {"a": "x", "b": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "y", "b": "x"}))
    clusters, endpoints = peer.listen()
    assert (clusters.kind, endpoints.kind, endpoints.content) == ("CDS", "EDS", {"a": "endpoints of a"})


def test_they_are_sent_even_if_older_ones_are_still_under_way(peer: Peer) -> None:
    settled(peer, snapshot("1", {"a": "x", "b": "x"}))
    first = snapshot("2", {"a": "x", "b": "x"})
    resources = {**first.resources, ENDPOINTS: {**first.resources[ENDPOINTS], "a": resource(ENDPOINTS, "a", "moved")}}
    peer.conversation.retarget(Snapshot("2", resources))
    (under_way,) = peer.listen()
    peer.conversation.retarget(Snapshot("3", {**resources, CLUSTERS: snapshot("3", {"a": "y"}).resources[CLUSTERS]}))
    assert [response.kind for response in peer.listen()] == ["CDS"]
    peer.accept(under_way)
    (again,) = peer.listen()
    assert (again.kind, again.content) == ("EDS", {"a": "moved"})


def test_a_listener_waits_for_clusters_and_routes_wait_for_listeners(peer: Peer) -> None:
    settled(peer, snapshot("1", {"a": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "x", "b": "x"}, listeners="l1,l2"))
    assert peer.settle() == ["CDS", "EDS", "LDS", "RDS"]


def test_a_newer_target_takes_over_half_way(peer: Peer) -> None:
    settled(peer, snapshot("1", {"a": "x"}))
    peer.conversation.retarget(snapshot("2", {"b": "x"}))
    peer.listen()
    peer.conversation.retarget(snapshot("3", {"c": "x"}))
    peer.settle()
    assert peer.conversation.is_settled
    assert set(peer.has[CLUSTERS]) == peer.needed == {"c"}


# ------------------------------------------------------------------ what Envoy may say besides


def test_answers_to_older_responses_say_nothing(peer: Peer) -> None:
    settled(peer, snapshot("1", {"a": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "x"}, used=set()))
    peer.listen()
    peer.ask(ROUTES, error="about something older")
    assert peer.conversation.refusal is None
    peer.ask(ROUTES)
    assert not peer.conversation.is_settled
    assert peer.listen() == []
    peer.settle()
    assert peer.conversation.is_settled


def test_a_refusal_stops_everything_and_is_kept(peer: Peer) -> None:
    settled(peer, snapshot("1", {"a": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "x", "bad": "x"}))
    (clusters,) = peer.listen()
    peer.refuse(clusters, "bad is bad")
    assert peer.listen() == []
    peer.ask(CLUSTERS)
    assert peer.listen() == []
    refusal = peer.conversation.refusal
    assert refusal
    assert (refusal.type_url, refusal.version, refusal.message) == (CLUSTERS, "2", "bad is bad")
    assert peer.needed == {"a"}
    assert not peer.conversation.is_settled


def test_after_a_refusal_the_old_state_is_restored(peer: Peer) -> None:
    first = snapshot("1", {"a": "x", "b": "x"})
    settled(peer, first)
    peer.conversation.retarget(snapshot("2", {"a": "y", "b": "x", "bad": "x"}))
    refused, under_way = peer.listen()
    peer.refuse(refused)
    peer.conversation.retarget(first)
    (clusters,) = peer.listen()
    peer.accept(under_way)
    (endpoints,) = peer.listen()
    assert "a" in endpoints.content
    peer.settle()
    assert peer.conversation.is_settled
    assert peer.has[CLUSTERS] == {"a": "x", "b": "x"}
    assert clusters.kind == "CDS"


def test_a_refused_certificate_or_table_is_sent_again_when_it_is_right(peer: Peer) -> None:
    settled(peer, snapshot("1", {"a": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "x"}, used=set()))
    (table,) = peer.listen()
    peer.refuse(table)
    peer.conversation.retarget(snapshot("1", {"a": "x"}))
    (again,) = peer.listen()
    assert again.content == {"gen": "a"}


def test_an_envoy_that_comes_back_keeps_its_clusters_until_its_routes_have_changed(peer: Peer) -> None:
    before, after = snapshot("1", {"old": "x"}), snapshot("2", {"new": "x"})
    settled(peer, before)
    peer.come_back(after, before)
    peer.settle()
    assert peer.conversation.is_settled
    assert peer.has[CLUSTERS].keys() == peer.needed == {"new"}


# ------------------------------------------------------------------ any history


def test_an_envoy_that_comes_back_to_the_same_is_sent_nothing_that_it_has() -> None:
    peer, only = IncrementalPeer(), snapshot("1", {"a": "x"})
    settled(peer, only)
    peer.come_back(only, only)
    assert {name for response in peer.listen() for name in response.content} == set()
    peer.settle()
    assert peer.conversation.is_settled


def test_only_what_changes_is_sent() -> None:
    peer = IncrementalPeer()
    settled(peer, snapshot("1", {"a": "x", "b": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "x", "c": "x"}))
    (clusters,) = peer.listen()
    assert (clusters.content, clusters.removed) == ({"c": "x"}, set())
    peer.accept(clusters)
    peer.accept(*peer.listen())
    peer.accept(*peer.listen())
    (rest,) = peer.listen()
    assert (rest.kind, rest.content, rest.removed) == ("CDS", {}, {"b"})


CLUSTER_SETS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"), max_size=4)


@pytest.mark.parametrize("kind", [WorldPeer, IncrementalPeer])
@given(data=st.data(), states=st.lists(CLUSTER_SETS, min_size=1, max_size=6))
def test_whatever_happens_routes_have_their_clusters_and_the_end_is_reached(
    kind: type[Peer], data: st.DataObject, states: list[dict[str, str]]
) -> None:
    """Targets change and answers come at any moment; Envoy refuses now and then.  The Peer checks each step."""
    peer = kind()
    conversation = peer.conversation
    peer.start()
    targets = [snapshot(str(number), clusters) for number, clusters in enumerate(states)]
    for target in targets:
        conversation.retarget(target)
        for _ in range(data.draw(st.integers(0, 4))):
            peer.listen()
            if peer.unanswered:
                response = data.draw(st.sampled_from(peer.unanswered))
                (peer.refuse if data.draw(st.integers(0, 9)) == 0 else peer.accept)(response)
    conversation.retarget(targets[-1])
    peer.settle()
    assert conversation.is_settled
    assert {name: dict(content) for name, content in peer.has.items()} == {
        CLUSTERS: states[-1],
        ENDPOINTS: {name: f"endpoints of {name}" for name in states[-1]},
        SECRETS: {"default": "certificate"},
        LISTENERS: {"l1": "listener"},
        ROUTES: {"gen": ",".join(sorted(states[-1]))},
    }
