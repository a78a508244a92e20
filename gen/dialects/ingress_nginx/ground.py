"""What holds for the annotations of all Ingresses: the global ConfigMap, the profile, the gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gen.dialects.annotation import Annotation
from gen.dialects.values import shown
from gen.errors import BadValue

_RANKS: Mapping[str, int] = {"low": 0, "medium": 1, "high": 2, "critical": 3}


class Ground(Struct, frozen=True):
    """Values under all annotations.

    Shape: `settings` has the value of every key of the ConfigMap, and `https-port`.  `is_strict`: a bad value costs
    the whole Ingress, where ingress-nginx would ignore it.
    """

    settings: Mapping[str, Any]
    prefix: str = "nginx.ingress.kubernetes.io"
    is_strict: bool = True
    allow_loopback: bool = False

    def admit(self, row: Annotation, text: str, namespace: str) -> None:
        """Whether the administrator lets a namespace use an annotation.

        Raises: BadValue (SnippetDenied, AnnotationDenied).
        """
        level = self.settings["annotations-risk-level-namespaces"].get(namespace)
        level = level or self.settings["annotations-risk-level"]
        if _RANKS[row.risk] > _RANKS[level.lower()]:
            code = "SnippetDenied" if row.risk == "critical" else "AnnotationDenied"
            raise BadValue(code, f"its risk is {row.risk}, and no more than {level.lower()} is allowed")
        allowed = self.settings["annotations-allowed"]
        if allowed and row.name not in allowed:
            raise BadValue("AnnotationDenied", "it is not one of the annotations that are allowed")
        for word in self.settings["annotation-value-word-blocklist"]:
            if word in text:
                raise BadValue("AnnotationDenied", f"its value has the word {shown(word)}, which is blocked")
