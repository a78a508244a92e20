"""One stream of one Envoy: what it has, what it wants, and what it is offered next.  No I/O.

State of the world: a request names everything that is wanted of one type and answers the last response; a response
about clusters or listeners holds all of them, one about other types only what is new.

A new snapshot goes out make before break, and each step waits until the one before has been acknowledged:

    clusters, also those that will go, and their endpoints  ->  certificates, listeners  ->  routes  ->  clusters

There is no record of the step: it follows from what has been acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from backends.envoy import discovery
from backends.envoy.discovery import CLUSTERS, ENDPOINTS, LISTENERS, ROUTES, SECRETS, Request
from backends.envoy.snapshot import Snapshot

COMPLETE = frozenset({CLUSTERS, LISTENERS})
"""Types whose responses hold everything: what they leave out is removed."""


class Refusal(Struct, frozen=True):
    """A response that Envoy did not accept, in its own words."""

    type_url: str
    version: str
    message: str


class Subscription:
    """One type within a stream.

    Shape: `held` is what Envoy has acknowledged, `offered` what it has been sent since (None: nothing is under way).
    """

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self.nonce = ""
        self.held: dict[str, bytes] = {}
        self.offered: dict[str, bytes] | None = None
        self.is_answered = False


class Conversation:
    """What is said on one stream.  `received` takes requests, `due` gives the responses to send.

    `before` is what an Envoy may have that was served before this stream: its routes may still need those clusters.
    """

    def __init__(self, target: Snapshot | None = None, before: Snapshot | None = None) -> None:
        self.target = target
        self.refusal: Refusal | None = None
        self._before = before
        self._subscriptions: dict[str, Subscription] = {}
        self._responses = 0
        self._complete: dict[str, bool] = {}

    def retarget(self, snapshot: Snapshot) -> None:
        """From now on lead Envoy to this snapshot."""
        self.target = snapshot
        self.refusal = None
        self._complete.clear()

    @property
    def is_settled(self) -> bool:
        """Whether Envoy has acknowledged every resource of the target, and holds no others."""
        return self.target is not None and all(self._has(url) for url in discovery.SHORT) and self._is_lean

    # ------------------------------------------------------------------ what Envoy says

    def received(self, request: Request) -> None:
        """Take in a request; one that answers an older response than the last says nothing any more."""
        self._complete.clear()
        if request.type_url not in self._subscriptions:
            self._subscriptions[request.type_url] = self._begun(request)
        subscription = self._subscriptions[request.type_url]
        if request.nonce != subscription.nonce:
            return
        for name in subscription.names - request.names:
            subscription.held.pop(name, None)
        subscription.names = request.names
        offered, subscription.offered = subscription.offered, None
        if offered is None:
            return
        if request.error is None:
            self._accepted(request.type_url, subscription, offered)
        else:
            self._refused(request, subscription)

    def _begun(self, request: Request) -> Subscription:
        subscription = Subscription()
        if request.type_url == CLUSTERS and request.version and self._before:
            subscription.held = dict(self._before.resources[CLUSTERS])
        return subscription

    def _accepted(self, url: str, subscription: Subscription, offered: dict[str, bytes]) -> None:
        if url in COMPLETE:
            subscription.held = offered
        else:
            subscription.held |= offered

    def _refused(self, request: Request, subscription: Subscription) -> None:
        """What Envoy has now is uncertain, for it may have taken a part: whatever comes next is sent whole."""
        if self.refusal is None and self.target:
            self.refusal = Refusal(request.type_url, self.target.version, request.error or "")
        subscription.is_answered = False
        if request.type_url == CLUSTERS:
            self._forget(ENDPOINTS)  # clusters that were taken wait for them again
        elif request.type_url not in COMPLETE:
            self._forget(request.type_url)

    def _forget(self, url: str) -> None:
        if subscription := self._subscriptions.get(url):
            subscription.held = {}
            subscription.offered = None if subscription.offered is None else {}

    # ------------------------------------------------------------------ what Envoy is told

    def due(self) -> Iterator[bytes]:
        """The responses that can be sent now; nothing before there is a target, nor after a refusal of it."""
        for url in discovery.SHORT:
            if self.target is None or self.refusal is not None:
                return
            subscription = self._subscriptions.get(url)
            if subscription is None or subscription.offered is not None or not self._is_turn(url):
                continue
            resources = self._news(url, subscription)
            if resources is not None:
                yield self._offer(url, subscription, resources)

    def _offer(self, url: str, subscription: Subscription, resources: dict[str, bytes]) -> bytes:
        assert self.target is not None
        if url == CLUSTERS:
            self._renew_endpoints(subscription.held, resources)
        self._complete.clear()
        self._responses += 1
        subscription.nonce = str(self._responses)
        subscription.offered = resources
        subscription.is_answered = True
        return discovery.response(url, self.target.version, subscription.nonce, list(resources.values()))

    def _news(self, url: str, subscription: Subscription) -> dict[str, bytes] | None:
        """The resources for the next response, None where there is nothing to say."""
        wanted = self._wanted(url)
        if url in COMPLETE:
            return dict(wanted) if wanted != subscription.held or not subscription.is_answered else None
        held = subscription.held
        news = {name: wanted[name] for name in subscription.names & wanted.keys() if held.get(name) != wanted[name]}
        return dict(sorted(news.items())) or None

    def _wanted(self, url: str) -> Mapping[str, bytes]:
        """All resources of a type that Envoy shall have at this step: clusters go only once no route names them."""
        assert self.target is not None
        wanted = self.target.resources[url]
        if url == CLUSTERS and not self._has(ROUTES):
            return {**self._subscriptions[url].held, **wanted}
        return wanted

    def _is_turn(self, url: str) -> bool:
        """Whether everything that this type builds on has been acknowledged."""
        if url in {CLUSTERS, ENDPOINTS}:
            return True
        before = (CLUSTERS, ENDPOINTS) if url in {SECRETS, LISTENERS} else (CLUSTERS, ENDPOINTS, SECRETS, LISTENERS)
        return all(self._has(each) for each in before)

    def _has(self, url: str) -> bool:
        """Whether Envoy has acknowledged all resources of a type that the target has."""
        if url not in self._complete:
            self._complete[url] = self._compare(url)
        return self._complete[url]

    def _compare(self, url: str) -> bool:
        assert self.target is not None
        subscription, wanted = self._subscriptions.get(url), self.target.resources[url]
        if subscription is None:
            return not wanted and url not in COMPLETE
        if url in COMPLETE and not (subscription.is_answered and subscription.offered is None):
            return False
        return subscription.held.items() >= wanted.items()

    @property
    def _is_lean(self) -> bool:
        assert self.target is not None
        return all(self._subscriptions[url].held.keys() == self.target.resources[url].keys() for url in COMPLETE)

    def _renew_endpoints(self, held: Mapping[str, bytes], clusters: Mapping[str, bytes]) -> None:
        """Send the endpoints of changed clusters again, or Envoy waits 15 s for them before it uses the cluster."""
        endpoints = self._subscriptions.get(ENDPOINTS)
        if endpoints is None:
            return
        for name in [name for name, resource in clusters.items() if held.get(name) != resource]:
            endpoints.held.pop(name, None)
            if endpoints.offered is not None:
                endpoints.offered.pop(name, None)
