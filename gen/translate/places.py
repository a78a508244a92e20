"""What the annotations of an Ingress mean at one path: the same policy, but for what depends on the path itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gen.dialects.annotation import Effects
from gen.dialects.ingress_nginx.ground import Ground
from gen.dialects.regex import groups
from gen.dialects.text import OF_THE_ROUTE
from gen.ir import NO_POLICY, Policy, Redirect, Source
from gen.policy import HttpsRedirect, Text, Variable


class Backend(msgspec.Struct, frozen=True, gc=False):
    """The Service behind a path, "" where there is none."""

    service: str = ""
    port: str = ""


def policy_at(effects: Effects, ground: Ground, source: Source, path: str, backend: Backend, *, regex: str) -> Policy:
    """The policy of a path; the very one of the Ingress where nothing depends on the path.

    Shape: `regex` is the path where it is one, else "".
    """
    policy = effects.policy
    if policy is NO_POLICY:
        return policy
    changed: dict[str, Any] = {}
    if policy.https_redirect and (
        isinstance(effects.action, Redirect) or _is_below(path, ground, "no-tls-redirect-locations")
    ):
        changed["https_redirect"] = None
    if (policy.auth_basic or policy.auth_external) and _is_below(path, ground, "no-auth-locations"):
        changed |= {"auth_basic": None, "auth_external": None}
    if policy.affinity and not policy.affinity.path:
        changed["affinity"] = msgspec.structs.replace(policy.affinity, path=path)
    if policy.rewrite:
        changed |= _rewritten(policy, path, regex)
    if policy.upstream_host and any(_is_of_the_route(piece) for piece in policy.upstream_host):
        changed["upstream_host"] = _filled(policy.upstream_host, source, backend)
    headers = _headers(source, backend) if policy.error_pages or policy.fallback else ()
    for name in ("error_pages", "fallback"):
        if found := getattr(policy, name):
            changed[name] = msgspec.structs.replace(found, headers=headers)
    return msgspec.structs.replace(policy, **changed) if changed else policy


def https_at(effects: Effects, ground: Ground, path: str) -> HttpsRedirect | None:
    """The redirect of a path where the host has a certificate."""
    if effects.https is None or effects.action or _is_below(path, ground, "no-tls-redirect-locations"):
        return None
    return effects.https


def on_https_only(policy: Policy, ground: Ground, path: str) -> Policy:
    """The policy of a path that counts on client certificates, which nobody can show on plain HTTP."""
    if policy.https_redirect or _is_below(path, ground, "no-tls-redirect-locations"):
        return policy
    redirect = HttpsRedirect(status=ground.settings["http-redirect-code"], keep_slash=True)
    return msgspec.structs.replace(policy, https_redirect=redirect)


def _is_below(path: str, ground: Ground, key: str) -> bool:
    prefixes: Iterable[str] = ground.settings[key]
    return any(path.startswith(prefix) for prefix in prefixes)


def _rewritten(policy: Policy, path: str, regex: str) -> dict[str, Text | None]:
    """A target that is the path itself changes nothing; groups that the path does not have are empty."""
    if policy.rewrite == (path,):
        return {"rewrite": None, "forwarded_prefix": None}
    most = groups(regex) if regex else 0
    return {
        name: text and tuple(piece for piece in text if isinstance(piece, str) or _is_group(piece, most))
        for name, text in (("rewrite", policy.rewrite), ("forwarded_prefix", policy.forwarded_prefix))
    }


def _is_group(piece: Variable, most: int) -> bool:
    return piece.name != "capture" or int(piece.argument) <= most


def _is_of_the_route(piece: str | Variable) -> bool:
    return isinstance(piece, Variable) and piece.name in OF_THE_ROUTE


def _filled(text: Text, source: Source, backend: Backend) -> Text:
    own = {
        "namespace": source.namespace,
        "ingress_name": source.name,
        "service_name": backend.service,
        "service_port": backend.port,
    }
    pieces = [own[piece.name] if isinstance(piece, Variable) and piece.name in own else piece for piece in text]
    if all(isinstance(piece, str) for piece in pieces):
        return ("".join(str(piece) for piece in pieces),)
    return tuple(pieces)


def _headers(source: Source, backend: Backend) -> tuple[tuple[str, str], ...]:
    return (
        ("X-Namespace", source.namespace),
        ("X-Ingress-Name", source.name),
        ("X-Service-Name", backend.service),
        ("X-Service-Port", backend.port),
    )
