"""All quoting for HAProxy, by position: nothing reaches a file but through one of these functions.

Facts behind them: inside '...' everything is literal up to the next quote; a line ends at a line break whatever the
quotes; an empty word counts as a missing one; in log-format words `%` starts a variable; the key of a map row ends at
a blank, and a row of 16 kB is split in two.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from urllib.parse import quote

from gen.backend import object_name
from gen.errors import BadValue
from gen.ir import Balance, Redirect
from gen.policy import Text, Variable

WORD_LIMIT = 4000  # bytes; far above what any header or body here needs, far below a buffer
ROW_LIMIT = 8000
NAMES_PER_ROW = 100
LONGEST_TIMER = 24 * 86400  # seconds; HAProxy counts milliseconds in 31 bits
HIGHEST_WEIGHT = 256
HIGHEST_NUMBER = 2**53

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
BLANK = re.compile(r"\\?([ \t'])|\\.")
NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
DIGITS = re.compile(r"[0-9]{1,7}")
TOKEN = re.compile(r"[A-Za-z0-9_.-]{1,200}")
CAPTURE = re.compile(r"[0-9]")
TLS_VERSION = re.compile(r"TLSv1(?:\.[123])?")
CIPHERS = re.compile(r"[A-Za-z0-9:+!@=.-]{1,2000}")
FILE = re.compile(r"[a-z0-9][a-z0-9./-]{0,200}")
OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = re.compile(rf"{OCTET}(?:\.{OCTET}){{3}}")
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
DNS_NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")
HOST = re.compile(rf"(?:\*\.)?{DNS_NAME.pattern}|\*")


class Encoded(str):
    """Text that may stand in a file as it is; only this module makes it."""

    __slots__ = ()


def only_encoded(value: object) -> object:
    """What templates may print: encoders' results and whole numbers.  Raises TypeError for anything else."""
    if isinstance(value, Encoded) or type(value) is int:
        return value
    raise TypeError(f"a template printed a {type(value).__name__} that no encoder made")


# ------------------------------------------------------------------ words of haproxy.cfg


def word(text: str) -> Encoded:
    """One literal word, whatever it holds but line breaks.  Raises BadValue."""
    if not text:
        raise BadValue("Empty", "an empty word cannot be written for HAProxy")
    if CONTROL.search(text):
        raise BadValue("ControlChar", "control characters cannot be written for HAProxy")
    return Encoded("'" + bounded(text, WORD_LIMIT).replace("'", "'\\''") + "'")


def header(text: str) -> Encoded:
    """A literal header value where HAProxy takes a log-format word.  Raises BadValue."""
    if text != text.strip(" "):
        raise BadValue("OuterSpace", "a header value begins and ends without spaces")
    return word(text.replace("%", "%%"))


def body(text: str) -> Encoded:
    r"""A literal text for `string`; line breaks and tabs stand as `\n` in double quotes.  Raises BadValue."""
    parts = re.split(r"([\n\r\t]+)", text)
    escaped = (f'"{part.translate(BREAKS)}"' if place % 2 else word(part) for place, part in enumerate(parts) if part)
    return Encoded(bounded("".join(escaped), WORD_LIMIT))


BREAKS = {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


def rule(form: str, *values: Encoded | int) -> Encoded:
    """A line of ours with values at its `%s`.  Raises TypeError for values that no encoder made."""
    return Encoded(form % tuple(only_encoded(value) for value in values))


def token(text: str) -> Encoded:
    """The name of a header, a cookie or a parameter.  Raises BadValue."""
    return matching(TOKEN, text, "a name of letters, digits, - and _")


def expression(variable: Variable) -> str:
    """A value of the request as a sample expression.  Raises BadValue."""
    if variable.name == "capture":
        return f"var(txn.c{matching(CAPTURE, variable.argument, 'the number of a group')})"
    if fetch := FETCHES_BY_NAME.get(variable.name):
        return f"{fetch}({token(variable.argument)})"
    try:
        return FETCHES[variable.name]
    except KeyError:
        raise BadValue("VariableUnsupported", f"the variable {variable.name} is not known") from None


FETCHES_BY_NAME = {"header": "req.fhdr", "cookie": "req.cook", "query": "url_param"}
FETCHES = {
    "host": "var(txn.name)",
    "http_host": "var(txn.http_host)",
    "scheme": "var(txn.scheme)",
    "uri": "var(txn.uri)",
    "request_uri": "var(txn.target)",
    "escaped_request_uri": "var(txn.target),url_enc",
    "args": "query",
    "is_args": "query,length,iif(?,)",
    "remote_addr": "src",
    "remote_user": "http_auth_user",
    "request_method": "method",
    "request_id": "req.fhdr(x-request-id)",
    "server_port": "var(txn.port)",
}


def text(pieces: Text) -> Encoded:
    """A text with values of the request, where HAProxy takes a log-format word.  Raises BadValue."""
    written = "".join(
        f"%[{expression(piece)}]" if isinstance(piece, Variable) else piece.replace("%", "%%") for piece in pieces
    )
    return word(written)


def header_lines(headers: Iterable[tuple[str, Text]]) -> Encoded:
    r"""Headers as lines of `name: value` in one log-format word, each one ended by `\n`.  Raises BadValue."""
    return Encoded("".join(f'{text((f"{token(name)}: ", *value))}"\\n"' for name, value in headers))


def substitute(new: str | Text) -> Encoded:
    """What replaces the middle of `(before)old(after)` in a header.  Raises BadValue."""
    plain = new if isinstance(new, str) else "".join(map(str, new))
    return word(rf"\1{plain.replace(chr(92), chr(92) * 2).replace('%', '%%')}\2")


def tls_versions(protocols: Iterable[str]) -> Encoded:
    """The lowest and the highest of some versions of TLS.  Raises BadValue."""
    known = sorted(matching(TLS_VERSION, each, "a version of TLS") for each in protocols)
    lowest, highest = (f"TLSv1.{each.partition('.')[2] or 0}" for each in (known[0], known[-1]))
    return Encoded(f"ssl-min-ver {lowest} ssl-max-ver {highest}")


def whole(number: int) -> Encoded:
    """A whole number that is not negative, no higher than HAProxy counts.  Raises BadValue."""
    if type(number) is not int or number < 0:
        raise BadValue("BadNumber", "expected a whole number from 0 on")
    return Encoded(str(min(number, HIGHEST_NUMBER)))


def hexadecimal(text: str) -> Encoded:
    """Any text for a map row."""
    return Encoded(text.encode("utf-8", "surrogateescape").hex() or "-")


def rewritten(pieces: Text) -> Encoded:
    """The path for an upstream, percent-encoded piece by piece.  Raises BadValue."""
    written = "" if pieces and str(pieces[0]).startswith("/") else "/"
    for piece in pieces:
        if isinstance(piece, Variable):
            written += f"%[{expression(piece)},{REENCODED}]"
        else:
            written += quote(piece, safe="/!$&'()*+,:@-._~=").replace("%", "%%")
    return word(written)


REENCODED = "url_enc,regsub(%2F,/,g),regsub(%3A,:,g),regsub(%40,@,g),regsub(%2B,+,g),regsub(%3D,=,g),regsub(%21,!,g)"


@lru_cache(maxsize=1024)
def pattern(text: str) -> str:
    """A user's regular expression without blanks and quotes, which means the same.  Raises BadValue."""
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(text)
            re.compile(f"(?i:{text})")
    except (re.error, RecursionError, OverflowError):
        raise BadValue("InvalidRegex", "the regular expression does not compile") from None
    return solid(text)


def solid(text: str) -> str:
    """A regular expression that compiles, without blanks and quotes.  Raises BadValue."""
    if CONTROL.search(text.replace("\t", "")):
        raise BadValue("ControlChar", "a regular expression has no control characters")
    plain = {" ": r"\x20", "\t": r"\x09", "'": r"\x27"}
    return bounded(BLANK.sub(lambda found: plain[found[1]] if found[1] else found[0], text), WORD_LIMIT)


def captured(regex: str, group: int) -> Encoded:
    """The expression for a group of a route's regex in the decoded path.  Raises BadValue."""
    return word(f"var(txn.decoded),regsub('^(?is:{pattern(regex)}).*$','\\{group}')")


def searched(regex: str) -> Encoded:
    """A regular expression as a word.  Raises BadValue."""
    return word(pattern(regex))


def composed(regex: str) -> Encoded:
    """A regular expression of ours, made of literal and escaped pieces, as a word.  Raises BadValue."""
    return word(solid(regex))


def network(text: str) -> bytes:
    """A row of a list of networks.  Raises BadValue."""
    try:
        return f"{ip_network(text, strict=False)}\n".encode()
    except ValueError:
        raise BadValue("AddressInvalid", "a network is an IP address, perhaps with the length of its prefix") from None


def name(text: str) -> Encoded:
    """The name of a backend or a server.  Raises BadValue."""
    return matching(NAME, text, "a name")


def identifier(*fields: str) -> Encoded:
    """A name for what these fields say: readable, and another one for other fields.  Raises BadValue."""
    for field in fields:
        bounded(field, ROW_LIMIT)
    return name(object_name(*fields))


def canary(*fields: str) -> Encoded:
    """A name for a canary in map rows.  Raises BadValue."""
    return Encoded(f"canary:{identifier(*fields)}")


def own(*fields: str) -> Encoded:
    """A name for a backend that decides for itself.  Raises BadValue."""
    return Encoded(f"policy:{identifier(*fields)}")


def word_of_key(text: str) -> Encoded:
    """A value of a header or a cookie as part of a map key.  Raises BadValue."""
    if not text or re.search(r"\s", text) or CONTROL.search(text):
        raise BadValue("BadValue", "a value to compare has no blanks")
    return Encoded(bounded(text, WORD_LIMIT))


def split(*fields: str) -> Encoded:
    """A name for a split in map rows; the colon keeps it apart from all backends.  Raises BadValue."""
    return Encoded(f"split:{identifier(*fields)}")


def file(text: str) -> Encoded:
    """A relative file name of ours.  Raises BadValue."""
    if ".." in text:
        raise BadValue("BadName", "a file name never leaves its directory")
    return matching(FILE, text, "a file name")


def address(host: str, port: int) -> Encoded:
    """An IP address with a port, IPv6 in brackets.  Raises BadValue."""
    if type(port) is not int or not 0 < port < 65536:
        raise BadValue("PortOutOfRange", "a port is a number from 1 to 65535")
    if IPV4.fullmatch(host):
        return Encoded(f"{host}:{port}")
    try:
        parsed = ip_address(host)
    except ValueError:
        raise BadValue("AddressInvalid", "a server address is an IP address") from None
    if "%" in host:
        raise BadValue("AddressInvalid", "a server address has no zone")
    return Encoded(f"[{parsed}]:{port}")


def addresses(hosts: Iterable[str], port: int) -> Encoded:
    """Several IP addresses with one port.  Raises BadValue."""
    return Encoded(",".join(address(host, port) for host in hosts))


def name_server(text: str) -> Encoded:
    """A name server given as `IP`, `IP:port` or `[IPv6]:port`.  Raises BadValue."""
    host, _, port = text[1:].partition("]") if text.startswith("[") else text.partition(":" if "." in text else "]")
    try:
        return address(host, int(port.removeprefix(":") or 53))
    except ValueError:
        raise BadValue("AddressInvalid", "a name server is IP, IP:port or [IPv6]:port") from None


def server_name(host: str, port: int) -> Encoded:
    """A name for a server that says where it is.  Raises BadValue."""
    return name(f"{host}:{port}")


def dns_name(text: str, port: int) -> Encoded:
    """A name to resolve, with a port.  Raises BadValue."""
    host = text.removesuffix(".")
    if IPV4.fullmatch(host):
        raise BadValue("InvalidHost", "a name to resolve is no address")
    return Encoded(f"{matching(DNS_NAME, host, 'a DNS name')}:{address('0.0.0.0', port).rpartition(':')[2]}")


def balance(kind: Balance) -> Encoded | None:
    """The algorithm where it is not the default one."""
    return BALANCE[kind]


BALANCE: Mapping[Balance, Encoded | None] = {
    "round_robin": None,
    "least_connections": Encoded("leastconn"),
    "source_hash": Encoded("source"),
    "random": Encoded("random(2)"),
}


def duration(seconds: float) -> Encoded:
    """A time; what is not zero is at least a millisecond."""
    clamped = min(max(seconds, 0.0), LONGEST_TIMER)
    milliseconds = max(round(clamped * 1000), int(clamped > 0))
    return Encoded(f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s")


def scaled(weights: Iterable[int]) -> list[int]:
    """Relative weights in HAProxy's range: the highest at most 256, and none lost but zero."""
    given = list(weights)
    highest = max(given, default=0)
    if highest <= HIGHEST_WEIGHT:
        return given
    return [max(weight * HIGHEST_WEIGHT // highest, int(weight > 0)) for weight in given]


# ------------------------------------------------------------------ rows of maps and of the crt-list


def host(text: str) -> Encoded:
    """A host name, `*.x` or `*`, as a map key or an SNI filter.  Raises BadValue."""
    return matching(HOST, text, "a host name")


def path(text: str) -> Encoded:
    """A decoded path as map keys have it: every byte percent-encoded but letters, digits and `-._~/`.

    HAProxy brings the paths of requests into the same form, so `/a b`, `/a%20b`, `/%61%20b` are one.  Raises BadValue.
    """
    if not text.startswith("/"):
        raise BadValue("InvalidPath", "a path begins with /")
    return Encoded(quote(bounded(text, WORD_LIMIT), safe="/"))


def location(text: str) -> Encoded:
    """A decoded path as it goes out in a Location: percent-encoded where RFC 3986 asks for it.  Raises BadValue."""
    return header(quote(bounded(text, WORD_LIMIT), safe="/!$&'()*+,:@-._~="))


def redirected(redirect: Redirect) -> Encoded:
    """The Location of a redirect, complete or made from the URL of the request.  Raises BadValue."""
    if redirect.url:
        return header(redirect.url)
    origin = ""
    if not redirect.is_relative:
        authority = f"{header(redirect.host)}:%[var(txn.port)]" if redirect.host else "%[req.fhdr(host)]"
        origin = f"%[ssl_fc,iif(https,http)]://{authority}"
    cut = ",regsub(/$,)" if redirect.cut_slash else ""
    if redirect.query is None and not redirect.path:
        return Encoded(f"{origin}%[pathq{cut}]")
    path = location(redirect.path) if redirect.path else f"%[path{cut}]"
    if redirect.query is None:
        return Encoded(f"{origin}{path}%[query,length,iif(?,)]%[query]")
    return Encoded(f"{origin}{path}{header(f'?{redirect.query}') if redirect.query else ''}")


def regex(site: Encoded, text: str) -> Encoded:
    """A map key for paths of one host, without regard to case.  Raises BadValue.

    A pattern that is whole by itself, and still whole in our group, cannot end the group and reach another host.
    """
    return Encoded(f"^{re.escape(site)}(?i:{pattern(text)})")


def deferred(site: Encoded) -> Encoded:
    """The host under which prefixes stand that come after regexes."""
    return Encoded(f"~{site}")


def parent(site: Encoded) -> Encoded:
    """What follows the asterisk of a wildcard, other hosts as they are."""
    return Encoded(site.removeprefix("*."))


def key_of(site: Encoded, path: Encoded) -> Encoded:
    """The map key of a path itself."""
    return Encoded(f"{site}{path}|")


def key_below(site: Encoded, path: Encoded) -> Encoded:
    """The map key of all that lies below a path."""
    return Encoded(f"{site}{path.rstrip('/')}/")


def key_of_share(split: Encoded, digits: str) -> Encoded:
    """The map key of those numbers of a split that begin with these digits.  Raises BadValue."""
    return Encoded(f"{split}/{matching(DIGITS, digits, 'a number')}")


def row(key: Encoded, value: Encoded) -> bytes:
    """A row of a map file.  Raises BadValue."""
    line = f"{key} {value}\n".encode()
    if len(line) > ROW_LIMIT:
        raise BadValue("TooLong", f"a map row has at most {ROW_LIMIT} bytes")
    return line


def default_certificate(certificate: Encoded) -> bytes:
    """The first row of a crt-list: for every name that no other row has, even where its own names would fit."""
    return f"{certificate} !*\n".encode()


def bracketed(name: str, value: str) -> Encoded:
    """An option in a row of a crt-list.  Raises BadValue."""
    return Encoded(f"{name} {matching(CIPHERS, value, 'a list of ciphers')}")


def certificate_rows(certificate: Encoded, hosts: Iterable[str], options: Encoded) -> Iterable[bytes]:
    """The rows of a crt-list that give these hosts a certificate.  Raises BadValue."""
    filters = [host(each) for each in hosts]
    for start in range(0, len(filters), NAMES_PER_ROW):
        first = f"{certificate} {options}".rstrip()
        yield f"{first} {' '.join(filters[start : start + NAMES_PER_ROW])}\n".encode()


# ------------------------------------------------------------------ checks


def matching(pattern: re.Pattern[str], text: str, what: str) -> Encoded:
    """The text itself where it is what the pattern says.  Raises BadValue."""
    if not pattern.fullmatch(text):
        raise BadValue("BadName", f"{text[:80]!r} is not {what}")
    return Encoded(text)


def bounded(text: str, limit: int) -> str:
    """The text itself where it is Unicode and not too long.  Raises BadValue."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BadValue("NotUnicode", "lone surrogates cannot be written") from None
    if size > limit:
        raise BadValue("TooLong", f"at most {limit} bytes are written for HAProxy")
    return text
