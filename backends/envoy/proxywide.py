"""What holds for all requests, whatever their route: from the options."""

from __future__ import annotations

from backends.envoy import syntax
from backends.envoy.filters import EXTENSION, HTTP
from backends.envoy.networks import ANYTHING, RBAC, cidr
from backends.envoy.syntax import Json
from gen.ir import Options
from gen.policy import Gzip

GZIP = f"{EXTENSION}compression.gzip.compressor.v3.Gzip"


def filters(options: Options, *, is_secure: bool) -> list[Json]:
    """The filters that stand before all others, and see an answer last.  Raises BadValue."""
    return [
        *answers(options, is_secure=is_secure),
        *([compression(options.gzip)] if options.gzip else []),
        *blocked(options),
    ]


def answers(options: Options, *, is_secure: bool) -> list[Json]:
    """The headers of all answers, our own too.  Raises BadValue."""
    headers = [*(options.response_headers or ())]
    if is_secure and options.hsts:
        headers.append(("strict-transport-security", options.hsts))
    if not headers:
        return []
    set_headers = [
        {"append": syntax.set_header(syntax.header_name(name), syntax.fixed(value))} for name, value in headers
    ]
    config = {"@type": f"{HTTP}header_mutation.v3.HeaderMutation", "mutations": {"response_mutations": set_headers}}
    return [{"name": "gen.headers", "typed_config": config}]


def compression(gzip: Gzip) -> Json:
    """Compression of what clients can take so."""
    common = {"min_content_length": gzip.min_length, "content_type": sorted({"text/html", *gzip.types})}
    level = min(max(gzip.level, 1), 9)
    library = {"@type": GZIP, "compression_level": level, "window_bits": 15, "memory_level": 8}
    config = {
        "@type": f"{HTTP}compressor.v3.Compressor",
        "response_direction_config": {"common_config": common},
        "compressor_library": {"name": "gzip", "typed_config": library},
    }
    return {"name": "gen.gzip", "typed_config": config}


# ------------------------------------------------------------------ who is not let in at all


def blocked(options: Options) -> list[Json]:
    """403 for some.  Raises BadValue."""
    wanted = [{"remote_ip": cidr(each)} for each in options.block_networks or ()]
    wanted += [says("user-agent", *each) for each in options.block_user_agents or ()]
    wanted += [says("referer", *each) for each in options.block_referers or ()]
    if not wanted:
        return []
    policy = {"permissions": [ANYTHING], "principals": wanted}
    config = {"@type": RBAC, "rules": {"action": "DENY", "policies": {"blocked": policy}}}
    return [{"name": "gen.blocked", "typed_config": config}]


def says(header: str, is_regex: bool, text: str) -> Json:
    """The principal whose header has a text, or matches a regex, whatever the case.  Raises BadValue."""
    if is_regex:
        regex = f"(?s:.*)(?i:{syntax.plain(text)})(?s:.*)"
        return {"header": {"name": header, "string_match": {"safe_regex": {"regex": regex}}}}
    return {"header": {"name": header, "string_match": {"exact": syntax.plain(text), "ignore_case": True}}}


def connections(options: Options) -> Json:
    """Fields of a connection manager: what clients may do with a connection."""
    found: Json = {}
    if options.http2 is False:
        found["codec_type"] = "HTTP1"
    if options.header_timeout is not None:
        found["request_headers_timeout"] = syntax.duration(options.header_timeout)
    return found


def protocol(options: Options) -> Json:
    """What holds for requests of any version of HTTP."""
    underscores = "ALLOW" if options.underscores_in_headers else "DROP_HEADER"
    most = {"max_requests_per_connection": options.idle_requests} if options.idle_requests else {}
    idle = syntax.duration(options.idle_timeout)
    return {"idle_timeout": idle, "headers_with_underscores_action": underscores, **most}
