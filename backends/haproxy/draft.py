"""A backend section while its policy is written: its lines, and the files and sections that these lines name."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from backends.haproxy import syntax
from backends.haproxy.syntax import Encoded
from gen.policy import ErrorPages

PLAIN_DENIALS = frozenset((400, 401, 403, 404, 405, 408, 410, 413, 429, 500, 502, 503, 504))
"""The statuses for which HAProxy has a page of its own."""


class Draft:
    """Lines in the order of decisions.

    Shape: `files` are by relative path; `parts` are other sections by their first line; `has_script` says that a line
    calls the Lua script, `has_limit` that bodies are counted while they pass.
    """

    def __init__(self, error_pages: ErrorPages | None = None) -> None:
        self.lines: list[Encoded] = []
        self.files: dict[str, bytes] = {}
        self.parts: dict[Encoded, tuple[Encoded, ...]] = {}
        self.has_script = False
        self.has_limit = False
        self._intercepted = frozenset(error_pages.statuses) if error_pages else frozenset()

    def add(self, form: str, *values: Encoded | int) -> None:
        """One line, with values at its `%s`."""
        self.lines.append(syntax.rule(form, *values))

    def deny(self, status: int, condition: str = "", *values: Encoded | int) -> None:
        """Answer with an error where the condition holds."""
        if status in self._intercepted:
            self.add(f"http-request set-var(txn.status) int({int(status)}) {condition}", *values)
            self.add("http-request lua.error_page if { var(txn.status) -m found }")
        elif status in PLAIN_DENIALS:
            self.add(f"http-request deny deny_status {int(status)} {condition}".rstrip(), *values)
        else:
            self.add(f"http-request return status {int(status)} {condition}".rstrip(), *values)

    def replace(self, status: int) -> None:
        """The page of an error, where there is one, before the answer that the section ends with."""
        if status in self._intercepted:
            self.deny(status)

    def file(self, folder: str, ending: str, content: bytes) -> Encoded:
        """A file of this content; the same content is the same file."""
        name = syntax.file(f"{folder}/{sha256(content).hexdigest()[:20]}.{ending}")
        self.files[name] = content
        return name

    def networks(self, networks: Iterable[str]) -> Encoded:
        """A file of networks.  Raises BadValue."""
        return self.file("acl", "acl", b"".join(sorted({syntax.network(each) for each in networks})))

    def part(self, keyword: str, lines: Iterable[Encoded]) -> Encoded:
        """The name of another section of these lines; the same lines are the same section."""
        body = tuple(lines)
        name = syntax.name(f"{keyword.partition(' ')[0]}-{sha256(chr(10).join(body).encode()).hexdigest()[:20]}")
        self.parts[syntax.rule("%s %s", syntax.name(keyword), name)] = body
        return name
