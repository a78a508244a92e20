"""Passwords: auth-type, auth-secret, auth-secret-type, auth-realm."""

from __future__ import annotations

from gen.dialects import values
from gen.dialects.annotation import Annotation, Closing, Family, Outcome, Values
from gen.dialects.wishes import PasswordFile


def _build(found: Values) -> Outcome:
    """Half of it would leave the door open, so it is a fault."""
    scheme, secret = found.get("auth-type"), found.get("auth-secret")
    if not scheme:
        if secret and found.is_strict:
            raise Closing("AnnotationInvalid", "auth-secret needs auth-type")
        return Outcome()
    if not secret:
        raise Closing("AnnotationInvalid", "auth-type needs auth-secret")
    is_map = found.get("auth-secret-type") == "auth-map"
    return Outcome(wishes=(PasswordFile(secret, found.get("auth-realm", ""), scheme, is_map),))


FAMILY = Family(
    (
        Annotation(
            "auth-type", values.one_of("basic", "digest"), "route", "low", "auth_basic",
            "A password is needed; auth-secret has the users.", "none", "reject",
        ),
        Annotation(
            "auth-secret", values.reference, "route", "medium", "auth_basic",
            "The Secret with the users: the key `auth` in htpasswd's form, or see auth-secret-type.",
            bad_value="close",
        ),
        Annotation(
            "auth-secret-type", values.one_of("auth-file", "auth-map"), "route", "low", "auth_basic",
            "auth-map: each key of the Secret is a user, its value the hash of the password.", "auth-file", "reject",
        ),
        Annotation(
            "auth-realm", values.matching(r"[A-Za-z0-9 _.,:!?/()'-]{0,256}", "a realm"), "route", "medium",
            "auth_basic", "The realm that a client shows to its user.", bad_value="reject",
        ),
    ),
    _build,
)  # fmt: skip
