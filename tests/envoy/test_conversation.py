"""What is said on a stream: in which order, when not, and what follows from a refusal.  No network, no Envoy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backends.envoy.conversation import COMPLETE, Conversation
from backends.envoy.discovery import CLUSTERS, ENDPOINTS, LISTENERS, ROUTES, SECRETS, SHORT, Request
from backends.envoy.schema import message_class
from backends.envoy.snapshot import Snapshot
from backends.envoy.wire import packed_any

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


def resource(url: str, name: str, text: str) -> bytes:
    return packed_any(url, f"{name}={text}".encode())


class Response:
    """A response, read with the classes that Envoy's own schema gave."""

    def __init__(self, data: bytes) -> None:
        message: Any = message_class("envoy.service.discovery.v3.DiscoveryResponse").parse(data)
        self.url: str = message.type_url
        self.kind = SHORT[self.url]
        self.version: str = message.version_info
        self.nonce: str = message.nonce
        self.content = dict(each.value.decode().split("=", 1) for each in message.resources)


class Peer:
    """An Envoy that keeps to the protocol: it asks, takes what it is given, and minds what is missing."""

    def __init__(self, conversation: Conversation, version: str = "") -> None:
        self.conversation = conversation
        self.has: dict[str, dict[str, str]] = {url: {} for url in SHORT}
        self.version = dict.fromkeys(SHORT, version)
        self.nonce = dict.fromkeys(SHORT, "")
        self.names: dict[str, set[str]] = {}
        self.log: list[str] = []
        self.unanswered: list[Response] = []

    def start(self) -> None:
        """The first requests of a fresh Envoy."""
        self.ask(CLUSTERS)
        self.ask(LISTENERS)

    def ask(self, url: str, *, error: str | None = None) -> None:
        names = frozenset(self.names.get(url, set()))
        self.conversation.received(Request(url, names, self.version[url], self.nonce[url], error))

    def listen(self) -> list[Response]:
        """Take in all that is due now, without answering."""
        heard = [Response(data) for data in self.conversation.due()]
        self.log += [response.kind for response in heard]
        self.unanswered += heard
        return heard

    def accept(self, response: Response) -> None:
        """Acknowledge a response, and want what it makes necessary."""
        self.unanswered.remove(response)
        url = response.url
        self.nonce[url], self.version[url] = response.nonce, response.version
        self.has[url] = response.content if url in COMPLETE else self.has[url] | response.content
        if url == ROUTES:
            missing = self.needed - self.has[CLUSTERS].keys()
            assert not missing, f"routes to clusters that are not there: {missing}"
            assert self.needed <= self.has[ENDPOINTS].keys(), "routes to clusters without endpoints"
        if url == CLUSTERS:
            assert self.needed <= response.content.keys(), "a cluster went while routes still named it"
        self.ask(url)
        if url == CLUSTERS:
            self.want(ENDPOINTS, set(response.content))
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


def settled(first: Snapshot) -> Peer:
    """An Envoy that has this snapshot."""
    peer = Peer(Conversation(first))
    peer.start()
    peer.settle()
    assert peer.conversation.is_settled
    return peer


# ------------------------------------------------------------------ beginnings


def test_nothing_is_said_before_there_is_anything() -> None:
    peer = Peer(Conversation())
    peer.start()
    assert peer.listen() == []
    assert not peer.conversation.is_settled
    peer.conversation.retarget(snapshot("1", {"a": "x"}))
    assert peer.settle()[0] == "CDS"


def test_a_fresh_envoy_is_led_step_by_step() -> None:
    peer = Peer(Conversation(snapshot("1", {"a": "x", "b": "x"})))
    peer.start()
    assert peer.settle() == ["CDS", "EDS", "LDS", "SDS", "RDS"]
    assert peer.conversation.is_settled
    assert peer.has[CLUSTERS].keys() == peer.has[ENDPOINTS].keys() == {"a", "b"}
    assert set(peer.version.values()) == {"1"}


def test_no_clusters_at_all_are_an_answer_too() -> None:
    peer = Peer(Conversation(snapshot("1", {})))
    peer.start()
    assert peer.settle() == ["CDS", "LDS", "SDS", "RDS"]
    assert peer.conversation.is_settled


def test_it_is_settled_only_when_everything_is_acknowledged() -> None:
    peer = Peer(Conversation(snapshot("1", {"a": "x"})))
    peer.start()
    while peer.listen() or peer.unanswered:
        assert not peer.conversation.is_settled
        peer.accept(peer.unanswered[0])
    assert peer.conversation.is_settled


def test_names_that_are_not_there_are_met_with_silence() -> None:
    peer = settled(snapshot("1", {"a": "x"}))
    peer.want(ENDPOINTS, {"a", "nobody"})
    peer.want(SECRETS, {"default", "unknown"})
    assert peer.listen() == []


def test_what_was_forgotten_is_sent_again() -> None:
    peer = settled(snapshot("1", {"a": "x", "b": "x"}))
    peer.want(ENDPOINTS, {"a"})
    assert peer.listen() == []
    peer.want(ENDPOINTS, {"a", "b"})
    (response,) = peer.listen()
    assert response.content == {"b": "endpoints of b"}


# ------------------------------------------------------------------ changes


def test_the_same_again_is_not_sent() -> None:
    peer = settled(snapshot("1", {"a": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "x"}))
    assert peer.settle() == []
    assert peer.conversation.is_settled


def test_make_before_break() -> None:
    peer = settled(snapshot("1", {"old": "x"}))
    peer.conversation.retarget(snapshot("2", {"new": "x"}))
    (clusters,) = peer.listen()
    assert clusters.content.keys() == {"old", "new"}
    peer.accept(clusters)
    (endpoints,) = peer.listen()
    assert endpoints.content.keys() == {"new"}
    assert peer.listen() == []
    peer.accept(endpoints)
    (routes,) = peer.listen()
    assert routes.content == {"gen": "new"}
    assert peer.listen() == []
    peer.accept(routes)
    (rest,) = peer.listen()
    assert rest.content.keys() == {"new"}
    assert not peer.conversation.is_settled
    peer.accept(rest)
    assert peer.conversation.is_settled


def test_endpoints_of_a_changed_cluster_are_sent_at_once_though_they_did_not_change() -> None:
    peer = settled(snapshot("1", {"a": "x", "b": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "y", "b": "x"}))
    clusters, endpoints = peer.listen()
    assert (clusters.kind, endpoints.kind, endpoints.content) == ("CDS", "EDS", {"a": "endpoints of a"})


def test_they_are_sent_even_if_older_ones_are_still_under_way() -> None:
    peer = settled(snapshot("1", {"a": "x", "b": "x"}))
    first = snapshot("2", {"a": "x", "b": "x"})
    resources = {**first.resources, ENDPOINTS: {**first.resources[ENDPOINTS], "a": resource(ENDPOINTS, "a", "moved")}}
    peer.conversation.retarget(Snapshot("2", resources))
    (under_way,) = peer.listen()
    peer.conversation.retarget(Snapshot("3", {**resources, CLUSTERS: snapshot("3", {"a": "y"}).resources[CLUSTERS]}))
    assert [response.kind for response in peer.listen()] == ["CDS"]
    peer.accept(under_way)
    (again,) = peer.listen()
    assert (again.kind, again.content) == ("EDS", {"a": "moved"})


def test_a_listener_waits_for_clusters_and_routes_wait_for_listeners() -> None:
    peer = settled(snapshot("1", {"a": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "x", "b": "x"}, listeners="l1,l2"))
    assert peer.settle() == ["CDS", "EDS", "LDS", "RDS"]


def test_a_newer_target_takes_over_half_way() -> None:
    peer = settled(snapshot("1", {"a": "x"}))
    peer.conversation.retarget(snapshot("2", {"b": "x"}))
    peer.listen()
    peer.conversation.retarget(snapshot("3", {"c": "x"}))
    peer.settle()
    assert peer.conversation.is_settled
    assert set(peer.has[CLUSTERS]) == peer.needed == {"c"}


# ------------------------------------------------------------------ what Envoy may say besides


def test_answers_to_older_responses_say_nothing() -> None:
    peer = settled(snapshot("1", {"a": "x"}))
    stale, names = peer.nonce[ROUTES], frozenset({"gen"})
    peer.conversation.retarget(snapshot("2", {"a": "x"}, used=set()))
    peer.listen()
    peer.conversation.received(Request(ROUTES, names, version="1", nonce=stale, error="about something older"))
    assert peer.conversation.refusal is None
    peer.conversation.received(Request(ROUTES, names, version="1", nonce=stale))
    assert not peer.conversation.is_settled
    assert peer.listen() == []
    peer.settle()
    assert peer.conversation.is_settled


def test_a_refusal_stops_everything_and_is_kept() -> None:
    peer = settled(snapshot("1", {"a": "x"}))
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


def test_after_a_refusal_the_old_state_is_sent_whole() -> None:
    first = snapshot("1", {"a": "x", "b": "x"})
    peer = settled(first)
    peer.conversation.retarget(snapshot("2", {"a": "y", "b": "x", "bad": "x"}))
    refused, under_way = peer.listen()
    peer.refuse(refused)
    peer.conversation.retarget(first)
    (clusters,) = peer.listen()
    assert clusters.content == {"a": "x", "b": "x"}
    peer.accept(under_way)
    (endpoints,) = peer.listen()
    assert endpoints.content.keys() == {"a", "b"}
    peer.settle()
    assert peer.conversation.is_settled


def test_a_refused_certificate_or_table_is_sent_again_when_it_is_right() -> None:
    peer = settled(snapshot("1", {"a": "x"}))
    peer.conversation.retarget(snapshot("2", {"a": "x"}, used=set()))
    (table,) = peer.listen()
    peer.refuse(table)
    peer.conversation.retarget(snapshot("1", {"a": "x"}))
    (again,) = peer.listen()
    assert again.content == {"gen": "a"}


def test_an_envoy_that_comes_back_keeps_its_clusters_until_its_routes_have_changed() -> None:
    before, after = snapshot("1", {"old": "x"}), snapshot("2", {"new": "x"})
    peer = Peer(Conversation(after, before), version="1")
    peer.has = {
        CLUSTERS: {"old": "x"},
        ENDPOINTS: {"old": "endpoints of old"},
        SECRETS: {"default": "certificate"},
        LISTENERS: {"l1": "listener"},
        ROUTES: {"gen": "old"},
    }
    peer.names = {ENDPOINTS: {"old"}, SECRETS: {"default"}, ROUTES: {"gen"}}
    for url in SHORT:
        peer.ask(url)
    peer.settle()
    assert peer.conversation.is_settled
    assert peer.has[CLUSTERS].keys() == peer.needed == {"new"}


# ------------------------------------------------------------------ any history

CLUSTER_SETS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"), max_size=4)


@given(data=st.data(), states=st.lists(CLUSTER_SETS, min_size=1, max_size=6))
def test_whatever_happens_routes_have_their_clusters_and_the_end_is_reached(
    data: st.DataObject, states: list[dict[str, str]]
) -> None:
    """Targets change and answers come at any moment; Envoy refuses now and then.  The Peer checks each step."""
    conversation = Conversation()
    peer = Peer(conversation)
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
