"""TLS of a whole host."""

from __future__ import annotations

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.dialects.ingress_nginx.protocol import ciphers


def _build(found: Values) -> Outcome:
    host = {"ciphers": found.get("ssl-ciphers"), "prefer_server_ciphers": found.get("ssl-prefer-server-ciphers")}
    return Outcome(host={name: value for name, value in host.items() if value is not None})


FAMILY = Family(
    (
        Annotation("ssl-ciphers", ciphers, "host", "low", "ciphers",
                   "Ciphers in OpenSSL's syntax; the oldest Ingress of the host counts.",
                   "the ConfigMap's ssl-ciphers", "reject"),
        Annotation("ssl-prefer-server-ciphers", values.boolean, "host", "low", "prefer_server_ciphers",
                   "Whether the proxy's order of ciphers counts.", "true"),
        Annotation("ssl-passthrough", values.boolean, "host", "low", "",
                   "TLS goes to the upstream unopened.", "false", "reject",
                   unsupported="it needs --enable-ssl-passthrough; without it TLS ends at the proxy"),
    ),
    _build,
)  # fmt: skip
