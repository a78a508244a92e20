"""The exceptions of gen, named by what the caller does next.

A user's fault is never one of these: it is an `Issue` (gen.ir), which travels as data.

    GenError
    ├── UsageError       the command line is wrong                    exit 2
    ├── InputError       the input cannot be read                     exit 3
    ├── SourceError      a source failed: wait and try again
    ├── Held             not now: wait for more input
    ├── Rejected         the proxy refused the configuration          exit 4; the old one stays
    └── ApplyError       the change did not reach the proxy: roll back, try again
        └── NotConfirmed     it was sent, but the proxy does not report it
    BadValue             raised by parsers of single values; the reader turns it into an Issue
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gen.ir import Source


class GenError(Exception):
    """Whatever gen raises on purpose; the message says what, where, and what was expected."""


class UsageError(GenError):
    """The command line or the settings make no sense."""


class InputError(GenError):
    """The input cannot be read at all (a single bad object is an Issue instead)."""


class SourceError(GenError):
    """A source of objects failed; it will be asked again."""


class Held(GenError):
    """The plan must not be carried out now; the live configuration stays."""


class Rejected(GenError):
    """The real proxy refused the configuration.

    Shape: `output` is the proxy's own words, scrubbed and cut; `blame` names the objects that they point at.
    """

    def __init__(self, output: str, blame: tuple[Source, ...] = ()) -> None:
        super().__init__(output)
        self.output = output
        self.blame = blame


class ApplyError(GenError):
    """The change did not reach the proxy."""


class NotConfirmed(ApplyError):
    """The proxy did not report the configuration that it was given."""


class BadValue(ValueError):
    """A value from outside is not acceptable.

    Shape: `code` is the stable reason word (`InvalidHost`), the message says what was expected; `field` is the path of
    the value in its object, where the parser knows it.
    """

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.field = field
