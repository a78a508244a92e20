"""One stream of one Envoy: what it has, what it wants, and what it is offered next.  No I/O.

A new snapshot goes out make before break, and each step waits until the one before has been acknowledged:

    clusters, also those that will go, and their endpoints  ->  certificates, listeners  ->  routes  ->  clusters

There is no record of the step: it follows from what has been acknowledged.  How that is said depends on the variant of
the protocol: backends.envoy.world and backends.envoy.incremental.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from backends.envoy import discovery
from backends.envoy.discovery import CLUSTERS, ENDPOINTS, LISTENERS, ROUTES, SECRETS
from backends.envoy.snapshot import Resource, Snapshot

COMPLETE = frozenset({CLUSTERS, LISTENERS})
"""Types of which Envoy wants all that there are."""

Offer = dict[str, Resource | None]
"""What a response is about: resources by name, None for one that goes."""


class Refusal(Struct, frozen=True):
    """A response that Envoy did not accept, in its own words."""

    type_url: str
    version: str
    message: str


class Subscription:
    """One type within a stream.

    Shape: `held` is what Envoy has acknowledged, `offered` what it has been sent since (None: nothing is under way).
    `lacking` names what the target has and Envoy does not hold like that; `surplus` what it holds and shall not, of
    the types that are complete.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.nonce = ""
        self.held: dict[str, Resource] = {}
        self.offered: Offer | None = None
        self.is_answered = False
        self.lacking: set[str] = set()
        self.surplus: set[str] = set()


class Conversation(ABC):
    """What is said on one stream.  `take` gets requests, `due` gives the responses to send."""

    def __init__(self, target: Snapshot | None = None) -> None:
        self.target = target
        self.refusal: Refusal | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._responses = 0

    def retarget(self, snapshot: Snapshot) -> None:
        """From now on lead Envoy to this snapshot."""
        old, self.target = self.target, snapshot
        self.refusal = None
        for url in self._subscriptions:
            self._review(url, snapshot.changes(old, url) if old else None)

    @property
    def is_settled(self) -> bool:
        """Whether Envoy has acknowledged every resource of the target, and holds no others."""
        return self.target is not None and all(self._has(url) for url in discovery.SHORT) and self._is_lean

    # ------------------------------------------------------------------ what Envoy says

    @abstractmethod
    def take(self, data: bytes) -> None:
        """Take in what was sent.  Raises ValueError for bytes that are no request."""

    def _subscribed(self, url: str, held: Mapping[str, Resource]) -> Subscription:
        """Begin with a type; Envoy may have something from a stream before this one."""
        self._subscriptions[url] = Subscription()
        self._subscriptions[url].held = dict(held)
        self._review(url)
        return self._subscriptions[url]

    def _dropped(self, url: str, names: Iterable[str]) -> None:
        """Envoy does not hold these any more, or has to be given them anew."""
        subscription = self._subscriptions.get(url)
        if subscription is None:
            return
        for name in names:
            subscription.held.pop(name, None)
            if subscription.offered is not None:
                subscription.offered.pop(name, None)
        self._review(url, names)

    def _answered(self, url: str, error: str | None) -> None:
        """The last response was accepted or refused; says nothing where none is under way."""
        subscription = self._subscriptions[url]
        offered, subscription.offered = subscription.offered, None
        if offered is None:
            return
        if error is None:
            self._accepted(url, offered)
            return
        if self.refusal is None and self.target:
            self.refusal = Refusal(url, self.target.version, error)
        self._doubted(url, offered)

    def _accepted(self, url: str, offered: Offer) -> None:
        held = self._subscriptions[url].held
        for name, resource in offered.items():
            if resource is None:
                held.pop(name, None)
            else:
                held[name] = resource
        self._review(url, offered)

    @abstractmethod
    def _doubted(self, url: str, offered: Offer) -> None:
        """What Envoy has now is uncertain, for it may have taken a part of what it refused."""

    # ------------------------------------------------------------------ what Envoy is told

    def due(self) -> Iterator[bytes]:
        """The responses that can be sent now; nothing before there is a target, nor after a refusal of it."""
        for url in discovery.SHORT:
            if self.target is None or self.refusal is not None:
                return
            subscription = self._subscriptions.get(url)
            if subscription is None or subscription.offered is not None or not self._is_turn(url):
                continue
            news = self._news(url, subscription)
            if news is not None:
                yield self._offer(url, subscription, news)

    def _offer(self, url: str, subscription: Subscription, news: Offer) -> bytes:
        assert self.target is not None
        if url == CLUSTERS:  # or Envoy waits 15 s for the endpoints of a changed cluster before it uses it
            self._dropped(ENDPOINTS, frozenset(subscription.lacking))
        self._responses += 1
        subscription.nonce = str(self._responses)
        subscription.offered = news
        subscription.is_answered = True
        return self._response(url, subscription.nonce, news)

    @abstractmethod
    def _news(self, url: str, subscription: Subscription) -> Offer | None:
        """What the next response is about, None where there is nothing to say."""

    @abstractmethod
    def _response(self, url: str, nonce: str, news: Offer) -> bytes:
        """The message."""

    # ------------------------------------------------------------------ how far it has got

    def _may_go(self, url: str) -> bool:
        """Whether what is surplus can be removed: clusters only once no route names them."""
        return url in COMPLETE and (url != CLUSTERS or self._has(ROUTES))

    def _is_turn(self, url: str) -> bool:
        """Whether everything that this type builds on has been acknowledged."""
        if url in {CLUSTERS, ENDPOINTS}:
            return True
        before = (CLUSTERS, ENDPOINTS) if url in {SECRETS, LISTENERS} else (CLUSTERS, ENDPOINTS, SECRETS, LISTENERS)
        return all(self._has(each) for each in before)

    def _has(self, url: str) -> bool:
        """Whether Envoy has acknowledged all resources of a type that the target has."""
        assert self.target is not None
        subscription = self._subscriptions.get(url)
        if subscription is None:
            return not self.target.resources[url] and url not in COMPLETE
        if url in COMPLETE and not (subscription.is_answered and subscription.offered is None):
            return False
        return not subscription.lacking

    @property
    def _is_lean(self) -> bool:
        return not any(self._subscriptions[url].surplus for url in COMPLETE)

    def _review(self, url: str, names: Iterable[str] | None = None) -> None:
        """Compare what is held with the target, for these names or for all."""
        subscription = self._subscriptions[url]
        wanted = self.target.resources[url] if self.target else {}
        if names is None:
            names = wanted.keys() | subscription.held.keys()
        for name in names:
            want, have = wanted.get(name), subscription.held.get(name)
            is_lacking = want is not None and (have is None or have.version != want.version)
            is_surplus = want is None and have is not None and url in COMPLETE
            (subscription.lacking.add if is_lacking else subscription.lacking.discard)(name)
            (subscription.surplus.add if is_surplus else subscription.surplus.discard)(name)
