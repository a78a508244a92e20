"""Which certificate a host shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gen.ir import Issue, Severity, Source
from gen.translate.ingress import Claim, TlsClaim, parent
from gen.translate.settings import Profile
from gen.translate.units import Result, UnitReader


def certificate_for(
    read: UnitReader, rules: Profile, name: str, owners: Iterable[Claim]
) -> tuple[str, tuple[Issue, ...]]:
    """The id of the certificate: of the oldest Ingress whose spec.tls is for this host; "" is the default one."""
    choosing = _Choosing(read, rules, name)
    return choosing.certificate(owners), tuple(choosing.issues)


class _Choosing:
    """The certificate of one host while it is looked for."""

    def __init__(self, read: UnitReader, rules: Profile, name: str) -> None:
        self._read = read
        self._rules = rules
        self._name = name
        self.issues: list[Issue] = []

    def certificate(self, owners: Iterable[Claim]) -> str:
        for claim in owners:
            entry = self._listed(claim.tls) or self._matching(claim.tls)
            if entry:
                return self._usable(entry) if entry.secret else ""
        return ""

    def _listed(self, entries: Sequence[TlsClaim]) -> TlsClaim | None:
        for name in (self._name, parent(self._name)):
            for entry in entries:
                if name in entry.hosts:
                    return entry
        return None

    def _matching(self, entries: Iterable[TlsClaim]) -> TlsClaim | None:
        """An entry that does not list the host, but whose certificate is for it."""
        for entry in entries:
            if entry.secret:
                found = self._read.unit("certificate", entry.secret)
                if found.value and found.value.is_for(self._name):
                    return entry
                if not entry.hosts:
                    self._say_faults(found, entry.source)
        return None

    def _usable(self, entry: TlsClaim) -> str:
        found = self._read.unit("certificate", entry.secret)
        self._say_faults(found, entry.source)
        if found.value is None:
            return ""
        if found.value.is_for(self._name):
            return entry.secret
        replaced = self._rules.needs_matching_certificate
        instead = ", the default one is served" if replaced else ""
        shown = self._name or "the catch-all host"
        self._say(entry.source, "CertNameMismatch", f"the certificate is not for {shown}{instead}", "warning")
        return "" if replaced else entry.secret

    def _say_faults(self, result: Result[object], source: Source) -> None:
        for code, message in result.faults:
            self._say(source, code, message, "error")

    def _say(self, source: Source, code: str, message: str, severity: Severity) -> None:
        self.issues.append(Issue(source, code, message, severity))
