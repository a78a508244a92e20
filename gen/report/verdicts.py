"""What became of each Ingress, in the words that are told on the Ingress itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from gen.ir import Config, Issue
from gen.k8s import Ref
from gen.report.text import printable

LONGEST = 1000
"""Of a note; the API takes 1024 bytes."""


class Verdict(Struct, frozen=True, order=True):
    """One thing to say about an Ingress.

    Shape: Accepted: it is served, and nothing of it is left out.  Rejected: some of it is not served.  Conflict:
    another Ingress wants the same; it is a warning to both.
    """

    reason: Literal["Accepted", "Rejected", "Conflict"]
    note: str

    @property
    def type(self) -> Literal["Normal", "Warning"]:
        """How the API classifies it."""
        return "Normal" if self.reason == "Accepted" else "Warning"


ACCEPTED = Verdict("Accepted", "the configuration with this Ingress is live")


def served(config: Config) -> frozenset[Ref]:
    """The Ingresses that have a part in a configuration."""
    sources = (source for host in config.hosts.values() for source in host.sources)
    return frozenset(Ref("Ingress", source.namespace, source.name) for source in sources if source.kind == "Ingress")


def verdicts(issues: Iterable[Issue], live: Iterable[Ref]) -> Mapping[Ref, frozenset[Verdict]]:
    """What is to be said of each Ingress; `live` are those that are served."""
    found: dict[Ref, set[Verdict]] = {}
    for issue in issues:
        verdict = verdict_of(issue)
        if verdict:
            ref = Ref("Ingress", issue.source.namespace, issue.source.name)
            found.setdefault(ref, set()).add(verdict)
    accepted = {ref: frozenset([ACCEPTED]) for ref in live if ref not in found}
    return accepted | {ref: frozenset(said) for ref, said in found.items()}


def verdict_of(issue: Issue) -> Verdict | None:
    """What an issue says of its Ingress, None where that is nothing for its owner's eyes."""
    if issue.source.kind != "Ingress" or not issue.source.name:
        return None
    if issue.code.endswith("Conflict") and issue.severity != "info":
        return Verdict("Conflict", note_of(issue))
    return Verdict("Rejected", note_of(issue)) if issue.severity == "error" else None


def note_of(issue: Issue) -> str:
    """The text of an issue, as long as a note may be."""
    field = f" ({issue.source.field})" if issue.source.field else ""
    text = printable(f"{issue.code}: {issue.message}{field}").encode("utf-8", "replace")
    return text.decode() if len(text) <= LONGEST else f"{text[: LONGEST - 3].decode(errors='ignore')}..."
