"""Issues as text: one line each, always of the same form, so that it can be searched and parsed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gen.ir import Issue, Source

Locate = Callable[[Source], tuple[str, int] | None]
"""Where a source stands: the file and the line, None when that is not known."""


def nowhere(_source: Source) -> None:
    """A Locate for objects that come from no file."""


def by_place(issues: Iterable[Issue], locate: Locate) -> list[Issue]:
    """Issues in the order in which one reads files; those that stand in none come last."""
    places = {issue: place_of(issue.source, locate) for issue in issues}
    return sorted(places, key=lambda issue: (places[issue] is None, places[issue] or ("", 0), issue))


def issue_line(issue: Issue, locate: Locate = nowhere) -> str:
    """`file:line: severity code: message (Kind namespace/name, field)`, without what is not known."""
    place = place_of(issue.source, locate)
    where = f"{place[0]}:{place[1]}: " if place else ""
    who = f" ({issue.source})" if issue.source.name else ""
    return printable(f"{where}{issue.severity} {issue.code}: {issue.message}{who}")


def place_of(source: Source, locate: Locate) -> tuple[str, int] | None:
    """The file and line of a source, by its own word or by the manifests'."""
    return (source.file, source.line) if source.file else locate(source)


def printable(text: str) -> str:
    r"""The text with everything escaped that a terminal or a log would not take as a character, such as \n or \x1b."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )
