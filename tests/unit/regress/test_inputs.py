from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.regress.conditions.reading import conditions
from expandr_repro.regress.inputs import count, differences, expansions_sha256, topics_sha256

ROOT = Path(__file__).parents[3]
POCKET = {c.name: c.regression for c in conditions(ROOT / "regressions")}["pocket.minilm.own.mean"]
A, B = Topic("1", "kiwi", (Expansion("a bird"), Expansion("a fruit"))), Topic("2", "mole")


def test_the_hash_of_topics_is_of_ids_and_titles_in_any_order():
    assert topics_sha256([A, B]) == topics_sha256([B, Topic("1", " kiwi\t")])
    assert topics_sha256([A, B]) != topics_sha256([A, Topic("2", "moles")])
    assert topics_sha256([A, B]) != topics_sha256([A])


def test_the_hash_of_expansions_is_of_ids_and_texts():
    assert expansions_sha256([A, B]) == expansions_sha256([B, A]) == expansions_sha256([A])
    assert expansions_sha256([A]) != expansions_sha256([replace(A, expansions=A.expansions[::-1])])


def test_the_embedded_collection_is_as_pinned():
    assert differences(POCKET, count(POCKET)) == []


@pytest.mark.parametrize(
    ("part", "change", "says"),
    [
        ("topics", {"count": 73}, "topics of pocket: pinned 73, found 72"),
        ("topics", {"sha256": "0" * 16}, "topics' hash of pocket: pinned 0000000000000000, found "),
        ("collection", {"documents": 720}, "documents of pocket: pinned 720, found 719"),
        ("collection", {"sha256": "0" * 20}, "documents' hash of pocket: pinned 00000000000000000000, found "),
        ("qrels", {"judgements": 986}, "qrels of pocket: pinned 986, found 987"),
        ("qrels", {"sha256": "0" * 16}, "relevance judgments' hash of pocket: pinned 0000000000000000, found "),
        ("expansions", {"count": 71}, "topics with expansions (q2d, Claude (its own)): pinned 71, found 72"),
        ("expansions", {"sha256": "f" * 16}, "hash of the expansions (q2d, Claude (its own)): pinned ffffffffffffffff"),
    ],
)
def test_whatever_differs_from_its_pin_is_named_with_both_values(part, change, says):
    changed = replace(POCKET, **{part: replace(getattr(POCKET, part), **change)})
    (difference,) = differences(changed, count(POCKET))
    assert difference.startswith(says)


def test_the_documents_of_prebuilt_indexes_are_those_that_pyserini_states(monkeypatch):
    pytest.importorskip("pyserini")
    known = {c.name: c.regression for c in conditions(ROOT / "regressions")}
    monkeypatch.setattr("expandr_repro.regress.inputs.find_topics", lambda _: type("T", (), {"topics": [A]}))
    monkeypatch.setattr("expandr_repro.regress.inputs.find_qrels", lambda _: {"1": {"d": 1}})
    for name in ("cqadupstack.contriever.none", "nq.bge-base.none"):
        assert count(known[name]).documents == known[name].collection.documents
