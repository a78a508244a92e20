"""How the upstream is spoken to: protocol, TLS, timeouts, tries, buffers."""

from __future__ import annotations

from backends.nginx import phrases
from backends.nginx.parts import Parts
from backends.nginx.phrases import directive, on
from backends.nginx.syntax import Word, literal, seconds, value
from gen.errors import BadValue
from gen.policy import Buffering, FastCgi, Retries, Timeouts, UpstreamTls

MODULES = {"grpc": "grpc", "grpcs": "grpc", "fcgi": "fastcgi"}
SCHEMES = {"https": "https://", "grpc": "grpc://", "grpcs": "grpcs://", "fcgi": "", "as_client": "$scheme://"}
BUFFER = 16 * 1024
PARAMS = (
    ("SCRIPT_NAME", "$fastcgi_script_name"), ("SCRIPT_FILENAME", "$document_root$fastcgi_script_name"),
    ("QUERY_STRING", "$query_string"), ("REQUEST_METHOD", "$request_method"),
    ("CONTENT_TYPE", "$content_type"), ("CONTENT_LENGTH", "$content_length"),
    ("REQUEST_URI", "$request_uri"), ("DOCUMENT_URI", "$document_uri"), ("SERVER_PROTOCOL", "$server_protocol"),
    ("REQUEST_SCHEME", "$scheme"), ("GATEWAY_INTERFACE", "CGI/1.1"), ("REMOTE_ADDR", "$remote_addr"),
    ("REMOTE_PORT", "$remote_port"), ("SERVER_ADDR", "$server_addr"), ("SERVER_PORT", "$server_port"),
    ("SERVER_NAME", "$host"), ("REDIRECT_STATUS", "200"),
)  # fmt: skip


def module_of(protocol: str | None) -> str:
    """The module of nginx that speaks a protocol."""
    return MODULES.get(protocol or "", "proxy")


def passing(protocol: str | None, target: Word) -> Word:
    """The directive that passes a request on."""
    return Word(f"{module_of(protocol)}_pass {SCHEMES.get(protocol or '', 'http://')}{target};")


def timeouts(wanted: Timeouts, module: str) -> list[Word]:
    """Times of this route."""
    found = (("connect", wanted.connect), ("read", wanted.read), ("send", wanted.send))
    return [directive(f"{module}_{kind}_timeout", seconds(time)) for kind, time in found if time]


def retries(wanted: Retries, module: str) -> list[Word]:
    """When another endpoint is tried."""
    return [
        directive(f"{module}_next_upstream", *(map(phrases.plain, wanted.conditions or ("off",)))),
        directive(f"{module}_next_upstream_tries", max(wanted.tries, 0)),
        directive(f"{module}_next_upstream_timeout", seconds(wanted.timeout)),
    ]


def buffering(wanted: Buffering, module: str = "proxy") -> list[Word]:
    """Buffers; what nginx would refuse to combine is brought into its bounds."""
    lines = []
    if wanted.request is not None and module != "grpc":
        lines.append(directive(f"{module}_request_buffering", on(wanted.request)))
    if wanted.request_memory:
        lines.append(directive("client_body_buffer_size", wanted.request_memory))
    if wanted.response is not None and module != "grpc":
        lines.append(directive(f"{module}_buffering", on(wanted.response)))
    sizes = (wanted.buffer_size, wanted.buffers, wanted.busy_size, wanted.file_size)
    return lines if module == "grpc" or sizes == (None,) * 4 else lines + _sizes(wanted, module)


def _sizes(wanted: Buffering, module: str) -> list[Word]:
    size, count = max(wanted.buffer_size or BUFFER, 512), max(wanted.buffers or 4, 2)
    busy = min(max(wanted.busy_size or 2 * size, size), (count - 1) * size)
    lines = [directive(f"{module}_buffer_size", size), directive(f"{module}_buffers", count, size)]
    lines.append(directive(f"{module}_busy_buffers_size", busy))
    if wanted.file_size is not None:
        bounded = max(wanted.file_size, 2 * size) if wanted.file_size else 0
        lines.append(directive(f"{module}_max_temp_file_size", bounded))
    return lines


def tls(parts: Parts, wanted: UpstreamTls, module: str, certificates: dict[str, Word]) -> list[Word]:
    """TLS to the upstream.  Raises: BadValue where it shall be verified without a CA."""
    if wanted.verify and not wanted.ca:
        raise BadValue("CertMissing", "the upstream cannot be verified without a CA")
    prefix = f"{module}_ssl"
    lines = [directive(f"{prefix}_server_name", on(wanted.send_name))]
    if wanted.ca:
        lines.append(directive(f"{prefix}_trusted_certificate", parts.file("upstream-ca", "crt", wanted.ca)))
        lines.append(directive(f"{prefix}_verify_depth", wanted.verify_depth))
    lines.append(directive(f"{prefix}_verify", on(wanted.verify)))
    if wanted.server_name:
        lines.append(directive(f"{prefix}_name", value(wanted.server_name)))
    if wanted.protocols:
        lines.append(directive(f"{prefix}_protocols", *map(phrases.plain, wanted.protocols)))
    if wanted.ciphers:
        lines.append(directive(f"{prefix}_ciphers", literal(wanted.ciphers)))
    if wanted.certificate:
        name = certificates[wanted.certificate]
        lines.append(directive(f"{prefix}_certificate", Word(f"certificates/{name}.crt")))
        lines.append(directive(f"{prefix}_certificate_key", Word(f"certificates/{name}.key")))
    return lines


def fastcgi(wanted: FastCgi | None) -> list[Word]:
    """Parameters; those of the user count."""
    params = {name: Word(text) for name, text in PARAMS}
    params |= {name: phrases.text(text) for name, text in (wanted.params if wanted else ())}
    lines = [directive("fastcgi_param", phrases.plain(name), word) for name, word in params.items()]
    if wanted and wanted.index:
        lines.append(directive("fastcgi_index", value(wanted.index)))
    return lines
