"""The table of annotations: every row is tested, documented, and fills something that a backend can say it has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gen.dialects.annotation import Annotation
from gen.dialects.ingress_nginx import ALIASES, ROWS
from gen.errors import BadValue
from gen.fit import WORDS
from tests.dialects.reading import LENIENT, STRICT, codes, ground, read
from tests.dialects.samples import SAMPLES


def good() -> Iterator[tuple[str, str, object]]:
    return ((name, text, value) for name, (texts, _) in SAMPLES.items() for text, value in texts.items())


def bad() -> Iterator[tuple[str, str]]:
    return ((name, text) for name, (_, texts) in SAMPLES.items() for text in texts)


def test_every_row_has_samples() -> None:
    assert SAMPLES.keys() == ROWS.keys()
    assert len(ROWS) == 136
    assert all(texts for _, texts in SAMPLES.values())
    snippets = {name for name, row in ROWS.items() if row.risk == "critical" and row.unsupported}
    assert {name for name, (texts, _) in SAMPLES.items() if not texts} == snippets


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_every_row_is_whole(row: Annotation) -> None:
    assert row.doc.endswith(".")
    assert row.doc[0].isupper() or row.doc[0] in "`:" or row.doc.split()[0].rstrip(":,").islower()
    assert row.risk in {"low", "medium", "high", "critical"}
    assert row.scope in {"route", "host", "upstream"}
    assert row.fills in {*WORDS, "action", "match"} or (not row.fills and row.unsupported)


@pytest.mark.parametrize(("name", "text", "value"), list(good()))
def test_what_a_value_means(name: str, text: str, value: object) -> None:
    assert ROWS[name].parse(text) == value


@pytest.mark.parametrize(("name", "text"), list(bad()))
def test_what_a_value_may_not_be(name: str, text: str) -> None:
    with pytest.raises(BadValue):
        ROWS[name].parse(text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, text in bad() if text == text.strip()])
def test_what_follows_from_a_bad_value(name: str, text: str) -> None:
    """In a strict profile nothing of the Ingress is served; else what the row says, but never nothing."""
    strict = read({name: text}, STRICT)
    assert strict.is_rejected or strict.action
    assert "error" in {severity for _, severity in codes(strict)}
    lenient = read({name: text})
    assert lenient.issues
    if ROWS[name].bad_value == "reject":
        assert lenient.is_rejected or lenient.action
    elif ROWS[name].bad_value == "close":
        assert lenient.action


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_an_alias_is_the_same_row(alias: str) -> None:
    name = ALIASES[alias]
    assert read({alias: "10.0.0.0/8"}, STRICT) == read({name: "10.0.0.0/8"}, STRICT)
    assert read({alias: "10.0.0.0/8", name: "10.1.0.0/16"}) == read({name: "10.1.0.0/16"})
    guarded = ground(annotations_risk_level="Low")
    assert read({alias: "10.0.0.0/8"}, guarded).is_rejected == read({name: "10.0.0.0/8"}, guarded).is_rejected


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_the_risk_level_is_a_gate(row: Annotation) -> None:
    ranks = {"low": 0, "medium": 1, "high": 2, "critical": 3}
    text = next(iter(SAMPLES[row.name][0]), "x")
    for level, rank in ranks.items():
        found = read({row.name: text}, ground(annotations_risk_level=level, allow_snippet_annotations="true"))
        refused = {code for code, _ in codes(found)} & {"AnnotationDenied", "SnippetDenied"}
        assert bool(refused) == (
            ranks[row.risk] > rank or row.name.endswith(("auth-snippet", "stream-snippet", "modsecurity-snippet"))
        )


def test_the_level_of_a_namespace_counts_before_that_of_all() -> None:
    guarded = ground(annotations_risk_level="Low", annotations_risk_level_namespaces="t1=High, t2=Low")
    assert not read({"server-alias": "a.example"}, guarded).is_rejected
    guarded = ground(annotations_risk_level_namespaces="t1=Low")
    assert read({"server-alias": "a.example"}, guarded).is_rejected


def test_only_allowed_annotations() -> None:
    guarded = ground(annotations_allowed="enable-cors, proxy-body-size")
    assert not read({"enable-cors": "true"}, guarded).is_rejected
    assert read({"use-regex": "true"}, guarded).is_rejected


def test_blocked_words() -> None:
    guarded = ground(annotation_value_word_blocklist="forbidden,banned")
    assert read({"upstream-vhost": "is.forbidden"}, guarded).is_rejected
    assert not read({"upstream-vhost": "is.fine"}, guarded).is_rejected


def test_no_settings_no_effects() -> None:
    assert read({}, STRICT).policy == read({}, LENIENT).policy
