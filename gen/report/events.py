"""What the loop tells: one value for each thing that happened, for logs, metrics and health alike."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gen.backend import Bundle, Plan
from gen.ir import Issue

Result = Literal["applied", "held", "rejected", "failed"]
Effect = Literal["nothing", "files", "commands", "reload"]


class Attempt(Struct, frozen=True):
    """One try to make the input live, and how it ended.

    Shape: `cause` says why there was a try; `bundle` and `plan` are as far as it came; `error` says why it ended there.
    applied: the proxy confirmed it.  held: not now, other input is needed.  rejected: the proxy's own test refused it,
    and nothing is tried again before the input changes.  failed: it did not reach the proxy, another try follows.
    Units: `seconds` from the start of the try.
    """

    result: Result
    cause: str
    seconds: float
    bundle: Bundle | None = None
    plan: Plan | None = None
    error: str = ""

    @property
    def effect(self) -> Effect:
        """What the proxy had to do, or would have had to do."""
        if self.plan is None or self.plan.is_nothing:
            return "nothing"
        if self.plan.reload:
            return "reload"
        return "commands" if self.plan.commands else "files"


class Restored(Struct, frozen=True):
    """After a failure: the way back to the last accepted configuration, and the error if it failed as well."""

    plan: Plan
    error: str = ""


class IssuesFound(Struct, frozen=True):
    """All faults of the input as it is now."""

    issues: tuple[Issue, ...]


class ProxyResumed(Struct, frozen=True):
    """The proxy runs what it had accepted last; None: there is nothing yet."""

    bundle: Bundle | None


class ProxyGone(Struct, frozen=True):
    """The proxy has ended, or was not found, or could not be started; the next try is after `delay` seconds."""

    description: str
    delay: float


class SourceFailed(Struct, frozen=True):
    """The source of objects failed; it is asked again after `delay` seconds."""

    description: str
    delay: float


class Leadership(Struct, frozen=True):
    """This gen has become the one that writes into the cluster, or is it no more."""

    is_leader: bool


class Written(Struct, frozen=True):
    """Something was written into the cluster, or would have been (observed), or could not be (failed).

    Shape: `what` names it, `error` says why it failed.
    """

    kind: Literal["lease", "status", "event"]
    result: Literal["written", "observed", "failed"]
    what: str
    error: str = ""


class Fault(Struct, frozen=True):
    """A defect of gen itself: what is live stays live."""

    error: BaseException


Event = Attempt | Restored | IssuesFound | ProxyResumed | ProxyGone | SourceFailed | Leadership | Written | Fault
