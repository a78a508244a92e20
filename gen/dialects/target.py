"""URLs of services that the proxy asks itself: parsed, and put together anew."""

from __future__ import annotations

import re

from msgspec import Struct

from gen.dialects import values
from gen.dialects.annotation import Closing
from gen.dialects.text import text as text_of
from gen.errors import BadValue
from gen.policy import Text, Variable

_CHARACTERS = re.compile(r"[A-Za-z0-9._~/:,?&=${}%+@!*()\[\]-]{1,2048}")
_PARTS = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?((?:[/?$].*)?)")


class Target(Struct, frozen=True, gc=False):
    """Where to ask.

    Shape: `name` is a DNS name or an IP address, `path` with the query.
    """

    tls: bool
    name: str
    port: int
    path: Text
    is_address: bool = False

    @property
    def upstream(self) -> str:
        """The id of the upstream: `name:port`, IPv6 addresses in brackets."""
        return f"{self._authority}:{self.port}"

    @property
    def host(self) -> str:
        """The Host header."""
        return self._authority if self.port == (443 if self.tls else 80) else self.upstream

    @property
    def _authority(self) -> str:
        return f"[{self.name}]" if ":" in self.name else self.name


def target(text: str) -> Target:
    """An http or https URL; variables may stand behind its host.

    Raises: BadValue (AnnotationInvalid), Closing where only the form is wrong.
    """
    values.plain(text, limit=2048)
    if not _CHARACTERS.fullmatch(text):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not an http or https URL")
    parts = _PARTS.fullmatch(text)
    if not parts or ".." in parts[2]:
        raise Closing("AnnotationInvalid", f"{values.shown(text)} is not an http or https URL with a host name")
    name = parts[2].strip("[]").lower()
    is_address = ":" in name or name.replace(".", "").isdigit()
    try:
        if not is_address:
            values.host(name.removesuffix("."))
        port = values.port(int(parts[3])) if parts[3] else {"http": 80, "https": 443}[parts[1]]
    except BadValue as fault:
        raise Closing("AnnotationInvalid", f"{values.shown(text)} has no usable host and port: {fault}") from fault
    path = parts[4] if parts[4].startswith(("/", "$")) else f"/{parts[4]}"
    return Target(parts[1] == "https", name, port, text_of(path), is_address)


def signin_url(text: str, parameter: str) -> Text:
    """Where to sign in: a URL with the one of the request in a parameter, unless it has that parameter already.

    Raises: BadValue (AnnotationInvalid).
    """
    values.plain(text, limit=2048)
    if not _CHARACTERS.fullmatch(text) or not re.match(r"https?://[A-Za-z0-9$]|/(?!/)", text):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not an http or https URL, or a path")
    base = text_of(text)
    if re.search(rf"[?&]{re.escape(parameter)}=[^&]", text):
        return base
    lead = f"{'&' if '?' in text else '?'}{parameter}="
    return (*base, lead, Variable("scheme"), "://", Variable("http_host"), Variable("escaped_request_uri"))
