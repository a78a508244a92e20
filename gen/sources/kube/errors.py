"""What can go wrong with an API server, by what it says about our place in its history."""

from __future__ import annotations

from gen.errors import SourceError


class Unreachable(SourceError):
    """No answer, or not all of it: our place is still good."""


class Refused(SourceError):
    """The API server said no.

    Shape: `status` is that of HTTP, or of the `Status` in an ERROR event; `retry_after` is in seconds.
    """

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.retry_after = retry_after


class Doubtful(SourceError):
    """An answer that cannot be believed: ask for everything again."""


WAIT_ONLY = frozenset({401, 403, 408, 429})


def place_is_lost(error: Exception) -> bool:
    """Whether a watch cannot go on where it was; an outage, a refusal to us, or too many requests are no reason."""
    match error:
        case Unreachable():
            return False
        case Refused(status=status):
            return status < 500 and status not in WAIT_ONLY
        case _:
            return True


def words(error: Exception) -> str:
    """What an exception says; some have nothing but their name."""
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
