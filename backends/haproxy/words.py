"""How HAProxy does what policies ask for, and why it does not: for people."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "action": "`http-request return` with a Location",
    "match": "a map of regexes (`map_reg`)",
    "https_redirect": "`http-request return` where the scheme is http",
    "rewrite": "`http-request set-path` with `regsub`",
    "forwarded_prefix": "`http-request set-header`",
    "aliases": "rows in the map of hosts",
    "canary": "maps over header and cookie, `rand` for the weight",
    "allow": "`http-request deny unless { src -f ... }`",
    "deny": "`http-request deny if { src -f ... }`",
    "satisfy_any": "conditions of `http-request deny`",
    "auth_basic": "`userlist` for what crypt(3) knows, a constant Lua script for other hashes; digest is not known",
    "auth_external": (
        "a constant Lua script asks through a socket of the proxy's own, and keeps answers by the configured key"
    ),
    "client_certificate": "`verify optional` in the list of certificates, `http-request` rules",
    "rate_limits": "stick tables",
    "connection_limit": "a stick table",
    "bandwidth": "HAProxy limits the speed of answers from 2.7 on, and 2.6 is supported",
    "cors": "`http-after-response set-header`, `http-request return` for preflights",
    "upstream_host": "`http-request set-header Host`",
    "connection_header": "`http-request set-header Connection`",
    "response_headers": "`http-after-response set-header`",
    "cookie_rewrites": "`http-response replace-header Set-Cookie`",
    "redirect_rewrites": "`http-response replace-header Location`",
    "fallback": "another backend where there are no servers",
    "error_pages": "a constant Lua script asks for the page",
    "mirror": "a constant Lua script sends the copy",
    "affinity": "`balance hash` over a cookie; persistent: `cookie ... insert`",
    "balance": "`balance`",
    "hash_by": "`balance hash`, `hash-type consistent`",
    "hash_subset": "a hash of HAProxy chooses one server, not some of them",
    "protocol": "`proto h2`, `ssl`, `fcgi-app`",
    "fastcgi": "`fcgi-app`",
    "upstream_tls": "words of `default-server`",
    "timeouts": "`timeout connect`, `timeout server`",
    "retries": "`retry-on`, `retries`",
    "body_limit": "`http-request deny` by `req.body_size`, and counted as it passes",
    "buffering": "HAProxy has one size of buffers for everything, and never writes bodies to disk",
    "http_version": "HAProxy speaks HTTP/1.1 or HTTP/2 to servers",
    "ciphers": "`ciphers` in the list of certificates",
    "prefer_server_ciphers": "HAProxy always prefers its own order",
    "access_log": "`http-request set-log-level silent`",
    "directives": "snippets are for nginx",
    "tracing": "HAProxy has OpenTelemetry only where it is compiled in",
    "waf": "HAProxy has no web application firewall of its own",
}
"""What is done for a field, or, where it is not in `features`, why it is not."""
