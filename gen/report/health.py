"""Whether the proxy serves what it should, in a word for probes and in a sentence for people."""

from __future__ import annotations

from gen.report.events import Attempt, Event, ProxyGone, ProxyResumed
from gen.report.text import printable

LONGEST = 200
COMPLAINTS = {
    "rejected": "the proxy refused the configuration",
    "failed": "the configuration did not reach the proxy",
}


class Health:
    """Ready from the first confirmed configuration on, for as long as the proxy lives.

    Shape: `has_started` once there is a configuration for a proxy to start with, which may be the one of an earlier
    gen: a proxy beside gen in a pod waits for that.
    """

    def __init__(self) -> None:
        self.has_started = False
        self._has_confirmed = False
        self._complaint = "no input has been read yet"
        self._proxy_trouble = ""

    @property
    def is_ready(self) -> bool:
        """Whether a configuration of this gen is confirmed and the proxy is alive."""
        return self._has_confirmed and not self._proxy_trouble

    @property
    def sentence(self) -> str:
        """Why it is ready or not; the log says more."""
        if self._proxy_trouble:
            return f"the proxy is not there: {self._proxy_trouble}"
        return "the configuration is live" if self._has_confirmed else f"not live yet: {self._complaint}"

    def observe(self, event: Event) -> None:
        """Take note of what the loop tells."""
        if isinstance(event, ProxyResumed):
            self.has_started |= event.bundle is not None
        elif isinstance(event, Attempt):
            self.has_started |= event.result in {"applied", "failed"}
        match event:
            case Attempt(result="applied"):
                self._has_confirmed, self._proxy_trouble = True, ""
            case Attempt(result="held"):
                self._complaint = event.error
            case Attempt():
                self._complaint = COMPLAINTS[event.result]
            case ProxyGone():
                self._proxy_trouble = printable(event.description.partition("\n")[0][:LONGEST]) or "it has ended"
            case ProxyResumed():
                self._proxy_trouble = "" if event.bundle or not self._has_confirmed else "it has nothing to start with"
            case _:
                pass
