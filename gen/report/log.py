"""What the loop tells, as log lines: one for each attempt, one for each fault that is new or gone."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from gen.backend import Bundle
from gen.ir import Issue
from gen.report.events import (
    Attempt,
    Event,
    Fault,
    IssuesFound,
    Leadership,
    ProxyGone,
    ProxyResumed,
    Restored,
    SourceFailed,
    Written,
)
from gen.report.text import Locate, issue_line, nowhere, printable

LOGGER = logging.getLogger("gen")
MOST_LINES = 100
ISSUE_LEVEL = {"error": logging.WARNING, "warning": logging.WARNING, "info": logging.INFO}
ATTEMPTS = {
    "applied": (logging.INFO, "the configuration is live"),
    "held": (logging.WARNING, "on hold: nothing is changed"),
    "rejected": (logging.ERROR, "the proxy refused the configuration; the one before stays, until the input changes"),
    "failed": (logging.ERROR, "the configuration did not go live; another try follows"),
}

LEADERSHIP = {
    True: "this gen writes into the cluster from now on",
    False: "this gen does not write into the cluster any more",
}
WRITES = {
    "written": (logging.DEBUG, "written into the cluster"),
    "observed": (logging.INFO, "would be written into the cluster"),
    "failed": (logging.WARNING, "cannot be written into the cluster"),
}

Fields = Mapping[str, Any]


class Log:
    """Writes what the loop tells; of the faults of the input only those that are new, or gone."""

    def __init__(self, locate: Locate = nowhere) -> None:
        self._locate = locate
        self._known: frozenset[Issue] = frozenset()

    def observe(self, event: Event) -> None:
        """Write the lines of an event."""
        if isinstance(event, IssuesFound):
            self._tell_issues(frozenset(event.issues))
            return
        level, message, fields = describe(event)
        LOGGER.log(level, message, extra={"fields": fields})
        if isinstance(event, Fault):
            LOGGER.debug("where it came from", exc_info=event.error)

    def _tell_issues(self, issues: frozenset[Issue]) -> None:
        new, gone = sorted(issues - self._known), sorted(self._known - issues)
        self._known = issues
        for issue in new[:MOST_LINES]:
            LOGGER.log(ISSUE_LEVEL[issue.severity], issue_line(issue, self._locate))
        if len(new) > MOST_LINES:
            LOGGER.warning("%d more issues; gen check shows all", len(new) - MOST_LINES)
        for issue in gone[:MOST_LINES]:
            LOGGER.info("no longer: %s", issue_line(issue))


def describe(event: Event) -> tuple[int, str, Fields]:
    """The level, the words and the fields of an event."""
    match event:
        case Attempt():
            line = (*ATTEMPTS[event.result], attempt_fields(event))
        case Restored():
            line = restored_line(event)
        case ProxyResumed(bundle=Bundle() as bundle):
            line = logging.INFO, "the proxy runs what it accepted last", {"digest": bundle.digest}
        case ProxyResumed():
            line = logging.INFO, "there is no accepted configuration yet", {}
        case ProxyGone():
            line = logging.ERROR, "the proxy is not there", loss_fields(event)
        case SourceFailed():
            line = logging.ERROR, "the source failed", loss_fields(event)
        case Leadership():
            line = logging.INFO, LEADERSHIP[event.is_leader], {}
        case Written():
            line = *WRITES[event.result], {"kind": event.kind, "what": event.what, "error": event.error}
        case Fault():
            line = logging.ERROR, "a defect of gen; what is live stays live", {"error": where(event.error)}
        case IssuesFound():
            line = logging.INFO, "issues", {"count": len(event.issues)}
    return line


def restored_line(event: Restored) -> tuple[int, str, Fields]:
    """Whether there was a way back."""
    if event.error:
        return logging.ERROR, "no way back to the last accepted configuration", {"error": event.error}
    return logging.WARNING, "back to the last accepted configuration", {"digest": event.plan.new.digest}


def loss_fields(event: ProxyGone | SourceFailed) -> Fields:
    """What is missing, and when it is looked for again."""
    return {"error": event.description, "retry_in": round(event.delay, 1)}


def attempt_fields(attempt: Attempt) -> Fields:
    """One line's worth of an attempt: what, why, how long, at what price."""
    fields: dict[str, Any] = {"cause": attempt.cause, "seconds": round(attempt.seconds, 3), "error": attempt.error}
    if attempt.plan:
        fields |= {"effect": attempt.effect, "reason": attempt.plan.reason, "files": len(attempt.plan.changed)}
    if attempt.bundle:
        fields["digest"] = attempt.bundle.digest
        fields["hosts"] = len(attempt.bundle.config.hosts) if attempt.bundle.config else 0
    return fields


def where(error: BaseException) -> str:
    """Kind and place of an exception, but not its message: that may quote what a user wrote."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"


# ------------------------------------------------------------------ how lines look


def set_up(format_name: str, level: str) -> None:
    """Send the log to stderr, as text or as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if format_name == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class TextLines(logging.Formatter):
    """`time LEVEL words key=value ...`, one line each."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = "".join(f" {key}={quoted(value)}" for key, value in fields_of(record).items())
        line = f"{instant(record)} {record.levelname} {printable(record.getMessage())}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {"time": instant(record), "level": record.levelname.lower(), "message": record.getMessage()}
        trace = {"trace": self.formatException(record.exc_info)} if record.exc_info else {}
        return msgspec.json.encode({**line, **fields_of(record), **trace}).decode()


def fields_of(record: logging.LogRecord) -> Fields:
    """The fields of a record that say something."""
    return {key: value for key, value in getattr(record, "fields", {}).items() if value != ""}


def instant(record: logging.LogRecord) -> str:
    """When it happened, in UTC."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z"


def quoted(value: object) -> str:
    """A value as one word, in quotes where it needs them."""
    text = str(value)
    if text.isprintable() and text and not set(text) & set(' "=\\'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'
