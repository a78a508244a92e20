"""Certificates of clients: what clients.lua is told of the rule of a host, and what has to be so afterwards."""

from __future__ import annotations

from backends.envoy import syntax
from backends.envoy.handshakes import rule
from backends.envoy.networks import told_value
from backends.envoy.syntax import Json
from gen.policy import ClientCertificate

SUBJECT = "ssl-client-subject-dn"


def identity(client: ClientCertificate) -> str:
    """What the handshakes say that ask for certificates by this rule."""
    return rule(client.ca, client.crl, client.depth)


def told(client: ClientCertificate) -> Json:
    """The rule of a host.  Raises BadValue."""
    if not client.ca:
        return {"is_closed": True}
    return {
        "id": identity(client),
        "verify": client.verify,
        **({"error_page": syntax.header_value(client.error_page)} if client.error_page else {}),
        **({"pass_upstream": True} if client.pass_upstream else {}),
        **({"has_subject": True} if client.match_subject else {}),
    }


def kept(client: ClientCertificate) -> list[Json]:
    """Principals who keep the rule: clients.lua says so, and the subject, which it has put into a header, matches."""
    principals = [told_value("client", identity(client))]
    if client.match_subject:
        regex = f"(?s:.*)(?:{syntax.plain(client.match_subject)})(?s:.*)"
        principals.append({"header": {"name": SUBJECT, "string_match": {"safe_regex": {"regex": regex}}}})
    return principals
