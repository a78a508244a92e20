"""What text from outside may be: one function a kind of value, each gives the value or raises BadValue.

Allow-lists only, always `fullmatch`, lengths capped.  Messages show at most 80 characters of the value, escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from gen.errors import BadValue

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_PORT_NAME = re.compile(r"(?=[0-9-]*[a-z])(?!.*--)[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?")
_PATH = re.compile(r"/[\x21-\x7e]*")
_PATH_REFUSED = re.compile(r"[?#\\;]|//|/\.\.?(?:/|$)|%(?![0-9A-Fa-f]{2})|%(?:2[fF]|5[cC]|2[eE]|[01][0-9A-Fa-f]|7[fF])")
_PLAIN_PATH = re.compile(r"(?:/(?!\.)[A-Za-z0-9_.~!$&'()*+,=:@-]+)*/?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ORDINARY_IPV4 = re.compile(
    r"(?!127\.|169\.254\.)(?:[1-9]|[1-9]\d|1\d\d|2[01]\d|22[0-3])(?:\.(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])){3}",
    re.ASCII,
)
_BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_SIZE = re.compile(r"([0-9]{1,15})([kmg]?)", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_HEADER = re.compile(r"[A-Za-z0-9_-]{1,128}")
MOST_NETWORKS = 1000
Parser = Callable[[str], object]


def shown(text: str) -> str:
    """A value for a message: escaped, quoted, at most 80 characters."""
    quoted = ascii(text[:81])
    return quoted if len(text) <= 80 else quoted[:77] + "...'"


def plain(text: str, *, limit: int = 1024) -> str:
    """Text without anything invisible: no lone surrogates, control characters or outer blanks, at most `limit` bytes.

    Raises: BadValue (NotUnicode, ControlChar, OuterSpace, TooLong).
    """
    if _SURROGATE.search(text):
        raise BadValue("NotUnicode", "is not valid Unicode")
    if _CONTROL.search(text):
        raise BadValue("ControlChar", f"{shown(text)} contains a control character")
    if text != text.strip(" "):
        raise BadValue("OuterSpace", f"{shown(text)} begins or ends with a blank")
    if len(text) > limit or (not text.isascii() and len(text.encode()) > limit):
        raise BadValue("TooLong", f"{shown(text)} is longer than {limit} bytes")
    return text


def host(text: str) -> str:
    """A host name in lower case, perhaps `*.` and a name of two labels or more.

    Raises: BadValue (InvalidHost, HostIsIP, NotAscii, WildcardTooWide, and those of `plain`).
    """
    lower = text.lower() if text.isascii() else text
    if len(lower) > 253 or not _HOST.fullmatch(lower):
        raise _host_fault(text)
    if lower.endswith(("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")) and _ends_numeric(lower):
        raise BadValue("HostIsIP", f"{shown(text)} is a number or an IP address, expected a DNS name")
    if lower.startswith("*.") and lower.count(".") < 2:
        raise BadValue("WildcardTooWide", f"{shown(text)} covers a whole top-level domain")
    return lower


def _ends_numeric(name: str) -> bool:
    return _NUMERIC_LABEL.fullmatch(name.rpartition(".")[2]) is not None


def _host_fault(text: str) -> BadValue:
    try:
        plain(text, limit=253)
    except BadValue as fault:
        return fault
    if not text.isascii():
        return BadValue("NotAscii", f"{shown(text)} is not ASCII, expected the xn-- form")
    return BadValue("InvalidHost", f"{shown(text)} is not a DNS name, or `*.` and a DNS name")


def path(text: str) -> str:
    """The path of a rule, decoded; the same text means the same requests on every proxy.

    Shape: begins with `/`, at most 255 bytes after decoding.
    Raises: BadValue (InvalidPath, TooLong, ControlChar, OuterSpace, NotUnicode).
    """
    if len(text) <= 255 and _PLAIN_PATH.fullmatch(text) and text:
        return text
    plain(text, limit=1023)
    if not _PATH.fullmatch(text) or _PATH_REFUSED.search(text):
        raise BadValue(
            "InvalidPath",
            f"{shown(text)} is not a path: printable ASCII after a /, without ? # \\ ; // and dot segments, "
            "other characters percent-encoded",
        )
    return _decoded(text)


def _decoded(text: str) -> str:
    raw = re.sub(rb"%(..)", lambda found: bytes.fromhex(found[1].decode()), text.encode())
    if len(raw) > 255:
        raise BadValue("TooLong", f"{shown(text)} is longer than 255 bytes")
    try:
        decoded = raw.decode()
    except UnicodeDecodeError as error:
        raise BadValue("InvalidPath", f"{shown(text)} is not UTF-8 when decoded") from error
    if _CONTROL.search(decoded):
        raise BadValue("InvalidPath", f"{shown(text)} contains an encoded control character")
    return decoded


def name(text: str) -> str:
    """The name of a Kubernetes object: an RFC 1123 subdomain.  Raises: BadValue (BadName, and those of `plain`)."""
    if len(text) <= 253 and _NAME.fullmatch(text) and ".." not in text:
        return text
    plain(text, limit=253)
    raise BadValue("BadName", f"{shown(text)} is not the name of an object ([a-z0-9.-], at most 253)")


def port_name(text: str) -> str:
    """The name of a port: IANA's service names.  Raises: BadValue (BadName)."""
    if _PORT_NAME.fullmatch(text):
        return text
    raise BadValue("BadName", f"{shown(text)} is not the name of a port ([a-z0-9-], at most 15, one letter)")


def port(number: int) -> int:
    """A port number.  Raises: BadValue (PortOutOfRange)."""
    if 1 <= number <= 65535:
        return number
    raise BadValue("PortOutOfRange", f"{str(number)[:20]} is not a port between 1 and 65535")


def address(text: str, *, allow_loopback: bool) -> str:
    """The address of a server, in its canonical form.

    Refused: loopback unless allowed, link-local, multicast, unspecified, reserved, broadcast, scoped and IPv4-mapped
    addresses, for a proxy that reaches them speaks with the rights of its own node.
    Raises: BadValue (AddressInvalid, AddressDenied, and those of `plain`).
    """
    if _ORDINARY_IPV4.fullmatch(text):
        return text
    plain(text, limit=64)
    if not text:
        raise BadValue("AddressInvalid", "is empty, expected an IP address")
    if "%" in text:
        raise BadValue("AddressDenied", f"{shown(text)} has a zone")
    try:
        parsed = ip_address(text)
    except ValueError as error:
        raise BadValue("AddressInvalid", f"{shown(text)} is not an IP address") from error
    if _is_denied(parsed, allow_loopback=allow_loopback):
        raise BadValue("AddressDenied", f"{shown(text)} is not an address that a proxy may be pointed at")
    return str(parsed)


def _is_denied(parsed: IPv4Address | IPv6Address, *, allow_loopback: bool) -> bool:
    if isinstance(parsed, IPv6Address) and (parsed.ipv4_mapped or parsed.sixtofour or parsed.teredo):
        return True
    if parsed.is_loopback:
        return not allow_loopback
    return (
        parsed.is_link_local
        or parsed.is_multicast
        or parsed.is_unspecified
        or parsed.is_reserved
        or (isinstance(parsed, IPv4Address) and parsed.packed[0] == 0)
        or (isinstance(parsed, IPv6Address) and parsed.is_site_local)
    )


def boolean(text: str) -> bool:
    """A boolean in one of Go's spellings.  Raises: BadValue (AnnotationInvalid)."""
    try:
        return _BOOLEANS[text]
    except KeyError as error:
        raise BadValue("AnnotationInvalid", f"{shown(text)} is not a boolean") from error


def integer(text: str) -> int:
    """A decimal integer.  Raises: BadValue (AnnotationInvalid)."""
    if not _INTEGER.fullmatch(text):
        raise BadValue("AnnotationInvalid", f"{shown(text)} is not an integer")
    return int(text)


def natural(text: str, *, least: int = 0, most: int = 2**31 - 1) -> int:
    """A decimal integer within bounds.  Raises: BadValue (AnnotationInvalid)."""
    number = integer(text)
    if not least <= number <= most:
        raise BadValue("AnnotationInvalid", f"{shown(text)} is not a number between {least} and {most}")
    return number


def seconds(text: str) -> float:
    """A whole number of seconds, from 1 to 24 days.  Raises: BadValue (AnnotationInvalid)."""
    return float(natural(text, least=1, most=2_000_000))


def size(text: str) -> int:
    """Bytes, perhaps in units of k, m or g.  Raises: BadValue (AnnotationInvalid)."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise BadValue("AnnotationInvalid", f"{shown(text)} is not a size, expected a number, perhaps with k, m or g")
    return int(found[1]) * _UNITS[found[2].lower()]


def switch(text: str) -> bool:
    """The words on and off.  Raises: BadValue (AnnotationInvalid)."""
    return one_of("off", "on")(text) == "on"


def one_of(*words: str) -> Callable[[str], str]:
    """A parser that takes these words, in any case, and gives them as they are written here."""
    known = {word.lower(): word for word in words}

    def parse(text: str) -> str:
        try:
            return known[text.lower()]
        except KeyError as error:
            raise BadValue("AnnotationInvalid", f"{shown(text)} is none of {', '.join(words)}") from error

    return parse


def matching(pattern: str, expected: str, *, limit: int = 1024) -> Callable[[str], str]:
    """A parser that takes what a regular expression matches as a whole."""
    compiled = re.compile(pattern, re.ASCII)

    def parse(text: str) -> str:
        plain(text, limit=limit)
        if not compiled.fullmatch(text):
            raise BadValue("AnnotationInvalid", f"{shown(text)} is not {expected}")
        return text

    return parse


def words(text: str) -> tuple[str, ...]:
    """The items of a list that is separated by commas, without blanks and repetitions."""
    return tuple(dict.fromkeys(item for part in text.split(",") if (item := part.strip())))


def header_names(text: str) -> tuple[str, ...]:
    """Names of headers, separated by commas.  Raises: BadValue (AnnotationInvalid, and those of `plain`)."""
    plain(text)
    return tuple(header_name(item) for item in words(text))


def header_name(text: str) -> str:
    """The name of a header.  Raises: BadValue (AnnotationInvalid)."""
    if not _HEADER.fullmatch(text):
        raise BadValue("AnnotationInvalid", f"{shown(text)} is not the name of a header")
    return text


def header_value(text: str) -> str:
    """The value of a header: printable ASCII.  Raises: BadValue (AnnotationInvalid, and those of `plain`)."""
    plain(text, limit=4096)
    if not text.isascii():
        raise BadValue("AnnotationInvalid", f"{shown(text)} is not ASCII")
    return text


def reference(text: str) -> str:
    """An object: `name`, or `namespace/name`.  Raises: BadValue (AnnotationInvalid)."""
    parts = text.split("/")
    if len(parts) > 2 or not all(len(part) <= 253 and _NAME.fullmatch(part) and ".." not in part for part in parts):
        raise BadValue("AnnotationInvalid", f"{shown(text)} is not the name of an object, perhaps with its namespace")
    return text


def networks(text: str) -> tuple[str, ...]:
    """Networks in canonical form, without repetition, in the order given.

    Raises: BadValue (AnnotationInvalid) for anything that is not a comma-separated list of addresses and CIDRs.
    """
    plain(text, limit=64 * 1024)
    entries = words(text)
    if len(entries) > MOST_NETWORKS:
        raise BadValue("AnnotationInvalid", f"the list has more than {MOST_NETWORKS} networks")
    return tuple(dict.fromkeys(_network(entry) for entry in entries))


def _network(text: str) -> str:
    try:
        if text.isascii() and "%" not in text:
            return str(ip_network(text, strict=False))
    except ValueError:
        pass
    raise BadValue("AnnotationInvalid", f"{shown(text)} is not an address or a CIDR")
