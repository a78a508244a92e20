"""The state of the world, for an Envoy that is set up to ask for it.

A request names everything that is wanted of one type and answers the last response; a response about clusters or
listeners holds all of them, one about other types only what is new.
"""

from __future__ import annotations

from backends.envoy import discovery
from backends.envoy.conversation import COMPLETE, Conversation, Offer, Subscription
from backends.envoy.discovery import CLUSTERS, ENDPOINTS, Request
from backends.envoy.snapshot import Snapshot


class StateOfTheWorld(Conversation):
    """See Conversation.

    `before` is what an Envoy may have that was served before this stream: its routes may still need those clusters.
    """

    def __init__(self, target: Snapshot | None = None, before: Snapshot | None = None) -> None:
        super().__init__(target)
        self._before = before

    def take(self, data: bytes) -> None:
        """Take in what was sent.  Raises ValueError for bytes that are no request."""
        self.received(discovery.read_request(data))

    def received(self, request: Request) -> None:
        """Take in a request; one that answers an older response than the last says nothing any more."""
        url = request.type_url
        subscription = self._subscriptions.get(url) or self._begun(request)
        if request.nonce != subscription.nonce:
            return
        dropped = subscription.names - request.names
        subscription.names = set(request.names)
        self._answered(url, request.error)
        self._dropped(url, dropped)

    def _begun(self, request: Request) -> Subscription:
        remembers = request.type_url == CLUSTERS and request.version and self._before
        return self._subscribed(
            request.type_url, self._before.resources[CLUSTERS] if remembers and self._before else {}
        )

    def _accepted(self, url: str, offered: Offer) -> None:
        if url in COMPLETE:
            offered |= dict.fromkeys(self._subscriptions[url].held.keys() - offered.keys())
        super()._accepted(url, offered)

    def _doubted(self, url: str, offered: Offer) -> None:
        """Whatever comes next is sent whole; clusters that were taken wait for their endpoints again."""
        self._subscriptions[url].is_answered = False
        doubtful = ENDPOINTS if url == CLUSTERS else url
        if doubtful in self._subscriptions and doubtful not in COMPLETE:
            doubted = self._subscriptions[doubtful]
            self._dropped(doubtful, {*doubted.held, *(doubted.offered or ()), *offered})

    def _news(self, url: str, subscription: Subscription) -> Offer | None:
        assert self.target is not None
        wanted = self.target.resources[url]
        if url not in COMPLETE:
            return {name: wanted[name] for name in sorted(subscription.lacking & subscription.names)} or None
        may_go = self._may_go(url)
        if subscription.is_answered and not subscription.lacking and not (subscription.surplus and may_go):
            return None
        stays: Offer = {} if may_go else {name: subscription.held[name] for name in sorted(subscription.surplus)}
        return stays | dict(wanted)

    def _response(self, url: str, nonce: str, news: Offer) -> bytes:
        assert self.target is not None
        bodies = [resource.body for resource in news.values() if resource]
        return discovery.response(url, self.target.version, nonce, bodies)
