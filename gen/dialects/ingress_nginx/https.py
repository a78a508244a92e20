"""Plain HTTP is sent to HTTPS."""

from __future__ import annotations

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.policy import HttpsRedirect


def _build(found: Values) -> Outcome:
    """With ssl-redirect only where the host has a certificate, which the host itself knows."""
    is_forced = found.effective("force-ssl-redirect")
    if not is_forced and not found.effective("ssl-redirect"):
        return Outcome()
    redirect = HttpsRedirect(
        status=found.settings["http-redirect-code"],
        port=found.settings["https-port"] if found.effective("use-port-in-redirects") else 0,
        keep_slash=bool(found.effective("preserve-trailing-slash")),
    )
    return Outcome({"https_redirect": redirect}) if is_forced else Outcome(effects={"https": redirect})


FAMILY = Family(
    (
        Annotation(
            "ssl-redirect", values.boolean, "route", "low", "https_redirect",
            "Redirect HTTP to HTTPS where the host has a certificate.", "the ConfigMap's ssl-redirect",
        ),
        Annotation(
            "force-ssl-redirect", values.boolean, "route", "medium", "https_redirect",
            "Redirect HTTP to HTTPS, certificate or not.", "the ConfigMap's force-ssl-redirect",
        ),
        Annotation(
            "preserve-trailing-slash", values.boolean, "route", "medium", "https_redirect",
            "The HTTPS redirect keeps a trailing slash.", "the ConfigMap's preserve-trailing-slash",
        ),
        Annotation(
            "use-port-in-redirects", values.boolean, "route", "low", "https_redirect",
            "The HTTPS redirect names the port.", "the ConfigMap's use-port-in-redirects",
        ),
    ),
    _build,
    always=True,
)  # fmt: skip
