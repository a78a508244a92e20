"""Incremental discovery: requests and responses name only what changes, each resource has a version of its own.

An Envoy that comes back says which versions it has, and gets the difference.
"""

from __future__ import annotations

from backends.envoy import discovery
from backends.envoy.conversation import COMPLETE, Conversation, Offer, Subscription
from backends.envoy.discovery import CLUSTERS, ENDPOINTS, IncrementalRequest
from backends.envoy.snapshot import Resource

DOUBTFUL = Resource("", b"")


class Incremental(Conversation):
    """See Conversation."""

    def take(self, data: bytes) -> None:
        """Take in what was sent.  Raises ValueError for bytes that are no request."""
        self.received(discovery.read_incremental_request(data))

    def received(self, request: IncrementalRequest) -> None:
        """Take in a request; a name that is wanted once more was forgotten by Envoy."""
        url = request.type_url
        subscription = self._subscriptions.get(url)
        if subscription is None:
            subscription = self._subscribed(url, {name: Resource(each, b"") for name, each in request.known.items()})
        forgotten = (request.subscribed & subscription.names) | request.unsubscribed
        subscription.names |= request.subscribed
        subscription.names -= request.unsubscribed
        if request.nonce and request.nonce == subscription.nonce:
            self._answered(url, request.error)
        self._dropped(url, forgotten)

    def _doubted(self, url: str, offered: Offer) -> None:
        """All of it is sent again, or taken back; clusters that were taken wait for their endpoints again."""
        self._subscriptions[url].held |= dict.fromkeys(offered, DOUBTFUL)
        self._review(url, offered)
        if url == CLUSTERS:
            self._dropped(ENDPOINTS, offered)

    def _news(self, url: str, subscription: Subscription) -> Offer | None:
        assert self.target is not None
        wanted = self.target.resources[url]
        lacking = subscription.lacking if url in COMPLETE else subscription.lacking & subscription.names
        news: Offer = {name: wanted[name] for name in sorted(lacking)}
        if self._may_go(url):
            news |= dict.fromkeys(sorted(subscription.surplus))
        is_owed = url in COMPLETE and not subscription.is_answered  # "there are none" is an answer too
        return news if news or is_owed else None

    def _response(self, url: str, nonce: str, news: Offer) -> bytes:
        assert self.target is not None
        return discovery.incremental_response(
            url,
            self.target.version,
            nonce,
            [(name, resource.version, resource.body) for name, resource in news.items() if resource],
            [name for name, resource in news.items() if resource is None],
        )
