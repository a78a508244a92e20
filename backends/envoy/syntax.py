"""Everything that stands in a special position of Envoy's configuration is written here: one encoder a position.

Resources are plain dicts that are encoded as JSON, so text is safe in most places.  It is not where Envoy reads a
language of its own: a substitution format, a regular expression, a path matcher, a domain.  Nobody else writes those.
Tenants' text never gets into a format, not even escaped, for Envoy alters some escaped commands.
Every encoder raises BadValue for what its position cannot hold.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

from gen.errors import BadValue
from gen.ir import DnsName, Match, Respond
from gen.policy import VARIABLES, Text, Variable

Json = dict[str, Any]

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
DNS_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
RESOLVER = re.compile(r"([0-9.]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
ALTERED = re.compile(r"%(?:DYNAMIC_METADATA|UPSTREAM_METADATA|PER_REQUEST_STATE|REQ|RESP)\(")
HEADER = re.compile(r"[a-z0-9-]+")
END_OF_HOST = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]|\$")
"""An escape or a class, in which nothing ends, or the sign for the end."""
KEPT_ENCODED = {"%": "%25", "?": "%3F", "#": "%23"}
VALUE_LIMIT = 8000
LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"


class Format(str):
    """A substitution format, written in this package; a plain str is never taken for one."""

    __slots__ = ()


def set_header(name: str, value: Format) -> Json:
    """An entry of `..._headers_to_add` that replaces what is there; an empty value adds nothing."""
    if type(value) is not Format:
        raise TypeError(f"the value of {name} is not a format: {value!r}")
    if not HEADER.fullmatch(name):
        raise BadValue("InvalidHeaderName", f"{name[:80]!r} is not a header name in lower case")
    return {"header": {"key": name, "value": str(value)}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def told(script: str, **asked: Any) -> Json:
    """An entry of `typed_per_filter_config`: what one of our scripts shall do.  There, text is only text."""
    return {f"gen.{script}": {"@type": f"{LUA}PerRoute", "name": script, "filter_context": asked}}


def text(pieces: Text) -> list[Json]:
    """A text that a script puts together.  Raises BadValue for variables that it does not have."""
    return [piece(each) for each in pieces]


def piece(part: str | Variable) -> Json:
    """A piece of a text.  Raises BadValue."""
    if isinstance(part, str):
        return {"literal": bounded(part)}
    if part.name not in VARIABLES | {"header", "cookie", "query", "capture"}:
        raise BadValue("VariableUnsupported", f"the variable {part.name} cannot stand here")
    return {"name": part.name, "argument": plain(part.argument)}


def fixed(text: str) -> Format:
    """A format that stands for a text of the administrator's.  Raises BadValue for what Envoy alters nevertheless."""
    if ALTERED.search(text):
        raise BadValue("CommandInText", "this text cannot be written: Envoy takes a part of it for a command")
    return Format(header_value(text).replace("%", "%%"))


def header_name(text: str) -> str:
    """The name of a header, in lower case.  Raises BadValue."""
    if not text.isascii() or not HEADER.fullmatch(text.lower()):
        raise BadValue("InvalidHeaderName", f"{text[:80]!a} is not the name of a header")
    return text.lower()


def header_value(text: str) -> str:
    """A literal header value."""
    if text != text.strip():
        raise BadValue("OuterSpace", "a header value begins and ends without spaces")
    return bounded(text)


def bounded(text: str) -> str:
    """Text without control characters that is short enough for a header."""
    if len(plain(text)) > VALUE_LIMIT:
        raise BadValue("TooLong", f"a header value has at most {VALUE_LIMIT} characters")
    return text


def plain(text: str) -> str:
    """Text without control characters."""
    if CONTROL.search(text):
        raise BadValue("ControlChar", "control characters cannot be written")
    return unicode(text)


def unicode(text: str) -> str:
    """Text that UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadValue("NotUnicode", "expected text that UTF-8 can hold") from error
    return text


# ------------------------------------------------------------------ hosts


def domain(name: str) -> str:
    """An entry of `domains` or `server_names`: a host, `*.x`, or "" for every other name."""
    if name and (len(name) > 253 or not HOST.fullmatch(name.removeprefix("*."))):
        raise BadValue("InvalidHost", f"{name[:80]!r} is not a DNS name in lower case, or `*.` and one")
    return name or "*"


def not_one_label(name: str) -> Json:
    """A header matcher for the requests that `*.x` takes in Envoy although they have more than one label before x."""
    rest = domain(name).removeprefix("*").replace(".", r"\.")
    regex = f"(?i)[^.]+{rest}(?::[0-9]+)?"
    return {"name": ":authority", "string_match": {"safe_regex": {"regex": regex}}, "invert_match": True}


def host_has(pattern: str) -> Json:
    """A header matcher for hosts in which a regex is found; a port behind them does not count."""
    searched = END_OF_HOST.sub(lambda found: "(?::[0-9]+)?$" if found[0] == "$" else found[0], bounded(pattern))
    regex = f"(?i)[^:]*?(?:{searched})[^:]*(?::[0-9]+)?"
    return {"name": ":authority", "string_match": {"safe_regex": {"regex": regex}}}


# ------------------------------------------------------------------ headers that choose a route


def header_is(name: str, value: str) -> Json:
    """A header matcher for one value."""
    return {"name": header_name(name), "string_match": {"exact": header_value(value)}}


def header_has(name: str, pattern: str) -> Json:
    """A header matcher that searches a regex."""
    regex = f"(?s:.*?)(?:{bounded(pattern)})(?s:.*)"
    return {"name": header_name(name), "string_match": {"safe_regex": {"regex": regex}}}


def cookie_match(name: str, value: str = "", *, ending: str = "") -> Json:
    """A header matcher for a cookie with a value, or with one that ends so."""
    wanted = re.escape(bounded(value)) if value else f"[^;]*{re.escape(ending)}"
    regex = rf"(?s:(?:.*;)?\s*{re.escape(bounded(name))}={wanted}\s*(?:;.*)?)"
    return {"name": "cookie", "string_match": {"safe_regex": {"regex": regex}}}


# ------------------------------------------------------------------ paths


def path_match(match: Match) -> Json:
    """The path part of a RouteMatch; Envoy compares it with the path as request.lua leaves it."""
    if match.kind == "regex":
        return {"safe_regex": {"regex": f"(?i:{plain(match.path)})(?s:.*)"}}
    path = canonical_path(match.path)
    if match.kind == "exact":
        return {"path": path}
    return {"prefix": path} if path.endswith("/") else {"path_separated_prefix": path}


def groups(pattern: str, count: int) -> Json:
    """What replaces a path by what the groups of a route's regex find in it, with tabs between."""
    regex = f"^(?i:{plain(pattern)})(?s:.*)$"
    return {"pattern": {"regex": regex}, "substitution": "\t".join(f"\\{number + 1}" for number in range(count))}


def canonical_path(path: str) -> str:
    """A decoded path as request.lua leaves it: everything decoded but what would change its meaning."""
    if not path.startswith("/"):
        raise BadValue("InvalidPath", "a path begins with /")
    return re.sub("[%?#]", lambda found: KEPT_ENCODED[found[0]], plain(path))


# ------------------------------------------------------------------ answers


def respond(action: Respond) -> Json:
    """The action of a Route that answers by itself."""
    if not 200 <= action.status <= 599:
        raise BadValue("InvalidStatus", f"expected a status from 200 to 599, got {action.status}")
    body = {"body": {"inline_string": unicode(action.body)}} if action.body else {}
    return {"direct_response": {"status": action.status, **body}}


# ------------------------------------------------------------------ addresses, times


def address(text: str, number: int) -> Json:
    """The address of an endpoint or a listener."""
    try:
        ip = ip_address(text)
    except ValueError as error:
        raise BadValue("AddressInvalid", f"{text[:80]!r} is not an IP address") from error
    if "%" in text:
        raise BadValue("AddressInvalid", "an address has no zone")
    return {"socket_address": {"address": str(ip), "port_value": port(number)}}


def dns_address(dns: DnsName) -> Json:
    """The address of an endpoint that Envoy resolves."""
    if len(dns.name) > 254 or not DNS_NAME.fullmatch(dns.name):
        raise BadValue("InvalidHost", f"{dns.name[:80]!r} is not a DNS name")
    return {"socket_address": {"address": dns.name, "port_value": port(dns.port)}}


def resolver(text: str) -> Json:
    """The address of a name server given as `IP`, `IP:port` or `[IPv6]:port`."""
    found = RESOLVER.fullmatch(text)
    host, number = (found[1].strip("[]"), int(found[2] or 53)) if found else (text, 53)
    return address(host, number)


def port(number: int) -> int:
    """A port number."""
    if type(number) is not int or not 0 < number < 65536:
        raise BadValue("PortOutOfRange", f"{number!r} is not a port from 1 to 65535")
    return number


def duration(seconds: float) -> str:
    """A time, to the millisecond."""
    whole, milliseconds = divmod(max(round(seconds * 1000), 0), 1000)
    return f"{whole}.{milliseconds:03}s" if milliseconds else f"{whole}s"
