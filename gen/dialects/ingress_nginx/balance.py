"""Which endpoint a request goes to, and by which address."""

from __future__ import annotations

import re
from functools import partial

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.dialects.text import text as text_of
from gen.errors import BadValue
from gen.ir import Balance
from gen.policy import Text

ALGORITHMS: dict[str, Balance] = {
    "round_robin": "round_robin",
    "ewma": "least_connections",
    "least_conn": "least_connections",
    "random": "random",
    "ip_hash": "source_hash",
}
"""What comes closest to each algorithm; ewma looks at answer times, which the proxies do not."""


def algorithm(text: str) -> Balance:
    """A balance.  Raises: BadValue (AnnotationInvalid)."""
    return ALGORITHMS[values.one_of(*ALGORITHMS)(text)]


def _key(text: str) -> Text:
    values.plain(text)
    if not re.fullmatch(r"[A-Za-z0-9._~/:${}| ,-]{1,512}", text):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not text with variables")
    return text_of(text)


def _build(found: Values) -> Outcome:
    policy: dict[str, object] = {}
    if key := found.get("upstream-hash-by"):
        policy["hash_by"] = key
        if found.get("upstream-hash-by-subset"):
            policy["hash_subset"] = found.get("upstream-hash-by-subset-size", 3)
    elif (balance := found.effective("load-balance")) != "round_robin":
        policy["balance"] = balance
    return Outcome(policy, effects={"by_service": True} if found.effective("service-upstream") else {})


FAMILY = Family(
    (
        Annotation(
            "load-balance", algorithm, "upstream", "low", "balance",
            "round_robin, or ewma, which becomes least connections; also least_conn, random, ip_hash.",
            "the ConfigMap's load-balance", "reject",
        ),
        Annotation(
            "upstream-hash-by", _key, "upstream", "high", "hash_by",
            "Consistent hashing over the endpoints by a text with variables.", bad_value="reject",
        ),
        Annotation(
            "upstream-hash-by-subset", values.boolean, "upstream", "low", "hash_subset",
            "upstream-hash-by chooses several endpoints, and chance one of them.", "false", "reject",
        ),
        Annotation(
            "upstream-hash-by-subset-size", partial(values.natural, least=1, most=1000), "upstream", "low",
            "hash_subset", "How many endpoints upstream-hash-by-subset chooses.", "3", "reject",
        ),
        Annotation(
            "service-upstream", values.boolean, "upstream", "low", "action",
            "The Service's own address stands for its endpoints.", "the ConfigMap's service-upstream",
        ),
    ),
    _build,
    always=True,
)  # fmt: skip
