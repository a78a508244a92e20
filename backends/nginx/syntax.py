r"""Everything that is written into nginx configuration goes through here: one encoder for each kind of position.

nginx reads `"..."` as one word.  Inside it only `\` and `"` need an escape, and `\n` stands for a newline.  Whether `$`
expands depends on the directive; a word for such a position writes `${gen_dollar}`, a variable that holds the sign.
nginx refuses a word of 4 KiB, which would stop everybody's change, and quietly cuts a static location over 255 bytes,
which then takes other people's paths.  So every encoder raises BadValue for what its position cannot hold.
"""

from __future__ import annotations

import re
from functools import lru_cache

from gen.errors import BadValue
from gen.ir import DnsName, Endpoint, Match, Redirect, Source

WORD_LIMIT = 4000
LOCATION_LIMIT = 255

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SURROGATE = re.compile(r"[\ud800-\udfff]")
HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
DNS_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
ADDRESS = re.compile(rf"{OCTET}(?:\.{OCTET}){{3}}|[0-9a-f]*:[0-9a-f:.]+")
RESOLVER = re.compile(rf"{OCTET}(?:\.{OCTET}){{3}}:[0-9]{{1,5}}|\[[0-9a-f:.]+\](?::[0-9]{{1,5}})?")
OBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_-]+)*")
KUBERNETES_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
PATH_FIELD = re.compile(r"spec\.rules\[([0-9]+)\]\.http\.paths\[([0-9]+)\]")
DIRECTIVE = re.compile(r"\$?[a-z][A-Za-z0-9_]*")
NAMED_GROUP = re.compile(r"\(\?(?:P?<(?![=!])|')")


class Word(str):
    """Text in nginx's own syntax; the only text that a template may print."""

    __slots__ = ()


NOTHING = Word()
REST = Word("*")


def only_encoded(value: object) -> object:
    """What jinja2 calls for every expression; raises TypeError for text that no encoder wrote."""
    if type(value) is Word or type(value) is int:
        return value
    raise TypeError(f"a template printed {type(value).__name__} without an encoder: {str(value)[:80]!r}")


def _checked(text: str) -> str:
    if CONTROL.search(text):
        raise BadValue("ControlChar", "control characters cannot be written")
    if not text.isascii() and SURROGATE.search(text):
        raise BadValue("NotUnicode", "expected text that UTF-8 can hold")
    return text


def limited(word: str) -> str:
    """What nginx takes as one word."""
    if len(word) > WORD_LIMIT or (not word.isascii() and len(word.encode()) > WORD_LIMIT):
        raise BadValue("TooLong", f"expected at most {WORD_LIMIT} bytes once it is written for nginx")
    return word


def _escape(text: str) -> str:
    return _checked(text).replace("\\", "\\\\").replace('"', '\\"')


def unexpanded(text: str) -> str:
    """Text between quotes of which nothing is a variable."""
    return _escape(text).replace("$", "${gen_dollar}")


def literal(text: str) -> Word:
    """A word where nginx expands no variables: a file name, a server name, a pattern."""
    return Word(f'"{limited(_escape(text))}"')


def value(text: str) -> Word:
    """A word where nginx expands variables; none of the text is one."""
    return Word(f'"{limited(unexpanded(text))}"')


def expanding(text: str) -> Word:
    """A word where nginx expands variables, and those in the text are meant; for directives that were checked."""
    lines = ("\\t".join(map(_escape, line.split("\t"))) for line in text.split("\n"))
    encoded = "\\n".join(lines)
    return Word(f'"{limited(encoded)}"')


def directive_name(text: str) -> Word:
    """The name of a directive, or a variable with its $."""
    if not DIRECTIVE.fullmatch(text):
        raise BadValue("BadName", f"expected the name of a directive, got {text[:50]!r}")
    return Word(text)


@lru_cache(maxsize=1024)
def body(text: str) -> Word:
    """The text of a `return`, with lines and tabs; an empty one keeps nginx's HTML page away."""
    lines = ("\\t".join(map(unexpanded, line.split("\t"))) for line in text.split("\n"))
    encoded = "\\n".join(lines) or "$gen_nothing"
    return Word(f'"{limited(encoded)}"')


def prefix_location(path: str) -> Word:
    """The argument of a `location` for a decoded path and all that it begins."""
    if not path.startswith("/"):
        raise BadValue("InvalidPath", "expected a path that begins with /")
    if len(path.encode("utf-8", "replace")) > LOCATION_LIMIT:
        raise BadValue("InvalidPath", f"expected a path of at most {LOCATION_LIMIT} bytes")
    return literal(path)


def exact_location(path: str) -> Word:
    """The argument of a `location` for one decoded path."""
    return Word(f"= {prefix_location(path)}")


def exact_pattern(path: str) -> Word:
    """The argument of a `location` that takes one path, in a host where patterns decide in order."""
    return Word("~ " + literal(rf"^{re.escape(path)}\z"))


def prefix_pattern(path: str) -> Word:
    """The argument of a `location` that takes a path and what is below it, in a host where patterns decide in order."""
    end = "" if path.endswith("/") else r"(?:/|\z)"
    return Word("~ " + literal(f"^{re.escape(path)}{end}"))


def regex_pattern(pattern: str) -> Word:
    """The argument of a `location` for a user's regex: anchored at the start, case-insensitive."""
    if NAMED_GROUP.search(pattern):
        raise BadValue("InvalidPath", "expected a regular expression without named groups, which set variables")
    return Word("~* " + literal(f"^{pattern}"))


def server_name(name: str) -> Word:
    """The argument of `server_name`: a host, `*.x` for exactly one label more than x, or "" for every other name."""
    if not name:
        return Word('"_"')
    host = name.removeprefix("*.")
    if len(name) > 253 or not HOST.fullmatch(host):
        raise BadValue("InvalidHost", "expected a lower-case DNS name")
    if host == name:
        return Word(f'"{name}"')
    return literal(rf"~^[^.]+\.{re.escape(host)}$")


def address(endpoint: Endpoint) -> Word:
    """The argument of `server`: address and port."""
    return Word(f"{ip(endpoint.address)}:{port(endpoint.port)}")


def listen(address: str, number: int) -> Word:
    """The first argument of `listen`."""
    return Word(f"{ip(address)}:{port(number)}")


def ip(text: str) -> Word:
    """An IP address as it stands before a port."""
    if not ADDRESS.fullmatch(text):
        raise BadValue("AddressInvalid", f"expected an IP address, got {text[:50]!r}")
    return Word(f"[{text}]" if ":" in text else text)


def port(number: int) -> int:
    """A port number."""
    if type(number) is not int or not 0 < number < 65536:
        raise BadValue("PortOutOfRange", "expected a port from 1 to 65535")
    return number


def resolver(text: str) -> Word:
    """An argument of `resolver`: `IP` or `IP:port`."""
    if RESOLVER.fullmatch(text):
        return Word(text)
    return ip(text)


def dns_target(dns: DnsName) -> Word:
    """A name and port for a variable that `proxy_pass` resolves."""
    if len(dns.name) > 254 or not DNS_NAME.fullmatch(dns.name):
        raise BadValue("InvalidHost", "expected a DNS name")
    return Word(f"{dns.name}:{port(dns.port)}")


def redirect(action: Redirect) -> Word:
    """The URL of a `return`: an absolute one as it is, or that of the request with another path."""
    if action.status not in range(300, 309):
        raise BadValue("InvalidStatus", f"expected a status from 300 to 308, got {action.status}")
    if action.url:
        return value(action.url)
    origin = f"$scheme://{unexpanded(action.host)}:$server_port" if action.host else "$scheme://$gen_host"
    return Word(f'"{limited(("" if action.is_relative else origin) + _target(action))}"')


def _target(action: Redirect) -> str:
    """Path and query of a redirect."""
    path = unexpanded(Match("exact", _checked(action.path)).encoded)
    if action.query is not None:
        query = unexpanded(action.query)
        return (path or "$gen_path") + (f"?{query}" if query else "")
    if path:
        return f"{path}$is_args$args"
    return "$gen_target_without_slash" if action.cut_slash else "$request_uri"


def variable(text: str) -> Word:
    """A variable of ours, with its $."""
    return Word(f"${name(text)}")


def name(text: str) -> Word:
    """A name that we made ourselves: of a file, an upstream, a variable."""
    if not OBJECT.fullmatch(text):
        raise BadValue("BadName", f"expected a name of ours, got {text[:50]!r}")
    return Word(text)


def seconds(duration: float) -> Word:
    """A time."""
    milliseconds = max(round(duration * 1000), 0)
    return Word(f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s")


def percent(hundredths: int) -> Word:
    """A share for `split_clients`, given in hundredths of a percent."""
    return Word(f"{hundredths // 100}.{hundredths % 100:02d}%")


def origin(source: Source) -> Word:
    """A comment for the reviewer, made of names that passed the check of Kubernetes and nothing else."""
    named = object_of(source.kind, source.namespace, source.name)
    return Word(f"{named}{place_of(source.field)}" if named else "no object of its own")


@lru_cache(maxsize=64)
def object_of(kind: str, namespace: str, name: str) -> str:
    """An object in words, "" where a part of it is no name; the routes of a host mostly have the same one."""
    names = (namespace, name) if namespace else (name,)
    if kind.isalpha() and kind.isascii() and all(map(KUBERNETES_NAME.fullmatch, names)):
        return f"{kind} {'/'.join(names)}"
    return ""


@lru_cache(maxsize=1024)
def place_of(field: str) -> str:
    """A place in an object in words."""
    if found := PATH_FIELD.match(field):
        return f", rule {found[1]}, path {found[2]}"
    return ", default backend" if field.startswith("spec.defaultBackend") else ""
